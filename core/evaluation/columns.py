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


def columns(found: Capture) -> tuple[str, ...]:
    """The true class, and the columns of a capture by which its examples fall into groups: of 2 to
    40 texts, or of numbers with at least 8 different values.
    """
    kept = [TRUE_CLASS]
    for name, values in found.columns.items():
        if numeric(values):
            fits = len(np.unique(values)) >= 2 * PARTS
        else:
            fits = 2 <= len(np.unique(values.astype(str))) <= MOST
        if fits:
            kept.append(name)
    return tuple(kept)


def numeric(values: npt.NDArray[Any]) -> bool:
    """Whether these are numbers."""
    return bool(np.issubdtype(values.dtype, np.number))
