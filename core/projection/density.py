"""More points than a screen has room for: how many lie where, and which lie inside an outline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]
WHOLE: Box = (-1.0, -1.0, 1.0, 1.0)
BINS = 384  # cells along a side: 144 KiB for a picture


def density(
    places: npt.NDArray[np.float32], box: Box = WHOLE, bins: int = BINS
) -> npt.NDArray[np.uint8]:
    """How many of ``places [point, 2]`` lie in each cell of ``box`` (left, low, right, high), uint8
    ``[row, column]``, the first row on top. 0 is none; else 1 to 255 by the logarithm of the count,
    so that single points stay visible beside crowds.
    """
    left, low, right, high = box
    counts, _, _ = np.histogram2d(
        places[:, 1], places[:, 0], bins, range=((low, high), (left, right))
    )
    counts = counts[::-1]
    most = max(float(counts.max()), 1.0)
    share = np.log1p(counts) / np.log1p(most)
    return np.where(counts > 0, np.maximum(1, np.rint(255 * share)), 0).astype(np.uint8)


def within(places: npt.NDArray[np.float32], box: Box) -> npt.NDArray[np.int64]:
    """Rows of ``places [point, 2]`` that lie in ``box`` (left, low, right, high)."""
    left, low, right, high = box
    x, y = places[:, 0], places[:, 1]
    return np.flatnonzero((x >= left) & (x <= right) & (y >= low) & (y <= high))


def inside(
    places: npt.NDArray[np.float32], outline: Sequence[Sequence[float]]
) -> npt.NDArray[np.int64]:
    """Rows of ``places [point, 2]`` inside a polygon ``[corner, 2]``, by the even-odd rule; none
    for fewer than three corners.
    """
    corners = np.asarray(outline, np.float64).reshape(-1, 2)
    if len(corners) < 3 or not np.isfinite(corners).all():
        return np.empty(0, np.int64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    rows = within(places, (low[0], low[1], high[0], high[1]))
    x, y = places[rows, 0].astype(np.float64), places[rows, 1].astype(np.float64)
    found = np.zeros(len(rows), bool)
    for (a, b), (c, d) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if b != d:
            crossed = (b > y) != (d > y)
            found ^= crossed & (x < (c - a) * (y - b) / (d - b) + a)
    return rows[found]
