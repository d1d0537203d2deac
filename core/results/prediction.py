"""What a model answered about one example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.tasks import FeatureAxis, ranked


@dataclass(frozen=True)
class Prediction:
    """Logits and probabilities ``[class]`` of one example, and what the network saw of it.

    For sequences the classes are the produced tokens and their whole, with log-probabilities as
    logits. ``picture`` is an image after preprocessing and before normalisation, for people to look
    at: uint8 ``[row, column, 3]``; None for a text. ``notes`` say what had to be done to the input.
    """

    example: str
    classes: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    axis: FeatureAxis
    picture: npt.NDArray[np.uint8] | None
    provenance: Provenance
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.classes),)
        if self.logits.shape != expected or self.probabilities.shape != expected:
            raise ValueError(
                f"logits {self.logits.shape} and probabilities {self.probabilities.shape} must "
                f"have shape [class] = {expected}"
            )

    def top(self, count: int) -> tuple[int, ...]:
        """Indices of the ``count`` most likely classes, most likely first."""
        return tuple(int(index) for index in ranked(self.classes, self.logits)[:count])
