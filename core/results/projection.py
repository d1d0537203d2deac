"""The map of what a network knows: vectors of many units, drawn with two or three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance

Floats = npt.NDArray[np.float32]
FALSE = 0.5  # a point is marked where at least this share of its neighbours is false


@dataclass(frozen=True)
class Trust:
    """How far a map can be believed; everything from 0 to 1, high is good but for
    ``false_neighbours``.

    ``trustworthiness``: what lies near in the map is near in the space (Venna and Kaski 2001);
    ``continuity``: what is near in the space lies near in the map; ``kept``: the share of the ``k``
    nearest neighbours that is the same in both. ``false_neighbours`` float32 ``[example]``: the
    share of a point's ``k`` neighbours in the map that is not among its ``3 k`` nearest in the
    space; NaN where it was not looked at, since only ``judged`` of all points were.
    """

    k: int
    judged: int
    trustworthiness: float
    continuity: float
    kept: float
    false_neighbours: Floats

    @property
    def marked(self) -> npt.NDArray[np.bool_]:
        """Points at least half of whose neighbours are false."""
        found: npt.NDArray[np.bool_] = self.false_neighbours >= FALSE
        return found

    @property
    def sentence(self) -> str:
        """How many points these numbers rest on, in words."""
        total = len(self.false_neighbours)
        if self.judged == total:
            return f"judged on all {total:,} points, {self.k} neighbours each"
        return f"judged on {self.judged:,} of {total:,} points, {self.k} neighbours each"


@dataclass(frozen=True)
class Projection:
    """Points of a map: ``points`` float32 ``[example, 2 or 3]``, one per id.

    ``method`` and ``parameters`` as in ``core.projection.reducers``; ``engine`` is the program that
    computed it. ``source`` names what was projected; its SHA-256 is in the provenance's inputs.
    ``explained``: of PCA, the share of the variance along each axis. ``stability``: the share of
    neighbours that a map with another seed keeps, None where there was no other or no seed is used.
    ``notes`` say what was assumed of the input.
    """

    points: Floats
    ids: tuple[str, ...]
    source: str
    method: str
    engine: str
    parameters: Mapping[str, Any]
    seed: int
    trust: Trust | None
    stability: float | None
    explained: tuple[float, ...]
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        count = len(self.ids)
        if self.points.ndim != 2 or self.points.shape[1] not in (2, 3):
            raise ValueError(f"points {self.points.shape}, expected [example, 2 or 3]")
        if self.points.dtype != np.float32:
            raise ValueError(f"points are {self.points.dtype}, expected float32")
        if len(self.points) != count:
            raise ValueError(f"{len(self.points)} points, {count} ids")
        if self.trust is not None and self.trust.false_neighbours.shape != (count,):
            raise ValueError(f"trust of {len(self.trust.false_neighbours)} points, {count} ids")

    @property
    def seconds(self) -> float:
        """Wall time of the computation, without reading the input."""
        return self.provenance.seconds


@dataclass(frozen=True)
class Placement:
    """New points in a finished map: ``points`` float32 ``[example, 2 or 3]``.

    ``strangeness`` float32 ``[example]``: the distance to the nearest known example over the median
    distance of known examples to theirs; about 1 is ordinary, far above 1 means that the map knows
    nothing like it and its place means little.
    """

    points: Floats
    ids: tuple[str, ...]
    source: str
    strangeness: Floats
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.points.shape[:1] != self.strangeness.shape or len(self.ids) != len(self.points):
            raise ValueError(
                f"{len(self.ids)} ids, points {self.points.shape}, {self.strangeness.shape}"
            )


@dataclass(frozen=True)
class Clusters:
    """Groups of examples: ``labels`` int64 ``[example]``, -1 for those in none; ``names`` by group;
    ``strength`` float32 ``[example]``, 0 to 1, how much an example belongs to its group.
    """

    labels: npt.NDArray[np.int64]
    strength: Floats
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.labels.shape != self.strength.shape:
            raise ValueError(f"{self.labels.shape} labels, {self.strength.shape} strengths")
