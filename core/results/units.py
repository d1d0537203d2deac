"""What single units of a layer are about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.tasks import Target


@dataclass(frozen=True)
class UnitAttribution:
    """What each unit of ``layer`` adds to the ``target`` of one example: ``values`` float32
    ``[unit]``, summed over positions; positive speaks for the target. ``score`` is f(x) in
    ``unit``.
    """

    method: str
    example: str
    layer: str
    target: Target
    values: npt.NDArray[np.float32]
    score: float
    unit: str
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.dtype != np.float32:
            raise ValueError(f"values {self.values.shape} {self.values.dtype}, expected [unit]")


@dataclass(frozen=True)
class RelevantExamples:
    """What ``unit`` of ``layer`` adds to the model's answer to each of some examples of a capture:
    ``rows`` int64 ``[example]`` in it, ``values`` float32 ``[example]`` in logits (log-probability
    of a model that writes), positive where it speaks for the answer.
    """

    layer: str
    unit: int
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.rows.shape != self.values.shape or self.rows.ndim != 1:
            raise ValueError(f"{self.rows.shape} rows, {self.values.shape} values")


@dataclass(frozen=True)
class Filters:
    """The weights of a convolution: ``weight`` float32 ``[unit, channel, row, column]``."""

    model: str
    layer: str
    weight: npt.NDArray[np.float32]
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.weight.ndim != 4:
            raise ValueError(f"weight {self.weight.shape}, expected [unit, channel, row, column]")
