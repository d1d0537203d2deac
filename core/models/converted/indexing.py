"""Operators of ONNX that take values from places and put them there, and the largest, in torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.models.converted.arithmetic import Operator
from core.models.converted.graph import Call, Unconverted
from core.models.converted.values import Value, known, number, tensor


def _gather(call: Call, given: Value, index: Value) -> Value:
    if given is None or index is None:
        raise Unconverted("Gather lacks an input")
    axis = call.get("axis", 0) % max(1, given.ndim)
    if isinstance(given, np.ndarray) and isinstance(index, np.ndarray):
        return known(np.take(given, index.astype(np.int64), axis))
    values = tensor(given, index if isinstance(index, Tensor) else None)
    if isinstance(index, np.ndarray) and index.ndim == 0:
        return values.select(axis, index.item())
    places = _from_front(tensor(index, values).long(), values.shape[axis])
    found = values.index_select(axis, places.reshape(-1))
    return found.reshape((*values.shape[:axis], *places.shape, *values.shape[axis + 1 :]))


def _from_front(places: Tensor, size: Any) -> Tensor:
    return torch.where(places < 0, places + size, places)


def _gather_elements(call: Call, given: Value, index: Value) -> Tensor:
    values = tensor(given)
    axis = call.get("axis", 0) % values.ndim
    places = tensor(index, values).long()
    return torch.gather(values, axis, _from_front(places, values.shape[axis]))


def _gather_nd(call: Call, given: Value, index: Value) -> Tensor:
    values = tensor(given)
    places = tensor(index, values).long()
    if call.get("batch_dims", 0):
        raise Unconverted("GatherND of each example is not known")
    chosen = [_from_front(each, values.shape[axis]) for axis, each in enumerate(places.unbind(-1))]
    return values[tuple(chosen)]


def _scatter_elements(call: Call, given: Value, index: Value, updates: Value) -> Tensor:
    values = tensor(given)
    axis = call.get("axis", 0) % values.ndim
    places = _from_front(tensor(index, values).long(), values.shape[axis])
    new = tensor(updates, values)
    if _adds(call):
        return values.scatter_add(axis, places, new)
    return values.scatter(axis, places, new)


def _scatter_nd(call: Call, given: Value, index: Value, updates: Value) -> Tensor:
    """Rows of the axes that are chosen are put together, so that one number names each."""
    values = tensor(given)
    places = tensor(index, values).long()
    axes = values.shape[: places.shape[-1]]
    rows = values.reshape(math.prod(axes), -1)
    row = torch.zeros_like(places[..., 0])
    for each, size in zip(places.unbind(-1), axes, strict=True):
        row = row * size + _from_front(each, size)
    whole = row.reshape(-1, 1).expand(-1, rows.shape[1])
    new = tensor(updates, values).reshape(whole.shape)
    made = rows.scatter_add(0, whole, new) if _adds(call) else rows.scatter(0, whole, new)
    return made.reshape(values.shape)


def _adds(call: Call) -> bool:
    """Whether values are added to what is there, not put in its place."""
    how = call.get("reduction", "none")
    if how not in ("none", "add"):
        raise Unconverted(f"{call.kind} of the reduction '{how}' is not known")
    return bool(how == "add")


def _top(call: Call, given: Value, count: Value = None) -> tuple[Tensor, Tensor]:
    values = tensor(given)
    many = call.get("k") if count is None else number(count, call.kind)
    largest, ordered = bool(call.get("largest", 1)), bool(call.get("sorted", 1))
    found, places = torch.topk(values, many, call.get("axis", -1), largest, ordered)
    return found, places


INDEXING: Mapping[str, Operator] = {
    "Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements, "ScatterND": _scatter_nd, "TopK": _top,
}  # fmt: skip
"""What each operator does, of a ``Call`` and its inputs."""
