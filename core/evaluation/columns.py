"""By what examples fall into groups. Imports no torch: pages and commands ask it too."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.results.activations import Capture

TRUE_CLASS = "class"
PICKED = "picked"
MOST = 40  # groups: the largest
PARTS = 4  # of a column of numbers
FEW = 8  # different numbers from which on a column is parted; fewer are each a group


def columns(found: Capture) -> tuple[str, ...]:
    """The true class, and the columns of a capture by which its examples fall into groups: of at
    least two different numbers, or of 2 to 40 texts.
    """
    kept = [TRUE_CLASS]
    for name, values in found.columns.items():
        count = len(np.unique(values if numeric(values) else values.astype(str)))
        if count >= 2 and (numeric(values) or count <= MOST):
            kept.append(name)
    return tuple(kept)


def numeric(values: npt.NDArray[Any]) -> bool:
    """Whether these are numbers."""
    return bool(np.issubdtype(values.dtype, np.number))
