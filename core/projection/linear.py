"""PCA: the straight shadow of the vectors in which they differ most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from core.parameters import Value
from core.progress import Meter
from core.projection.space import Laid, Space

Floats = npt.NDArray[np.float32]


def pca(space: Space, dim: int, settings: Mapping[str, Value], seed: int, meter: Meter) -> Laid:
    """Principal components ``[example, dim]``, of scikit-learn; an axis too many is zero."""
    meter.expect(1, "principal components")
    meter.tick()
    points, explained, _ = components(space.values, dim)
    return Laid(points, "scikit-learn", explained)


def components(values: Floats, dim: int) -> tuple[Floats, tuple[float, ...], Floats]:
    """Scores ``[example, dim]``, shares of variance and axes ``[dim, unit]``.

    Signs are such that the largest weight of an axis is positive; the same values give the same
    bits.
    """
    from sklearn.decomposition import PCA

    found = min(dim, *values.shape)
    fitted = PCA(found, random_state=0).fit(values)
    scores = np.zeros((len(values), dim), np.float32)
    scores[:, :found] = fitted.transform(values)
    explained = tuple(float(share) for share in fitted.explained_variance_ratio_)
    axes = np.zeros((dim, values.shape[1]), np.float32)
    axes[:found] = fitted.components_
    return scores, explained, axes
