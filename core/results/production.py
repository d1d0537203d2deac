"""What a model wrote about one example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance


@dataclass(frozen=True)
class Production:
    """A produced text with its ``tokens`` and the probability ``[token]`` of each, given the input
    and the tokens before it. ``notes`` say what had to be done to the input.
    """

    example: str
    text: str
    tokens: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    provenance: Provenance
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.tokens),):
            raise ValueError(
                f"probabilities {self.probabilities.shape}, expected ({len(self.tokens)},)"
            )
