"""What compression saves, and what it does to answers and reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cost:
    """What one model takes. ``bytes`` of its weights on disk; ``parameters``, of which ``nonzero``;
    ``multiply_adds`` of one example; ``latency`` float64 ``[forward]``, seconds at one example;
    ``batch`` is the batch size, the same for both models, at which most examples a second are
    answered, ``batched`` float64 ``[forward]`` the seconds of such a batch.
    """

    model: str
    bytes: int
    parameters: int
    nonzero: int
    multiply_adds: int
    latency: Floats
    batch: int
    batched: Floats

    @property
    def median(self) -> float:
        """The median latency in seconds."""
        return float(np.median(self.latency))

    @property
    def p95(self) -> float:
        """The latency that 95 of 100 forwards keep, in seconds."""
        return float(np.percentile(self.latency, 95))

    @property
    def throughput(self) -> float:
        """Examples a second at the best batch size, by the median."""
        return self.batch / float(np.median(self.batched))


@dataclass(frozen=True)
class Costs:
    """A model and what was made of it, timed in turns: ``speedup`` is the median of the ratios of
    the pairs, above 1 where the small one is faster. ``notes`` are sentences about how it was made
    and what it runs on.
    """

    original: Cost
    small: Cost
    speedup: float
    provenance: Provenance
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slice:
    """Examples that belong together, by the true class or by the ``value`` of a ``column``.

    ``before``, ``after`` float64 ``[(share right, low, high)]`` with Wilson intervals of 95 %;
    ``change`` float64 ``[(after - before, low, high)]`` of the same examples (Bonett and Price
    2012). ``lost`` were right before only, ``gained`` after only; ``p`` is McNemar's exact test.
    """

    column: str
    value: str
    examples: int
    before: Floats
    after: Floats
    change: Floats
    lost: int
    gained: int
    p: float


@dataclass(frozen=True)
class Drift:
    """A classifier ``before`` and ``after`` compression, over ``examples`` of ``data``.

    ``accuracy``, ``ece`` (calibration error) float64 ``[before, after]``, ``f1`` float64
    ``[class, (before, after)]``, NaN without labels. ``changed`` int64 are the rows whose answer is
    another, the surest before first. Of the ``kept`` rows int64, whose answer stayed, ``spearman``
    float64 ``[row]`` is the rank correlation of their attributions by ``method``, and ``overlap``
    the share of the tenth of inputs with the largest magnitude that is the same; the most changed
    first. ``similarity`` float64 ``[layer]`` is linear CKA of each of ``layers`` with itself.
    ``slices`` are those of the labelled examples, the worst hit first. ``note`` says why there are
    no reasons to compare, where an explanation fits one of the two models no more.
    """

    model: str
    of: str
    data: str
    classes: tuple[str, ...]
    examples: int
    accuracy: Floats
    ece: Floats
    f1: Floats
    agreement: float
    changed: npt.NDArray[np.int64]
    method: str
    kept: npt.NDArray[np.int64]
    spearman: Floats
    overlap: Floats
    layers: tuple[str, ...]
    similarity: Floats
    provenance: Provenance
    slices: tuple[Slice, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not self.kept.shape == self.spearman.shape == self.overlap.shape:
            raise ValueError(f"{self.kept.shape} rows, {self.spearman.shape} correlations")
        if self.f1.shape != (len(self.classes), 2) or len(self.layers) != len(self.similarity):
            raise ValueError(f"f1 {self.f1.shape}, {len(self.layers)} layers")


BROKEN = 0.8
"""The median rank correlation below which reasons are called others."""


@dataclass(frozen=True)
class Sweep:
    """One model compressed by ``values`` float64 ``[point]`` of ``setting``, from least to most.

    ``before`` float64 ``[(accuracy, low, high)]`` of the model itself and ``accuracy``
    ``[point, (accuracy, low, high)]`` over ``examples`` of ``data``, Wilson intervals of 95 %; the
    share of answers that stay instead of accuracy where nothing is ``labelled``. ``agreement``
    ``[point]`` is that share. Of the examples looked at whose answer stayed, ``spearman``
    ``[point]`` is the median rank correlation of their attributions by ``method`` and ``overlap``
    the median share of the strongest tenth of inputs that is the same, NaN of none. ``bytes``,
    ``nonzero`` and ``multiply_adds`` ``[point]`` are shares of the model's own. NaN where the
    method does not fit; ``notes`` say why, one for each point.
    """

    model: str
    data: str
    examples: int
    title: str
    setting: str
    values: Floats
    labelled: bool
    before: Floats
    accuracy: Floats
    agreement: Floats
    method: str
    spearman: Floats
    overlap: Floats
    bytes: Floats
    nonzero: Floats
    multiply_adds: Floats
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        count = len(self.values)
        rows = (self.agreement, self.spearman, self.overlap, self.bytes, self.nonzero)
        if self.accuracy.shape != (count, 3) or any(len(each) != count for each in rows):
            raise ValueError(f"{count} values, accuracy {self.accuracy.shape}")

    @property
    def other_reasons(self) -> int | None:
        """The first point at which the median rank correlation is below 0.8 while the interval of
        the accuracy still holds that of the model itself; None when there is none.
        """
        for place, (_, low, high) in enumerate(self.accuracy):
            if self.spearman[place] < BROKEN and low <= self.before[0] <= high:
                return place
        return None

    @property
    def less_accurate(self) -> int | None:
        """The first point at which the interval of the accuracy lies below that of the model
        itself; None when there is none.
        """
        worse = np.flatnonzero(self.accuracy[:, 2] < self.before[0])
        return int(worse[0]) if len(worse) else None
