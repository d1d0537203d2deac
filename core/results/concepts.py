"""Whether the answers of a model lean on concepts that people have words for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.tasks import Target

Floats = npt.NDArray[np.float64]
ALPHA = 0.05


@dataclass(frozen=True)
class ConceptScores:
    """TCAV of ``concepts`` in ``layers`` for one ``target``, over ``examples`` of that class.

    ``scores`` float64 ``[concept, layer, repeat]`` are TCAV scores: the share of these examples, 0
    to 1, whose score rises towards the concept; one repeat for each set of random examples that the
    concept is held against. ``sensitivity``, of the same shape, is how strongly: the mean
    derivative along the concept over the mean length of a gradient, -1 to 1. ``accuracy``
    ``[concept, layer]`` is how often the direction tells held-out examples of the concept from
    random ones; 0.5 is chance. ``random`` ``[concept, layer, draw]`` are mean sensitivities of sets
    of as many examples drawn at random, in place of the concept. ``p`` ``[concept, layer]`` says
    how likely a random set is as unusual, two-sided, corrected for the number of concepts and
    layers (Bonferroni); it is below 5 % from ``reach`` standard deviations of ``random`` on.
    ``sizes`` is how many examples of a concept there are, ``used`` how many of them at once.
    """

    model: str
    data: str
    target: Target
    concepts: tuple[str, ...]
    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    used: tuple[int, ...]
    examples: int
    scores: Floats
    sensitivity: Floats
    accuracy: Floats
    random: Floats
    p: Floats
    reach: float
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (len(self.concepts), len(self.layers))
        if not self.scores.shape[:2] == self.random.shape[:2] == shape:
            raise ValueError(f"scores {self.scores.shape}, random {self.random.shape}, not {shape}")
        if self.sensitivity.shape != self.scores.shape:
            raise ValueError(f"sensitivity {self.sensitivity.shape}, scores {self.scores.shape}")
        if not self.accuracy.shape == self.p.shape == shape:
            raise ValueError(f"accuracy {self.accuracy.shape}, p {self.p.shape}, not {shape}")

    @property
    def told(self) -> npt.NDArray[np.bool_]:
        """Whether a concept can be told from random sets, bool ``[concept, layer]``; only then its
        score means anything.
        """
        found: npt.NDArray[np.bool_] = self.p < ALPHA
        return found

    def band(self, concept: int, layer: int) -> tuple[float, float]:
        """Between which sensitivities a concept cannot be told from random sets, cut at -1 and 1:
        where 95 % of them lie, corrected as ``p`` is.
        """
        found = self.random[concept, layer]
        spread = self.reach * float(found.std(ddof=1))
        middle = float(found.mean())
        return max(-1.0, middle - spread), min(1.0, middle + spread)
