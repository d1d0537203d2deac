"""What flows through a graph while it is converted: tensors, and what is known without running it.

Sizes of tensors and what is computed from them are arrays of whole numbers or of torch's symbols
for them, so that a program which is exported stays right for other sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from core.errors import BadModel
from core.models.converted.graph import Array, Unconverted

Value = Tensor | Array | None


class TooLarge(BadModel):
    """A graph that makes of nothing what fills the memory: it is not run by any other way."""


LARGEST: Final = 2**30  # bytes of a tensor that a graph makes of nothing
_WIDTH: Final = 8


def known(value: Any) -> Array:
    """Whole numbers, symbols or truths as an array."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, list | tuple):
        made = np.empty(len(value), dtype=object)
        made[:] = value
        return made
    if isinstance(value, np.generic):
        return np.asarray(value)
    made = np.empty((), dtype=object)
    made[()] = value
    return made


def numbers(value: Value, what: str) -> list[Any]:
    """Whole numbers, or symbols for them. Raises ``Unconverted`` where they are computed from
    values.
    """
    if isinstance(value, np.ndarray):
        return list(value.reshape(-1).tolist())
    raise Unconverted(f"{what} takes a size that depends on values")


def number(value: Value, what: str) -> Any:
    """The one of them. Raises ``Unconverted``."""
    (found,) = numbers(value, what) if value is not None else (None,)
    return found


def tensor(value: Value, like: Tensor | None = None) -> Tensor:
    """As a tensor, on the device of another. Raises ``Unconverted`` where nothing is given."""
    if isinstance(value, Tensor):
        return value
    if value is None:
        raise Unconverted("an operator lacks an input")
    device = like.device if like is not None else torch.device("cpu")
    if value.dtype != object:
        return torch.tensor(value.tolist(), dtype=DTYPES[value.dtype.name], device=device)
    flat = value.reshape(-1).tolist()
    if all(isinstance(each, bool | int | float) for each in flat):
        truth = bool(flat) and isinstance(flat[0], bool)
        dtype = torch.bool if truth else torch.int64
        return torch.tensor(value.tolist(), dtype=dtype, device=device)
    made = [torch.scalar_tensor(each, dtype=torch.int64, device=device) for each in flat]
    return torch.stack(made).reshape(value.shape)


def bounded(shape: Sequence[Any], what: str) -> list[Any]:
    """The sizes of a tensor that is to be made. Raises ``BadModel`` for one that is too large."""
    sizes = list(shape)
    if all(isinstance(each, int) for each in sizes):
        size = _WIDTH * math.prod(max(0, each) for each in sizes)
        if size > LARGEST:
            raise TooLarge(
                f"{what} makes a tensor of {size / 2**30:,.0f} GiB, of {_shape(sizes)} numbers.",
                "Make it smaller in the network, and export it again.",
            )
    return sizes


def _shape(sizes: Sequence[int]) -> str:
    return " × ".join(f"{each:,}" for each in sizes[:6]) + (" × …" if len(sizes) > 6 else "")


DTYPES: Final = {
    "bool": torch.bool, "uint8": torch.uint8, "int8": torch.int8, "int16": torch.int16,
    "int32": torch.int32, "int64": torch.int64, "float16": torch.float16,
    "float32": torch.float32, "float64": torch.float64,
}  # fmt: skip
CODES: Final = {
    1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64",
}  # fmt: skip
"""Types of elements by their number in ONNX."""
