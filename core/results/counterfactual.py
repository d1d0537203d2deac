"""A row of a table, and the smallest changes of it that change the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.results.prediction import Prediction


@dataclass(frozen=True)
class RowChange:
    """One way to another answer: ``columns`` that change, with what they were and would be.

    ``step`` float64 ``[column]`` is the change of a number in standard deviations of the training
    rows, with its sign, and NaN for a switch to another category or from a missing value, which
    counts as 1. ``distance`` is the sum of their magnitudes. ``row`` is the whole new row as a JSON
    object, ``answer`` the class that it gets, ``probabilities`` float32 ``[class]`` of it.
    """

    columns: tuple[str, ...]
    was: tuple[str, ...]
    now: tuple[str, ...]
    step: npt.NDArray[np.float64]
    distance: float
    row: str
    answer: int
    probabilities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.columns)
        if not count == len(self.was) == len(self.now) == len(self.step):
            raise ValueError(f"{count} columns, {len(self.now)} values, {len(self.step)} steps")


@dataclass(frozen=True)
class Counterfactual:
    """The changes that were found for a row, those of the fewest columns first, then the smallest.

    ``before`` is the answer to the row as it is, ``to`` the class that was asked for (empty for any
    other). ``kept`` are the columns that may not change, ``varied`` those that may. ``tried``
    counts the rows that the model was asked for; ``reason`` says why nothing was found, if so.
    """

    example: str
    before: Prediction
    to: str
    kept: tuple[str, ...]
    varied: tuple[str, ...]
    found: tuple[RowChange, ...]
    tried: int
    reason: str
    notes: tuple[str, ...]
    provenance: Provenance
