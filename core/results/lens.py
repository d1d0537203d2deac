"""What a Transformer would answer after each of its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LogitLens:
    """The answer of each block in each position: of a model that writes, every token that it wrote;
    of a classifier a single one.

    ``answers`` are the model's own; ``best`` the likeliest ``[layer][position][rank]`` with
    ``probabilities`` float32 of that shape. ``rank`` int64 ``[layer, position]`` is the place of
    the model's answer, 0 the likeliest, ``chance`` float32 its probability there, and
    ``divergence`` float32 the Kullback–Leibler divergence of the model's distribution from that of
    the layer, in nats, 0 where they agree.
    """

    example: str
    layers: tuple[str, ...]
    positions: tuple[str, ...]
    answers: tuple[str, ...]
    best: tuple[tuple[tuple[str, ...], ...], ...]
    probabilities: Floats
    rank: npt.NDArray[np.int64]
    chance: Floats
    divergence: Floats
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (len(self.layers), len(self.positions))
        for each in (self.rank, self.chance, self.divergence, self.probabilities[..., 0]):
            if each.shape != shape:
                raise ValueError(f"{each.shape}, expected {shape} of layers and positions")
