"""Tensors and histograms as event files hold them, as numpy arrays.

Sizes that a file claims are never believed: nothing is made larger than what was read.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BFLOAT16 = 14
_HALF = 19
_CONTENT = {  # DataType: how the elements stand in tensor_content
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "<u1",
    5: "<i2",
    6: "<i1",
    9: "<i8",
    10: "?",
    _BFLOAT16: "<u2",
    17: "<u2",
    _HALF: "<f2",
    22: "<u4",
    23: "<u8",
}
_FIELDS = {  # DataType: the field that lists the elements otherwise
    1: "float_val",
    2: "double_val",
    9: "int64_val",
    10: "bool_val",
    _BFLOAT16: "half_val",
    _HALF: "half_val",
    22: "uint32_val",
    23: "uint64_val",
}
_LARGEST = 1 << 16  # elements that one listed value may stand for
_HUGE = 1e300  # limits beyond stand for "no limit"


def _sizes(tensor: Any) -> tuple[int, ...]:
    return tuple(int(dim.size) for dim in tensor.tensor_shape.dim)


def is_number(values: Floats) -> bool:
    """Whether ``values`` is one number rather than a list of them."""
    return values.size == 1 and values.ndim <= 1


def array(tensor: Any) -> Floats:
    """The elements of a ``TensorProto`` of any type of numbers, in its shape.

    Raises ``ValueError`` for other types, and where shape and elements do not fit.
    """
    kind = tensor.dtype
    if kind not in _CONTENT:
        raise ValueError(f"tensors of type {kind} hold no numbers")
    shape = _sizes(tensor)
    size = math.prod(shape)
    if tensor.tensor_content:
        found = np.frombuffer(tensor.tensor_content, _CONTENT[kind])
    else:
        listed = getattr(tensor, _FIELDS.get(kind, "int_val"))
        if kind == _HALF:  # listed as the integers of the same bits, as those of bfloat16 are
            found = np.array(listed, np.int64).astype("<u2").view("<f2")
        else:
            found = np.array(listed).astype(_CONTENT[kind])
        if 0 < found.size < size <= _LARGEST:  # the last one stands for all that follow
            found = np.pad(found, (0, size - found.size), mode="edge")
    if kind == _BFLOAT16:
        found = (found.astype("<u4") << 16).view("<f4")
    if min(shape, default=1) < 0 or found.size != size:
        raise ValueError(f"{found.size} elements do not make a tensor of shape {list(shape)}")
    return found.astype(np.float64).reshape(shape)


def strings(tensor: Any) -> list[bytes]:
    """The elements of a ``TensorProto`` of strings, flat."""
    return list(tensor.string_val)


def histogram(buckets: Floats) -> list[tuple[Floats, Floats]]:
    """Edges and counts from ``[bucket, (left, right, count)]``; none from no buckets.

    Raises ``ValueError`` for another shape.
    """
    if buckets.ndim != 2 or buckets.shape[1] != 3:
        raise ValueError(f"a histogram has the shape {list(buckets.shape)}, expected [bucket, 3]")
    if not len(buckets):
        return []
    return [(np.append(buckets[:, 0], buckets[-1, 1]), buckets[:, 2].copy())]


def proto_histogram(proto: Any) -> list[tuple[Floats, Floats]]:
    """Edges and counts from a ``HistogramProto``, whose buckets have an upper limit only.

    An empty first bucket tells by its limit where the second one begins. Raises ``ValueError`` when
    there are not as many limits as buckets.
    """
    limits = np.array(proto.bucket_limit, np.float64)
    counts = np.array(proto.bucket, np.float64)
    if limits.size != counts.size:
        raise ValueError(f"a histogram has {limits.size} limits for {counts.size} buckets")
    filled = np.flatnonzero(counts)
    if not filled.size:
        return []
    if counts[0] == 0 and abs(limits[0]) < _HUGE:
        edges, counts = limits, counts[1:]
    else:
        first = int(filled[0]) if abs(limits[0]) >= _HUGE and counts[0] == 0 else 0
        edges, counts = np.append(proto.min, limits[first:]), counts[first:]
    if abs(edges[-1]) >= _HUGE:  # the last bucket has no limit: the largest value is one
        last = int(np.flatnonzero(counts)[-1]) + 1
        edges, counts = np.append(edges[:last], proto.max), counts[:last]
    return [(edges, counts)]
