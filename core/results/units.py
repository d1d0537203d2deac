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
