"""What each input feature contributed to one output of one example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.results.architecture import Fit
from core.tasks import FeatureAxis, Target


@dataclass(frozen=True)
class Attribution:
    """Signed values of one method for one example and one target; never normalised.

    ``values`` is float32 with the shape of ``axis``: ``[channel, row, column]`` for an image, where
    a method that does not tell channels apart (Grad-CAM) has one channel, ``[token]`` for a text.
    Positive speaks for the target where the values are ``signed``. ``score`` and
    ``baseline_score`` are f(x) and f(baseline) in logits (log-probabilities for sequences);
    ``delta = sum(values) - (score - baseline_score)`` in the same units, or None where the theory
    promises no completeness. ``picture`` is uint8 ``[row, column, 3]``, None for a text.
    """

    method: str
    example: str
    target: Target
    axis: FeatureAxis
    values: npt.NDArray[np.float32]
    score: float
    fit: Fit
    settings: Mapping[str, Any]
    picture: npt.NDArray[np.uint8] | None
    provenance: Provenance
    baseline_score: float | None = None
    delta: float | None = None
    signed: bool = True
    unit: str = "logits"

    def __post_init__(self) -> None:
        shape = self.axis.shape
        if self.values.shape not in (shape, (1, *shape[1:])):
            raise ValueError(
                f"values have shape {self.values.shape}, expected that of the axis, {shape}"
                + (f" or {(1, *shape[1:])}" if len(shape) > 1 else "")
            )
        if self.values.dtype != np.float32:
            raise ValueError(f"values are {self.values.dtype}, expected float32")

    @property
    def heatmap(self) -> npt.NDArray[np.float32]:
        """Values summed over channels, ``[row, column]``."""
        total: npt.NDArray[np.float32] = self.values.sum(axis=0, dtype=np.float32)
        return total


@dataclass(frozen=True)
class MeanWord:
    """A word over several texts: its mean contribution where it occurs, and in how many texts."""

    word: str
    mean: float
    texts: int
