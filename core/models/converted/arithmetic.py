"""Operators of ONNX that compute with numbers, as functions of torch."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.converted.graph import Array, Call, Unconverted
from core.models.converted.values import CODES, DTYPES, Value, known, numbers, tensor

Operator = Callable[..., Any]


def _pair(one: Value, other: Value) -> tuple[Tensor, Tensor]:
    """Both as tensors on one device."""
    like = one if isinstance(one, Tensor) else other if isinstance(other, Tensor) else None
    return tensor(one, like), tensor(other, like)


def _divided(one: Any, other: Any) -> Any:
    """Whole numbers are cut off, not rounded down."""
    if isinstance(one, Tensor):
        whole = not one.is_floating_point()
        return torch.div(one, other, rounding_mode="trunc") if whole else torch.div(one, other)
    return (
        operator.floordiv(one, other) if one.dtype.kind in "iuO" else operator.truediv(one, other)
    )


def _binary(compute: Operator, on_known: Operator | None, call: Call, *given: Value) -> Value:
    found = given[0]
    for other in given[1:]:
        if on_known and isinstance(found, np.ndarray) and isinstance(other, np.ndarray):
            found = _sized(known(on_known(found, other)))
        else:
            one, two = _pair(found, other)
            found = compute(one, two)
    return found


def _sized(found: Array) -> Array:
    """Whole numbers of 64 bits, as ONNX has them: longer ones would grow without an end."""
    if any(isinstance(each, int) and each.bit_length() > 64 for each in found.reshape(-1).tolist()):
        raise Unconverted("it computes a size of more than 64 bits")
    return found


def _mod(call: Call, one: Value, other: Value) -> Value:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and not call.get("fmod"):
        return known(one % other)
    return (torch.fmod if call.get("fmod") else torch.remainder)(*_pair(one, other))


def _power(call: Call, one: Value, other: Value) -> Tensor:
    base = tensor(one)
    if isinstance(other, np.ndarray) and other.size == 1 and other.dtype != object:
        return torch.pow(base, other.item())
    return torch.pow(base, tensor(other, base)).to(base.dtype)


def _unary(compute: Callable[[Tensor], Tensor], call: Call, given: Value) -> Tensor:
    return compute(tensor(given))


def _negative(call: Call, given: Value) -> Value:
    return known(-given) if isinstance(given, np.ndarray) else torch.neg(tensor(given))


def _isinf(call: Call, given: Value) -> Tensor:
    values = tensor(given)
    up, down = values == math.inf, values == -math.inf
    if not call.get("detect_positive", 1):
        up = torch.zeros_like(up)
    return up | down if call.get("detect_negative", 1) else up


def _clip(call: Call, given: Value, least: Value = None, most: Value = None) -> Tensor:
    values = tensor(given)
    for name, bound, cut in (("min", least, torch.maximum), ("max", most, torch.minimum)):
        if isinstance(bound, np.ndarray) or name in call.settings:
            limit = bound.item() if isinstance(bound, np.ndarray) else call.settings[name]
            values = torch.clamp(values, **{name: limit})
        elif bound is not None:
            values = cut(values, tensor(bound, values))
    return values


def _axes(call: Call, given: Tensor, axes: Value) -> list[int] | None:
    """Those that are reduced; None for none at all."""
    found = call.get("axes") if axes is None else numbers(axes, call.kind)
    if found:
        return [int(each) % max(1, given.ndim) for each in found]
    return None if call.get("noop_with_empty_axes") else list(range(given.ndim))


def _reduced(compute: Callable[..., Tensor], call: Call, given: Value, axes: Value = None) -> Value:
    if isinstance(given, np.ndarray) and call.kind == "ReduceProd" and given.ndim == 1:
        whole = _sized(known(math.prod(given.tolist())))
        return whole.reshape(1) if call.get("keepdims", 1) else whole
    values = tensor(given)
    over = _axes(call, values, axes)
    if over is None:
        return values
    return compute(values, over, bool(call.get("keepdims", 1)))


def _prod(values: Tensor, over: list[int], keep: bool) -> Tensor:
    for axis in sorted(over, reverse=True):
        values = values.prod(dim=axis, keepdim=keep)
    return values


def _arg(compute: Callable[..., Tensor], call: Call, given: Value) -> Tensor:
    if call.get("select_last_index"):
        raise Unconverted(f"{call.kind} of the last of equal values is not known")
    return compute(tensor(given), dim=call.get("axis", 0), keepdim=bool(call.get("keepdims", 1)))


def _product(call: Call, one: Value, other: Value) -> Tensor:
    return torch.matmul(*_pair(one, other))


def _gemm(call: Call, one: Value, other: Value, bias: Value = None) -> Tensor:
    left, right = _pair(one, other)
    left = left.t() if call.get("transA") else left
    right = right.t() if call.get("transB") else right
    made = torch.matmul(left, right)
    if call.get("alpha", 1.0) != 1.0:
        made = made * call.get("alpha")
    if bias is None:
        return made
    more = tensor(bias, made)
    return made + (more if call.get("beta", 1.0) == 1.0 else more * call.get("beta"))


def _einsum(call: Call, *given: Value) -> Tensor:
    return torch.einsum(str(call.get("equation", "")), *(tensor(each) for each in given))


def _softmax(log: bool, call: Call, given: Value) -> Tensor:
    values = tensor(given)
    compute = torch.log_softmax if log else torch.softmax
    if call.version >= 13:
        return compute(values, call.get("axis", -1))
    axis = call.get("axis", 1) % max(1, values.ndim)  # once all axes from this one were together
    if axis == values.ndim - 1:
        return compute(values, -1)
    return compute(values.flatten(axis), -1).reshape(values.shape)


def _normalised(values: Tensor, axes: list[int], epsilon: float) -> Tensor:
    mean = values.mean(axes, keepdim=True)
    return (values - mean) * torch.rsqrt(
        (values - mean).square().mean(axes, keepdim=True) + epsilon
    )


def _layer_norm(call: Call, given: Value, scale: Value, bias: Value = None) -> Tensor:
    values = tensor(given)
    axis = call.get("axis", -1) % values.ndim
    made = _normalised(values, list(range(axis, values.ndim)), call.get("epsilon", 1e-5))
    made = made * tensor(scale, values)
    return made if bias is None else made + tensor(bias, values)


def _rms_norm(call: Call, given: Value, scale: Value) -> Tensor:
    values = tensor(given)
    axes = list(range(call.get("axis", -1) % values.ndim, values.ndim))
    size = values.square().mean(axes, keepdim=True) + call.get("epsilon", 1e-5)
    return values * torch.rsqrt(size) * tensor(scale, values)


def _instance_norm(call: Call, given: Value, scale: Value, bias: Value) -> Tensor:
    values = tensor(given)
    shape = [1, -1] + [1] * (values.ndim - 2)
    made = _normalised(values, list(range(2, values.ndim)), call.get("epsilon", 1e-5))
    return made * tensor(scale, values).reshape(shape) + tensor(bias, values).reshape(shape)


def _group_norm(call: Call, given: Value, scale: Value, bias: Value) -> Tensor:
    values = tensor(given)
    groups = call.get("num_groups", 1)
    weight, more = tensor(scale, values), tensor(bias, values)
    if call.version < 21:  # one number for each group
        each = values.shape[1] // groups
        weight, more = weight.repeat_interleave(each), more.repeat_interleave(each)
    return F.group_norm(values, groups, weight, more, call.get("epsilon", 1e-5))


def _norm(call: Call, given: Value) -> Tensor:
    values = tensor(given)
    size: Tensor = torch.linalg.vector_norm(
        values, call.get("p", 2), dim=call.get("axis", -1), keepdim=True
    )
    return values / size


def _batch_norm(call: Call, given: Value, *stated: Value) -> Tensor:
    values = tensor(given)
    if call.get("training_mode") or call.outputs > 1:
        raise Unconverted("it was exported while training")
    scale, bias, mean, var = (tensor(each, values) for each in stated)
    return F.batch_norm(values, mean, var, scale, bias, eps=call.get("epsilon", 1e-5))


def _attention(
    call: Call, query: Value, key: Value, value: Value, mask: Value = None, *past: Value
) -> Tensor:
    """Of heads on an axis of their own, or side by side in the last one."""
    if any(each is not None for each in past) or call.outputs > 1 or call.get("softcap"):
        raise Unconverted("Attention that keeps or tells more than its answer is not known")
    parts = [tensor(each) for each in (query, key, value)]
    many = call.get("q_num_heads"), call.get("kv_num_heads"), call.get("kv_num_heads")
    beside = parts[0].ndim == 3
    if beside:
        parts = [
            torch.unflatten(each, -1, (heads or 1, -1)).transpose(1, 2)
            for each, heads in zip(parts, many, strict=True)
        ]
    one, two, three = parts
    found = F.scaled_dot_product_attention(
        one,
        two,
        three,
        attn_mask=None if mask is None else tensor(mask, one),
        is_causal=bool(call.get("is_causal")),
        scale=call.get("scale"),
        enable_gqa=one.shape[1] != two.shape[1],
    )
    return found.transpose(1, 2).flatten(2) if beside else found


def _not(call: Call, given: Value) -> Value:
    if isinstance(given, np.ndarray):
        return known([not each for each in given.reshape(-1).tolist()]).reshape(given.shape)
    return torch.logical_not(tensor(given))


def _gelu(call: Call, given: Value) -> Tensor:
    return F.gelu(tensor(given), approximate=call.get("approximate", "none"))


def _prelu(call: Call, given: Value, slope: Value) -> Tensor:
    values = tensor(given)
    return torch.where(values >= 0, values, values * tensor(slope, values))


def _hard_sigmoid(call: Call, given: Value) -> Tensor:
    return torch.clamp(call.get("alpha", 0.2) * tensor(given) + call.get("beta", 0.5), 0, 1)


def _cumsum(call: Call, given: Value, axis: Value) -> Tensor:
    values = tensor(given)
    if call.get("reverse") or call.get("exclusive"):
        raise Unconverted("CumSum from behind, or without the value itself, is not known")
    return torch.cumsum(values, numbers(axis, call.kind)[0]).to(values.dtype)


def _cast(call: Call, given: Value, code: Any = None) -> Value:
    name = CODES.get(call.get("to", 1) if code is None else code)
    if name is None:
        raise Unconverted("it casts to a type that is not known")
    if isinstance(given, np.ndarray):
        if name == "int64" and given.dtype.kind in "iO":
            return given
        flat = given.reshape(-1).tolist()
        if all(isinstance(each, bool | int | float) for each in flat):
            return given.astype(name)
    return tensor(given).to(DTYPES[name])


_TENSORS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Asin": torch.asin, "Atan": torch.atan,
    "Ceil": torch.ceil, "Cos": torch.cos, "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp,
    "Floor": torch.floor, "IsNaN": torch.isnan, "Log": torch.log, "Mish": F.mish,
    "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round,
    "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin, "Sinh": torch.sinh,
    "Softsign": F.softsign, "Sqrt": torch.sqrt, "Tan": torch.tan, "Tanh": torch.tanh,
}  # fmt: skip
_PAIRS: Mapping[str, tuple[Operator, Operator | None]] = {
    "Add": (torch.add, operator.add), "Sub": (torch.sub, operator.sub),
    "Mul": (torch.mul, operator.mul), "Div": (_divided, _divided), "Sum": (torch.add, None),
    "Max": (torch.maximum, None), "Min": (torch.minimum, None),
    "Equal": (torch.eq, operator.eq), "Greater": (torch.gt, operator.gt),
    "GreaterOrEqual": (torch.ge, operator.ge), "Less": (torch.lt, operator.lt),
    "LessOrEqual": (torch.le, operator.le), "And": (torch.logical_and, operator.and_),
    "Or": (torch.logical_or, operator.or_), "Xor": (torch.logical_xor, operator.xor),
}  # fmt: skip
_REDUCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax,
    "ReduceMin": torch.amin, "ReduceProd": _prod, "ReduceLogSumExp": torch.logsumexp,
    "ReduceL1": lambda values, over, keep: values.abs().sum(over, keep),
    "ReduceL2": lambda values, over, keep: values.square().sum(over, keep).sqrt(),
    "ReduceSumSquare": lambda values, over, keep: values.square().sum(over, keep),
    "ReduceLogSum": lambda values, over, keep: values.sum(over, keep).log(),
}  # fmt: skip
ARITHMETIC: Mapping[str, Operator] = {
    **{name: partial(_unary, compute) for name, compute in _TENSORS.items()},
    **{name: partial(_binary, *pair) for name, pair in _PAIRS.items()},
    **{name: partial(_reduced, compute) for name, compute in _REDUCTIONS.items()},
    "Attention": _attention,
    "ArgMax": partial(_arg, torch.argmax), "ArgMin": partial(_arg, torch.argmin),
    "BatchNormalization": _batch_norm, "Cast": _cast, "Clip": _clip, "CumSum": _cumsum,
    "Einsum": _einsum, "Gelu": _gelu, "Gemm": _gemm, "GroupNormalization": _group_norm,
    "HardSigmoid": _hard_sigmoid, "InstanceNormalization": _instance_norm, "IsInf": _isinf,
    "LayerNormalization": _layer_norm, "LogSoftmax": partial(_softmax, True),
    "LpNormalization": _norm, "MatMul": _product, "Mod": _mod, "Neg": _negative, "Not": _not,
    "PRelu": _prelu, "Pow": _power, "RMSNormalization": _rms_norm,
    "Softmax": partial(_softmax, False),
}  # fmt: skip
"""What each operator computes, of a ``Call`` and its inputs."""
