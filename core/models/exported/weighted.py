"""Layers of ``torch.nn`` with the weights of a program, each from the operator that it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn

Arguments = Mapping[str, Any]
Maker = Callable[[nn.Module, Arguments], nn.Module | None]


def _tensor(part: nn.Module, value: Any) -> Any:
    """The weight that an argument stands for."""
    if value is None:
        return None
    if not isinstance(value, fx.Node) or value.op != "get_attr" or "." in str(value.target):
        raise ValueError("no weight of its own")
    return getattr(part, str(value.target))


def _filled(module: nn.Module, **tensors: Any) -> nn.Module:
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if isinstance(tensor, nn.Parameter):
            module.register_parameter(name, tensor)
        else:
            module._parameters.pop(name, None)
            module._buffers.pop(name, None)
            module.register_buffer(name, tensor)
    return module


def _linear(part: nn.Module, given: Arguments) -> nn.Module:
    weight, bias = _tensor(part, given["weight"]), _tensor(part, given["bias"])
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    return _filled(module, weight=weight, bias=bias)


def _convolution(part: nn.Module, given: Arguments) -> nn.Module:
    weight, bias = _tensor(part, given["weight"]), _tensor(part, given["bias"])
    kinds: dict[int, Any] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
    padding = given["padding"]
    module: nn.Module = kinds[weight.ndim](
        weight.shape[1] * given["groups"],
        weight.shape[0],
        tuple(weight.shape[2:]),
        tuple(given["stride"]),
        padding if isinstance(padding, str) else tuple(padding),
        tuple(given["dilation"]),
        given["groups"],
        bias is not None,
        device="meta",
    )
    return _filled(module, weight=weight, bias=bias)


def _batch_norm(part: nn.Module, given: Arguments) -> nn.Module | None:
    kinds = {
        "BatchNorm1d": nn.BatchNorm1d,
        "BatchNorm2d": nn.BatchNorm2d,
        "BatchNorm3d": nn.BatchNorm3d,
    }
    kind = str(getattr(part, "_ty", "")).rpartition(".")[2]
    mean, var = _tensor(part, given["running_mean"]), _tensor(part, given["running_var"])
    weight, bias = _tensor(part, given["weight"]), _tensor(part, given["bias"])
    if given["training"] or mean is None or kind not in kinds:
        return None
    module = kinds[kind](
        len(mean), given["eps"], given["momentum"], weight is not None, device="meta"
    )
    seen = getattr(part, "num_batches_tracked", None)
    if seen is None:
        seen = torch.tensor(0)
    return _filled(
        module,
        weight=weight,
        bias=bias,
        running_mean=mean,
        running_var=var,
        num_batches_tracked=seen,
    )


def _layer_norm(part: nn.Module, given: Arguments) -> nn.Module:
    weight, bias = _tensor(part, given["weight"]), _tensor(part, given["bias"])
    module = nn.LayerNorm(
        tuple(given["normalized_shape"]),
        given["eps"],
        weight is not None,
        bias is not None,
        device="meta",
    )
    return _filled(module, weight=weight, bias=bias)


def _group_norm(part: nn.Module, given: Arguments) -> nn.Module:
    weight, bias = _tensor(part, given["weight"]), _tensor(part, given["bias"])
    module = nn.GroupNorm(given["num_groups"], len(weight), given["eps"], device="meta")
    return _filled(module, weight=weight, bias=bias)


def _transposed(part: nn.Module, given: Arguments) -> nn.Module:
    weight, bias = _tensor(part, given["weight"]), _tensor(part, given["bias"])
    kinds: dict[int, Any] = {3: nn.ConvTranspose1d, 4: nn.ConvTranspose2d, 5: nn.ConvTranspose3d}
    module: nn.Module = kinds[weight.ndim](
        weight.shape[0],
        weight.shape[1] * given["groups"],
        tuple(weight.shape[2:]),
        tuple(given["stride"]),
        tuple(given["padding"]),
        tuple(given["output_padding"]),
        given["groups"],
        bias is not None,
        tuple(given["dilation"]),
        device="meta",
    )
    return _filled(module, weight=weight, bias=bias)


def _instance_norm(part: nn.Module, given: Arguments) -> nn.Module | None:
    """With the statistics of each example, or with those of its training."""
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: _tensor(part, given[name]) for name in names}
    tracks = tensors["running_mean"] is not None
    values = given["input"].meta["val"]
    if given["use_input_stats"] == tracks:
        return None
    kinds: dict[int, Any] = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}
    module: nn.Module = kinds[values.ndim](
        int(values.shape[1]),
        given["eps"],
        given["momentum"],
        tensors["weight"] is not None,
        tracks,
        device="meta",
    )
    if tracks:
        seen = getattr(part, "num_batches_tracked", None)
        tensors["num_batches_tracked"] = torch.tensor(0) if seen is None else seen
    return _filled(module, **tensors)


def _prelu(part: nn.Module, given: Arguments) -> nn.Module:
    weight = _tensor(part, given["weight"])
    return _filled(nn.PReLU(len(weight), device="meta"), weight=weight)


def _embedding(part: nn.Module, given: Arguments) -> nn.Module:
    weight = _tensor(part, given["weight"])
    padding = given["padding_idx"]
    rows, width = weight.shape
    module = nn.Embedding(rows, width, None if padding < 0 else padding, device="meta")
    return _filled(module, weight=weight)


def _dropout(part: nn.Module, given: Arguments) -> nn.Module | None:
    return None if given["train"] else nn.Dropout(given["p"])


WITH_WEIGHTS: dict[str, Maker] = {
    "linear": _linear,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "conv_transpose1d": _transposed,
    "conv_transpose2d": _transposed,
    "conv_transpose3d": _transposed,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "prelu": _prelu,
    "embedding": _embedding,
    "dropout": _dropout,
}
"""By the operator; each is told the part and the arguments of the call by their names. Raises
``KeyError``, ``AttributeError``, ``TypeError`` or ``ValueError`` where there is no such layer.
"""
