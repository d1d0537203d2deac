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
    ``batch`` is the batch size at which most examples a second are answered, ``throughput`` how
    many.
    """

    model: str
    bytes: int
    parameters: int
    nonzero: int
    multiply_adds: int
    latency: Floats
    batch: int
    throughput: float

    @property
    def median(self) -> float:
        """The median latency in seconds."""
        return float(np.median(self.latency))

    @property
    def p95(self) -> float:
        """The latency that 95 of 100 forwards keep, in seconds."""
        return float(np.percentile(self.latency, 95))


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
class Drift:
    """A classifier ``before`` and ``after`` compression, over ``examples`` of ``data``.

    ``accuracy``, ``ece`` (calibration error) float64 ``[before, after]``, ``f1`` float64
    ``[class, (before, after)]``, NaN without labels. ``changed`` int64 are the rows whose answer is
    another, the surest before first. Of the ``kept`` rows int64, whose answer stayed, ``spearman``
    float64 ``[row]`` is the rank correlation of their attributions by ``method``, and ``overlap``
    the share of the tenth of inputs with the largest magnitude that is the same; the most changed
    first. ``similarity`` float64 ``[layer]`` is linear CKA of each of ``layers`` with itself.
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

    def __post_init__(self) -> None:
        if not self.kept.shape == self.spearman.shape == self.overlap.shape:
            raise ValueError(f"{self.kept.shape} rows, {self.spearman.shape} correlations")
        if self.f1.shape != (len(self.classes), 2) or len(self.layers) != len(self.similarity):
            raise ValueError(f"f1 {self.f1.shape}, {len(self.layers)} layers")
