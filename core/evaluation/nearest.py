"""Which examples are nearest to others in a layer. Imports no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from core.results.activations import Capture

_MOST = 20_000  # right examples that are looked at, evenly spread


def nearest_right(
    capture: Capture, layer: str, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Rows of a capture that were answered rightly, each the nearest by cosine of ``layer`` to one
    of the wrong ``rows``, of its true class; those nearest of all first, int64 ``[example]``.

    Raises ``BadInput`` without labels, ``UnknownName`` for a layer that is not captured.
    """
    if capture.labels is None:
        raise BadInput("These data have no labels.", "Choose labelled data.")
    labels = np.asarray(capture.labels)
    right = np.flatnonzero(capture.predictions == labels)
    right = right[:: -(-len(right) // _MOST) or 1]
    theirs = _directions(capture, layer, right)
    best: dict[int, float] = {}
    for row, vector in zip(rows, _directions(capture, layer, rows), strict=True):
        same = np.flatnonzero(labels[right] == labels[row])
        if len(same):
            near = theirs[same] @ vector
            place = int(near.argmax())
            found = int(right[same[place]])
            best[found] = max(best.get(found, -1.0), float(near[place]))
    return np.array(sorted(best, key=lambda row: -best[row]), np.int64)


def _directions(
    capture: Capture, layer: str, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    values = capture.rows(layer, rows)
    if values.ndim > 2:
        values = np.nanmean(values, axis=tuple(range(2, values.ndim)))
    values = np.nan_to_num(values)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12), np.float32)
