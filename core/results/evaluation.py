"""How good a model is over labelled data, with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """One number with its 95 % interval, ``low`` to ``high`` (NaN where none was computed)."""

    name: str
    title: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    good: Literal["high", "low"] = "high"
    about: str = ""


@dataclass(frozen=True)
class Curve:
    """A curve of one class against all others: ``x`` and ``y`` float64 ``[point]`` from 0 to 1 at
    ``threshold`` float64 ``[point]`` of its probability, and the ``area`` below it.
    """

    label: int
    x: Floats
    y: Floats
    threshold: Floats
    area: float

    def __post_init__(self) -> None:
        if not self.x.shape == self.y.shape == self.threshold.shape or self.x.ndim != 1:
            raise ValueError(f"{self.x.shape}, {self.y.shape}, {self.threshold.shape} of a curve")


@dataclass(frozen=True)
class Reliability:
    """Calibration in bins of equal width: ``edges`` ``[bin + 1]`` of the confidence; in each bin
    how many examples, their mean confidence and the share that is ``right`` with its 95 % interval
    ``low`` to ``high`` (NaN where there is none).
    """

    edges: Floats
    counts: npt.NDArray[np.int64]
    confidence: Floats
    right: Floats
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        shape = self.counts.shape
        if self.edges.shape != (shape[0] + 1,) or self.confidence.shape != shape:
            raise ValueError(f"{shape} bins, {self.edges.shape} edges")


@dataclass(frozen=True)
class Evaluation:
    """A classifier over ``examples`` labelled examples of ``data``.

    ``confusion`` int64 ``[true class, predicted class]``; ``precision``, ``recall`` and ``f1``
    float64 ``[class]`` (NaN for classes that were neither there nor named, 0 where nothing was
    right). ``roc`` is the true over the false positive rate and ``pull`` the precision over the
    recall, for the classes that both are and are not there. ``wrong`` int64 are the rows of the
    capture that were answered wrongly, the surest first.
    """

    model: str
    data: str
    classes: tuple[str, ...]
    examples: int
    measures: tuple[Measure, ...]
    confusion: npt.NDArray[np.int64]
    precision: Floats
    recall: Floats
    f1: Floats
    roc: tuple[Curve, ...]
    pull: tuple[Curve, ...]
    reliability: Reliability
    wrong: npt.NDArray[np.int64]
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        count = len(self.classes)
        if self.confusion.shape != (count, count):
            raise ValueError(f"confusion {self.confusion.shape}, {count} classes")
        for each in (self.precision, self.recall, self.f1):
            if each.shape != (count,):
                raise ValueError(f"{each.shape}, {count} classes")

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """How many examples each class has, int64 ``[class]``."""
        found: npt.NDArray[np.int64] = self.confusion.sum(axis=1)
        return found


@dataclass(frozen=True)
class Written:
    """A model that writes, over ``examples`` texts of ``data``: ``measures``, and the texts whose
    own continuation it finds least likely first: ``rows`` int64 with ``loss`` float64, in nats per
    token, what was ``expected`` and, of a translator, what was ``said``.
    """

    model: str
    data: str
    examples: int
    measures: tuple[Measure, ...]
    rows: npt.NDArray[np.int64]
    loss: Floats
    expected: tuple[str, ...]
    said: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.rows.shape != self.loss.shape or len(self.expected) != len(self.rows):
            raise ValueError(f"{self.rows.shape} rows, {self.loss.shape} losses")


@dataclass(frozen=True)
class Group:
    """Some examples of one kind: shares with their 95 % intervals, ``[share, low, high]``.

    ``selected`` is the share that is called the positive class, ``caught`` that of its members
    which is (true positive rate), ``false_alarms`` that of the others (false positive rate).
    ``f1`` is the macro mean, NaN for a group of one true class.
    """

    name: str
    examples: int
    right: Floats
    f1: float
    selected: Floats
    caught: Floats
    false_alarms: Floats

    def __post_init__(self) -> None:
        for each in (self.right, self.selected, self.caught, self.false_alarms):
            if each.shape != (3,):
                raise ValueError(f"{each.shape}, expected a share with its interval")


@dataclass(frozen=True)
class Groups:
    """A classifier by the values of ``column``; ``positive`` is the class that rates are about.

    ``gaps`` are largest minus smallest over the groups with at least one example each, by name.
    """

    model: str
    data: str
    column: str
    positive: str
    groups: tuple[Group, ...]
    gaps: dict[str, float]
    provenance: Provenance
