"""Several maps of the same examples turned so that they can be compared by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import orthogonal_procrustes

from core.errors import BadInput

Floats = npt.NDArray[np.float32]


def aligned(maps: Sequence[Floats]) -> tuple[tuple[Floats, ...], tuple[float, ...]]:
    """Each map ``[example, dim]`` shifted, turned, mirrored and scaled as a whole to lie on the
    first one (orthogonal Procrustes, Schönemann 1966), and what is left apart: 0 for the same
    shape, at most 1. Distances within a map keep their proportions.

    Raises ``BadInput`` when maps are of different examples or dimensions.
    """
    shapes = {each.shape for each in maps}
    if len(shapes) > 1:
        raise BadInput(
            f"The maps have shapes {', '.join(map(str, sorted(shapes)))}.",
            "Align maps of the same examples in as many dimensions.",
        )
    target, centre, size = _normed(maps[0])
    found, apart = [], []
    for each in maps:
        points, _, _ = _normed(each)
        turn, scale = orthogonal_procrustes(points, target)
        found.append(np.asarray(points @ turn * scale * size + centre, np.float32))
        apart.append(float(max(0.0, 1 - scale**2)))
    return tuple(found), tuple(apart)


def _normed(
    points: Floats,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    centre = points.mean(axis=0, dtype=np.float64)
    moved = points - centre
    size = max(float(np.linalg.norm(moved)), 1e-30)
    return moved / size, centre, size
