"""Which training examples moved what a model says, or are like the one it says it to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.tasks import AxisKind, Example, Target

How = Literal["tracin", "similar", "self"]


@dataclass(frozen=True)
class Influence:
    """Examples of ``data`` by their influence on what a model answers to ``example``.

    ``rows`` int64 ``[row]`` are places in the data, ``scores`` float32 ``[row]`` their influence:
    for ``tracin`` by how much learning from the example lowered the loss of ``target`` (positive
    speaks for it), summed over checkpoints; for ``similar`` the cosine of activations of ``layer``,
    -1 to 1; for ``self`` the influence of each training example on its own loss (``example`` and
    ``target`` are then empty). ``labels`` and ``answers`` int64 ``[row]`` are what they are and
    what the model says, -1 where there is none. ``most`` and ``least`` int64 are places in ``rows``
    with the highest and the lowest scores, ``shown`` those examples, first all of ``most``.
    ``steps`` and ``rates`` are updates done and learning rate of each checkpoint.
    """

    model: str
    data: str
    how: How
    example: str
    target: Target | None
    classes: tuple[str, ...]
    axis: AxisKind
    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]
    least: npt.NDArray[np.int64]
    shown: tuple[Example, ...]
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    layer: str
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        for each in (self.scores, self.labels, self.answers):
            if each.shape != self.rows.shape or each.ndim != 1:
                raise ValueError(f"{each.shape}, {self.rows.shape} rows")
        if len(self.shown) != len(self.most) + len(self.least):
            raise ValueError(f"{len(self.shown)} shown, {len(self.most)} + {len(self.least)}")
        if len(self.steps) != len(self.rates):
            raise ValueError(f"{len(self.steps)} steps, {len(self.rates)} rates")

    def by_class(self) -> npt.NDArray[np.float64]:
        """The sum of scores over the examples of each class, ``[class]``."""
        known = self.labels >= 0
        found = np.bincount(self.labels[known], self.scores[known], minlength=len(self.classes))
        return np.asarray(found, np.float64)
