"""Operators of ONNX that move values, choose among them and ask for sizes, in torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.models.converted.arithmetic import Operator
from core.models.converted.graph import Array, Call, Unconverted
from core.models.converted.values import (
    DTYPES,
    TooLarge,
    Value,
    bounded,
    known,
    number,
    numbers,
    tensor,
)

_FAR = 2**62
_FEW = 64  # whole numbers that may be sizes
_MANY = 100_000  # of them that are kept apart from tensors


def _shape(call: Call, given: Value) -> Array:
    sizes = list(given.shape) if given is not None else []
    return known(sizes[slice(call.get("start", 0), call.get("end"))])


def _size(call: Call, given: Value) -> Array:
    return known(math.prod(given.shape) if given is not None else 0)


def _same(call: Call, given: Value, *others: Value) -> Value:
    """``Dropout`` and ``Identity``: at rest all is let through."""
    return given


def _reshape(call: Call, given: Value, shape: Value = None) -> Value:
    wanted = call.get("shape") if shape is None else numbers(shape, call.kind)
    if given is None or wanted is None:
        raise Unconverted("Reshape lacks a shape")
    sizes = list(given.shape)
    kept = not call.get("allowzero")
    target = [
        sizes[place] if kept and isinstance(each, int) and each == 0 else each
        for place, each in enumerate(wanted)
    ]
    return given.reshape(target) if isinstance(given, np.ndarray) else _laid(given, target)


def _laid(given: Tensor, target: list[Any]) -> Tensor:
    """In another shape. Where axes are only put together or taken apart, no size of the others is
    written down: the step then is right for any number of examples and any length.
    """
    sizes = list(given.shape)
    first = _alike(sizes, target)
    last = _alike(sizes[first:][::-1], target[first:][::-1])
    mine, theirs = (each[first : len(each) - last] for each in (sizes, target))
    if not theirs and all(isinstance(each, int) and each == 1 for each in mine):
        return given.squeeze(tuple(range(first, first + len(mine)))) if mine else given
    if len(theirs) == 1 and len(mine) > 1:
        return given.flatten(first, first + len(mine) - 1)
    if len(mine) == 1 and len(theirs) > 1 and all(isinstance(each, int) for each in theirs):
        return torch.unflatten(given, first, theirs)
    return given.reshape(target)


def _alike(one: list[Any], other: list[Any]) -> int:
    """How many sizes are the same from the beginning: numbers, or symbols of one name."""
    same = [str(a) == str(b) for a, b in zip(one, other, strict=False)]
    return same.index(False) if False in same else len(same)


def _flatten(call: Call, given: Value) -> Tensor:
    values = tensor(given)
    axis = call.get("axis", 1)
    axis = axis + values.ndim if axis < 0 else axis
    if axis == 1 and values.ndim > 1:
        return values.flatten(1)
    rows: Any = math.prod(values.shape[:axis])
    return values.reshape(rows, -1)


def _squeeze(call: Call, given: Value, axes: Value = None) -> Value:
    chosen = call.get("axes") if axes is None else numbers(axes, call.kind)
    if isinstance(given, np.ndarray):
        return given.reshape([]) if chosen is None else known(given.squeeze(tuple(chosen)))
    values = tensor(given)
    return values.squeeze() if chosen is None else values.squeeze(tuple(map(int, chosen)))


def _unsqueeze(call: Call, given: Value, axes: Value = None) -> Value:
    chosen = call.get("axes") if axes is None else numbers(axes, call.kind)
    if given is None or not chosen:
        raise Unconverted("Unsqueeze lacks axes")
    whole = given.ndim + len(chosen)
    for axis in sorted(int(each) % whole for each in chosen):
        given = (
            np.expand_dims(given, axis) if isinstance(given, np.ndarray) else given.unsqueeze(axis)
        )
    return given


def _concat(call: Call, *given: Value) -> Value:
    arrays = [each for each in given if isinstance(each, np.ndarray)]
    if len(arrays) == len(given):
        if sum(each.size for each in arrays) > _MANY:
            raise TooLarge(
                f"{call.kind} makes a list of more than {_MANY:,} sizes.",
                "Make it smaller in the network, and export it again.",
            )
        return np.concatenate([each.astype(object) for each in arrays], call.get("axis", 0))
    like = next(each for each in given if isinstance(each, Tensor))
    return torch.cat([tensor(each, like) for each in given], call.get("axis", 0))


def _split(call: Call, given: Value, sizes: Value = None) -> tuple[Value, ...]:
    if given is None:
        raise Unconverted("Split lacks an input")
    axis = call.get("axis", 0)
    wanted = call.get("split") if sizes is None else numbers(sizes, call.kind)
    if wanted is None:
        parts = call.get("num_outputs", call.outputs)
        each = -(-given.shape[axis] // parts)
        wanted = [each] * (parts - 1) + [given.shape[axis] - each * (parts - 1)]
    if isinstance(given, np.ndarray):
        return tuple(np.split(given, np.cumsum(wanted)[:-1], axis))
    return torch.split(given, list(wanted), axis)


def _slice(
    call: Call, given: Value, starts: Value = None, ends: Value = None,
    axes: Value = None, steps: Value = None,
) -> Value:  # fmt: skip
    if given is None:
        raise Unconverted("Slice lacks an input")
    begin = call.get("starts") if starts is None else numbers(starts, call.kind)
    end = call.get("ends") if ends is None else numbers(ends, call.kind)
    if begin is None or end is None:
        raise Unconverted("Slice lacks its ends")
    over = call.get("axes") if axes is None else numbers(axes, call.kind)
    stride = [1] * len(begin) if steps is None else numbers(steps, call.kind)
    for axis, one, two, step in zip(over or range(len(begin)), begin, end, stride, strict=True):
        place = int(axis) % given.ndim
        if step < 0:
            if step != -1 or not (one == -1 or one >= _FAR // 2) or two > -_FAR // 2:
                raise Unconverted("Slice goes backwards over a part")
            given = np.flip(given, place) if isinstance(given, np.ndarray) else given.flip(place)
            continue
        far = isinstance(two, int) and two >= 2**31 - 1
        cut = slice(one, None if far else two, step)
        given = given[(*[slice(None)] * place, cut)]
    return given


def _expand(call: Call, given: Value, shape: Value) -> Value:
    if given is None:
        raise Unconverted("Expand lacks an input")
    sizes = _together(list(given.shape), numbers(shape, call.kind))
    bounded(sizes, call.kind)
    whole = all(isinstance(each, int) for each in sizes)
    if isinstance(given, np.ndarray) and whole and math.prod(sizes) <= _MANY:
        return np.broadcast_to(given, sizes)
    return tensor(given).expand(sizes)


def _together(one: list[Any], other: list[Any]) -> list[Any]:
    """Sizes that both may be spread to."""
    rank = max(len(one), len(other))
    mine, theirs = ([1] * (rank - len(each)) + each for each in (one, other))
    return [a if b == 1 else b for a, b in zip(mine, theirs, strict=True)]


def _tile(call: Call, given: Value, times: Value) -> Tensor:
    values = tensor(given)
    counts = numbers(times, call.kind)
    bounded([a * b for a, b in zip(values.shape, counts, strict=True)], call.kind)
    return values.repeat(counts)


def _transpose(call: Call, given: Value) -> Value:
    if isinstance(given, np.ndarray):
        return given.transpose(call.get("perm"))
    values = tensor(given)
    return values.permute(call.get("perm") or list(range(values.ndim))[::-1])


def _filled(call: Call, shape: Value) -> Value:
    sizes = bounded(numbers(shape, call.kind), call.kind)
    value = call.get("value")
    value = np.zeros(1, np.float32) if value is None else value
    whole = value.dtype.kind in "iu" and all(isinstance(each, int) for each in sizes)
    if whole and math.prod(sizes) <= _FEW:
        return np.full(sizes, value.reshape(-1)[0])
    return torch.full(sizes, value.reshape(-1)[0].item(), dtype=DTYPES[value.dtype.name])


def _range(call: Call, start: Value, end: Value, step: Value) -> Tensor:
    if all(isinstance(each, np.ndarray) for each in (start, end, step)):
        first, last, by = (number(each, call.kind) for each in (start, end, step))
        if all(isinstance(each, int) for each in (first, last, by)):
            bounded([max(0, (last - first) // (by or 1))], call.kind)
        return torch.arange(first, last, by)
    raise Unconverted("Range takes a size that depends on values")


def _where(call: Call, condition: Value, one: Value, other: Value) -> Value:
    if all(isinstance(each, np.ndarray) for each in (condition, one, other)):
        return known(np.where(np.asarray(condition, bool), one, other))  # type: ignore[arg-type]
    like = next(each for each in (condition, one, other) if isinstance(each, Tensor))
    first, second, third = (tensor(each, like) for each in (condition, one, other))
    return torch.where(first, second, third)


def _pad(
    call: Call, given: Value, pads: Value = None, value: Value = None, axes: Value = None
) -> Tensor:
    values = tensor(given)
    wide = call.get("pads") if pads is None else numbers(pads, call.kind)
    if wide is None:
        raise Unconverted("Pad lacks its widths")
    over = range(values.ndim) if axes is None else numbers(axes, call.kind)
    half = len(wide) // 2
    sides = dict.fromkeys(range(values.ndim), (0, 0))
    sides |= {int(a) % values.ndim: (wide[i], wide[half + i]) for i, a in enumerate(over)}
    bounded([size + sum(sides[axis]) for axis, size in enumerate(values.shape)], call.kind)
    mode = call.get("mode", "constant")
    last = values.ndim - 1
    while mode == "constant" and last and sides[values.ndim - 1 - last] == (0, 0):
        last -= 1
    if mode != "constant":
        last = values.ndim - 3
    flat = [
        each for axis in range(values.ndim - 1, values.ndim - 2 - last, -1) for each in sides[axis]
    ]
    if mode == "constant":
        filled = call.get("value", 0.0) if value is None else tensor(value).item()
        return F.pad(values, flat, value=filled)
    name = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}.get(mode)
    if name is None or any(sides[axis] != (0, 0) for axis in (0, 1)):
        raise Unconverted(f"Pad of the mode '{mode}' is not known")
    return F.pad(values, flat, mode=name)


def _resize(call: Call, given: Value, *more: Value) -> Tensor:
    values = tensor(given)
    scales, sizes = (more[0], None) if call.version < 11 else (more + (None,) * 3)[1:3]
    if sizes is not None:
        target = numbers(sizes, call.kind)
    elif isinstance(scales, np.ndarray) and scales.size:
        target = [math.floor(a * b) for a, b in zip(values.shape, scales.tolist(), strict=True)]
    else:
        raise Unconverted(f"{call.kind} to a size that depends on values")
    if target[:2] != list(values.shape[:2]) or call.get("axes"):
        raise Unconverted(f"{call.kind} of other axes than those of the picture")
    bounded(target, call.kind)
    mode = call.get("mode", "nearest")
    where = call.get("coordinate_transformation_mode", "half_pixel")
    if call.version < 11 and mode == "nearest":
        where = "asymmetric"
    if mode == "nearest" and where == "asymmetric":
        if call.version >= 11 and call.get("nearest_mode", "round_prefer_floor") != "floor":
            raise Unconverted(f"{call.kind} that rounds otherwise")
        return F.interpolate(values, target[2:], mode="nearest")
    kinds = {"linear": {3: "linear", 4: "bilinear", 5: "trilinear"}, "cubic": {4: "bicubic"}}
    name = kinds.get(mode, {}).get(values.ndim)
    if name is None or where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise Unconverted(f"{call.kind} of the mode '{mode}' by '{where}' is not known")
    return F.interpolate(values, target[2:], mode=name, align_corners=where == "align_corners")


def _trilu(call: Call, given: Value, diagonal: Value = None) -> Tensor:
    by = 0 if diagonal is None else number(diagonal, call.kind)
    return (torch.triu if call.get("upper", 1) else torch.tril)(tensor(given), by)


def _to_space(call: Call, given: Value) -> Tensor:
    """Channels become pixels of a block: ``CRD`` as torch shuffles them, else blocks come first."""
    values, size = tensor(given), call.get("blocksize", 1)
    if call.get("mode", "DCR") != "CRD":
        parts = torch.unflatten(values, 1, (size * size, -1)).transpose(1, 2)
        values = parts.flatten(1, 2)
    return F.pixel_shuffle(values, size)


def _from_space(call: Call, given: Value) -> Tensor:
    size = call.get("blocksize", 1)
    parts = torch.unflatten(F.pixel_unshuffle(tensor(given), size), 1, (-1, size * size))
    return parts.transpose(1, 2).flatten(1, 2)


SHAPING: Mapping[str, Operator] = {
    "Concat": _concat, "ConstantOfShape": _filled, "DepthToSpace": _to_space, "Dropout": _same,
    "Expand": _expand, "Flatten": _flatten, "Identity": _same, "Pad": _pad, "Range": _range,
    "Reshape": _reshape, "Resize": _resize, "Shape": _shape, "Size": _size, "Slice": _slice,
    "SpaceToDepth": _from_space, "Split": _split, "Squeeze": _squeeze, "Tile": _tile,
    "Transpose": _transpose, "Trilu": _trilu, "Unsqueeze": _unsqueeze, "Upsample": _resize,
    "Where": _where,
}  # fmt: skip
"""What each operator does, of a ``Call`` and its inputs."""
