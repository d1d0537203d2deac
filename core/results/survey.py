"""What a data set holds, as it was read for a kind of model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


def _none() -> npt.NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class DataSurvey:
    """``examples`` by class (``counts`` int64 ``[class]``, and ``unlabelled``), the files and rows
    that were left out (``skipped`` with a reason each in ``reasons``), and ``columns`` of a table,
    of which ``text`` and ``label`` were taken.

    With a ``problem`` the data cannot be read before other columns are chosen. ``ids`` and
    ``texts`` are of the first examples. ``pictures`` are small PNG or JPEG files one after the
    other, made anew from the decoded pixels; that of a row begins at its ``offsets``
    int64 ``[picture + 1]``.
    """

    name: str
    examples: int = 0
    classes: tuple[str, ...] = ()
    counts: npt.NDArray[np.int64] = field(default_factory=_none)
    unlabelled: int = 0
    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    text: str = ""
    label: str = ""
    problem: str = ""
    pictures: bytes = b""
    offsets: npt.NDArray[np.int64] = field(default_factory=_none)

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.classes):
            raise ValueError(f"{len(self.counts)} counts for {len(self.classes)} classes")
        if len(self.skipped) != len(self.reasons):
            raise ValueError(f"{len(self.skipped)} skipped with {len(self.reasons)} reasons")
        if len(self.offsets) and int(self.offsets[-1]) != len(self.pictures):
            raise ValueError("offsets and pictures differ in length")

    def picture(self, row: int) -> bytes:
        """The small picture of a row; empty where there is none."""
        if not 0 <= row < len(self.offsets) - 1:
            return b""
        return self.pictures[int(self.offsets[row]) : int(self.offsets[row + 1])]
