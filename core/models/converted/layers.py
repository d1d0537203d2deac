"""Operators of ONNX that were layers, as modules of ``torch.nn`` with the same weights.

A layer may need steps around it: ONNX pads one side more than the other, and has the directions of
a recurrent layer on an axis of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.converted.graph import Array, Call, Unconverted
from core.models.converted.values import Value, tensor

Around = Callable[..., Any]
Constants = Sequence[Array | None]


def plainly(module: nn.Module, given: Value, *others: Value) -> Any:
    """The layer and nothing around it."""
    return module(tensor(given))


@dataclass(frozen=True)
class Layer:
    """A module, and how it is called with all inputs of its node."""

    module: nn.Module
    around: Around = plainly


Builder = Callable[[Call, Sequence[Value], Constants], Layer | None]


def _weights(module: nn.Module, **arrays: Array | None) -> nn.Module:
    """A module made without weights, with these."""
    for name, array in arrays.items():
        if array is None:
            continue
        values = torch.from_numpy(np.array(array))
        if name.startswith("running_"):
            module.register_buffer(name, values)
        else:
            module.register_parameter(name, nn.Parameter(values, requires_grad=False))
    return module.eval()


def _is_weight(array: Array | None, *axes: int) -> bool:
    return array is not None and array.dtype.kind == "f" and array.ndim in axes and array.size > 0


def _linear(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    """Of ``MatMul``, with the sum that followed it, and of ``Gemm``."""
    weight, bias = constants[1], constants[2] if len(constants) > 2 else None
    if not _is_weight(weight, 2) or weight is None or call.get("transA"):
        return None
    if len(values) > 2 and bias is None:
        return None
    if call.kind == "MatMul" or not call.get("transB"):
        weight = weight.T
    if call.get("alpha", 1.0) != 1.0:
        weight = weight * np.asarray(call.get("alpha"), weight.dtype)
    if bias is not None:
        flat = bias.reshape(-1)
        if flat.size not in (1, len(weight)) or bias.size != bias.shape[-1:][0] if bias.ndim else 0:
            return None
        bias = np.broadcast_to(flat * np.asarray(call.get("beta", 1.0), weight.dtype), len(weight))
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    return Layer(_weights(module, weight=np.ascontiguousarray(weight), bias=bias))


def _pads(call: Call, sizes: Sequence[Any], kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """How much is added before and behind each axis of the picture."""
    rank = len(kernel)
    auto = call.get("auto_pad", "NOTSET")
    pads = call.get("pads") or [0] * (2 * rank)
    if auto == "VALID":
        pads = [0] * (2 * rank)
    elif auto != "NOTSET":
        strides, steps = (call.get(name) or [1] * rank for name in ("strides", "dilations"))
        pads = [0] * (2 * rank)
        for axis in range(rank):
            size, stride = int(sizes[axis]), strides[axis]
            whole = (-(-size // stride) - 1) * stride + (kernel[axis] - 1) * steps[axis] + 1
            more = max(0, whole - size)
            less = more // 2
            pads[axis], pads[rank + axis] = (
                (less, more - less) if auto == "SAME_UPPER" else (more - less, less)
            )
    if len(pads) != 2 * rank or min(pads) < 0 or max(pads) > 2**16:
        raise Unconverted(f"{call.kind} pads in a way that is not known")
    return pads[:rank], pads[rank:]


def _padded(before: Sequence[int], behind: Sequence[int], value: float) -> Around:
    """The layer behind a padding that is not the same on both sides."""
    flat = [n for pair in zip(reversed(before), reversed(behind), strict=True) for n in pair]

    def around(module: nn.Module, given: Value, *others: Value) -> Any:
        return module(F.pad(tensor(given), flat, value=value))

    return around


def _convolution(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    weight, bias = constants[1], constants[2] if len(constants) > 2 else None
    if not _is_weight(weight, 3, 4, 5) or weight is None or (len(values) > 2 and bias is None):
        raise Unconverted(f"{call.kind} with weights that are computed is not known")
    kernel = list(weight.shape[2:])
    rank = len(kernel)
    before, behind = _pads(call, tensor(values[0]).shape[2:], kernel)
    even = before == behind
    groups = call.get("group", 1)
    settings: dict[str, Any] = {
        "kernel_size": tuple(kernel),
        "stride": tuple(call.get("strides") or [1] * rank),
        "padding": tuple(before) if even else (0,) * rank,
        "dilation": tuple(call.get("dilations") or [1] * rank),
        "groups": groups,
        "bias": bias is not None,
        "device": "meta",
    }
    kinds: Mapping[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
    taken, made = weight.shape[1] * groups, weight.shape[0]
    if call.kind == "ConvTranspose":
        if call.get("auto_pad", "NOTSET") != "NOTSET" or call.get("output_shape") or not even:
            raise Unconverted("ConvTranspose pads in a way that is not known")
        kinds = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
        settings["output_padding"] = tuple(call.get("output_padding") or [0] * rank)
        taken, made = weight.shape[0], weight.shape[1] * groups
    module = _weights(kinds[rank](taken, made, **settings), weight=weight, bias=bias)
    return Layer(module) if even else Layer(module, _padded(before, behind, 0.0))


def _batch_norm(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    kinds: Mapping[int, Any] = {
        2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d,
    }  # fmt: skip
    kind = kinds.get(tensor(values[0]).ndim)
    if kind is None or any(not _is_weight(each, 1) for each in constants[1:5]):
        return None
    if call.get("training_mode") or call.outputs > 1:
        return None
    weight, bias, mean, var = constants[1:5]
    size = 0 if weight is None else len(weight)
    module = kind(size, call.get("epsilon", 1e-5))
    return Layer(_weights(module, weight=weight, bias=bias, running_mean=mean, running_var=var))


def _layer_norm(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    weight, bias = constants[1], constants[2] if len(constants) > 2 else None
    if weight is None or (len(values) > 2 and bias is None) or call.outputs > 1:
        return None
    rank = tensor(values[0]).ndim
    if weight.ndim != rank - call.get("axis", -1) % rank:
        return None
    if bias is not None and bias.shape != weight.shape:
        return None
    shape, small = tuple(weight.shape), call.get("epsilon", 1e-5)
    module = nn.LayerNorm(shape, small, bias=bias is not None, device="meta")
    return Layer(_weights(module, weight=weight, bias=bias))


def _instance_norm(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    kinds: Mapping[int, Any] = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}
    rank, (weight, bias) = tensor(values[0]).ndim, constants[1:3]
    if rank not in kinds or weight is None or bias is None or not _is_weight(weight, 1):
        return None
    module = kinds[rank](len(weight), call.get("epsilon", 1e-5), affine=True, device="meta")
    return Layer(_weights(module, weight=weight, bias=bias))


def _embedding(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    weight = constants[0]
    places = values[1]
    if not _is_weight(weight, 2) or weight is None or call.get("axis", 0):
        return None
    if not isinstance(places, Tensor) or places.is_floating_point() or places.ndim == 0:
        return None
    module = nn.Embedding(weight.shape[0], weight.shape[1], device="meta")

    def around(part: nn.Module, rows: Value, given: Value) -> Any:
        return part(tensor(given))

    return Layer(_weights(module, weight=weight), around)


def _pool(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    kernel = call.get("kernel_shape") or []
    if len(kernel) not in (1, 2, 3) or call.outputs > 1 or call.get("storage_order"):
        raise Unconverted(f"{call.kind} that also tells places is not known")
    largest = call.kind == "MaxPool"
    before, behind = _pads(call, tensor(values[0]).shape[2:], kernel)
    settings: dict[str, Any] = {
        "stride": tuple(call.get("strides") or [1] * len(kernel)),
        "ceil_mode": bool(call.get("ceil_mode")),
    }
    steps = tuple(call.get("dilations") or [1] * len(kernel))
    kinds: Sequence[Any] = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
    if largest:
        kinds = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
        settings["dilation"] = steps
    elif any(before + behind):
        settings["count_include_pad"] = bool(call.get("count_include_pad"))
    if not largest and set(steps) != {1}:
        raise Unconverted("AveragePool with gaps is not known")
    even = before == behind and all(2 * a <= b for a, b in zip(before, kernel, strict=True))
    if not even and not largest and not call.get("count_include_pad"):
        raise Unconverted("AveragePool that pads one side more is not known")
    padding = tuple(before) if even else (0,) * len(kernel)
    module = kinds[len(kernel) - 1](tuple(kernel), padding=padding, **settings).eval()
    value = -torch.inf if largest else 0.0
    return Layer(module) if even else Layer(module, _padded(before, behind, value))


def _global_pool(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    rank = tensor(values[0]).ndim - 2
    kinds: Sequence[Any] = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
    if call.kind == "GlobalMaxPool":
        kinds = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
    return Layer(kinds[rank - 1](1).eval()) if rank in (1, 2, 3) else None


def _activation(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    if not isinstance(values[0], Tensor):
        return None
    make = _ACTIVATIONS[call.kind]
    module: nn.Module | None = make(call)
    return None if module is None else Layer(module.eval())


def _softmax(call: Call) -> nn.Module | None:
    if call.version < 13 and call.get("axis", 1) != -1:
        return None
    axis = call.get("axis", -1)
    return nn.Softmax(axis) if call.kind == "Softmax" else nn.LogSoftmax(axis)


def _hard_sigmoid(call: Call) -> nn.Module | None:
    usual = abs(call.get("alpha", 0.2) - 1 / 6) < 1e-4 and call.get("beta", 0.5) == 0.5
    return nn.Hardsigmoid() if usual else None


def _prelu(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    """With one slope, or one for each channel; those of another axis are no layer of torch's."""
    slope, rank = constants[1], tensor(values[0]).ndim
    if slope is None or slope.size == 0 or slope.ndim > rank:
        return None
    channels = slope.shape[slope.ndim - rank + 1] if slope.ndim >= rank - 1 > 0 else 1
    if slope.size != channels:
        return None
    return Layer(_weights(nn.PReLU(slope.size, device="meta"), weight=slope.reshape(-1)))


def _clip(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    """A clip from 0 to 6 was ReLU6, another between two constants was Hardtanh."""
    ends = [call.get("min"), call.get("max")]
    for place, each in enumerate(constants[1:3]):
        ends[place] = each.item() if each is not None and each.size == 1 else ends[place]
    given = values[0]
    if None in ends or not isinstance(given, Tensor) or not given.is_floating_point():
        return None
    if not ends[0] < ends[1]:
        return None
    return Layer(nn.ReLU6() if ends == [0, 6] else nn.Hardtanh(*ends))


_ACTIVATIONS: Mapping[str, Callable[[Call], nn.Module | None]] = {
    "Relu": lambda call: nn.ReLU(),
    "Sigmoid": lambda call: nn.Sigmoid(),
    "Tanh": lambda call: nn.Tanh(),
    "Mish": lambda call: nn.Mish(),
    "HardSwish": lambda call: nn.Hardswish(),
    "Softplus": lambda call: nn.Softplus(),
    "Selu": lambda call: nn.SELU() if not call.settings else None,
    "Elu": lambda call: nn.ELU(call.get("alpha", 1.0)),
    "Celu": lambda call: nn.CELU(call.get("alpha", 1.0)),
    "LeakyRelu": lambda call: nn.LeakyReLU(call.get("alpha", 0.01)),
    "Gelu": lambda call: nn.GELU(call.get("approximate", "none")),
    "HardSigmoid": _hard_sigmoid,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
}
LAYERS: Mapping[str, Builder] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    "AveragePool": _pool, "BatchNormalization": _batch_norm, "Clip": _clip, "Conv": _convolution,
    "ConvTranspose": _convolution, "Gather": _embedding, "Gemm": _linear,
    "GlobalAveragePool": _global_pool, "GlobalMaxPool": _global_pool,
    "InstanceNormalization": _instance_norm, "LayerNormalization": _layer_norm,
    "MatMul": _linear, "MaxPool": _pool, "PRelu": _prelu,
}  # fmt: skip
"""How the layer of an operator is built; None where it is no layer, but arithmetic."""
