"""UMAP's graph: how strongly each pair of neighbours belongs together."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_BISECTIONS = 64
_LEAST = 1e-3  # of the mean distance: the smallest scale, as in umap-learn


def strengths(distances: Floats, k: int) -> Doubles:
    """How near each neighbour is from where an example stands, 0 to 1, for distances
    ``[example, neighbour]``: ``exp(-(d - rho) / sigma)`` with the distance ``rho`` to the nearest
    other and ``sigma`` such that they sum to ``log2(k)``. UMAP, arXiv 1802.03426, section 3.1.
    """
    found = distances.astype(np.float64)
    nearest = np.where(found > 0, found, np.inf).min(axis=1, initial=np.inf)
    nearest[~np.isfinite(nearest)] = 0
    beyond = np.maximum(found - nearest[:, None], 0)
    low, high, sigma = np.zeros(len(found)), np.full(len(found), np.inf), np.ones(len(found))
    for _ in range(_BISECTIONS):
        above = np.exp(-beyond / sigma[:, None]).sum(axis=1) > np.log2(k)
        high, low = np.where(above, sigma, high), np.where(above, low, sigma)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
    mean = np.where(nearest > 0, found.mean(axis=1), found.mean())
    sigma = np.maximum(sigma, np.maximum(_LEAST * mean, np.finfo(np.float64).tiny))
    weights: Doubles = np.exp(-beyond / sigma[:, None])
    return weights


def graph(indices: npt.NDArray[np.integer], distances: Floats) -> Any:
    """The symmetric graph of all examples, a scipy COO matrix ``[example, example]``: the fuzzy
    union ``a + b - a b`` of both directions. ``k`` counts the example itself, as UMAP does.
    """
    from scipy import sparse

    count, others = indices.shape
    weights = strengths(distances, others + 1)
    rows = np.repeat(np.arange(count), others)
    one = sparse.csr_matrix((weights.ravel(), (rows, indices.ravel())), shape=(count, count))
    other = one.T.tocsr()
    union = (one + other - one.multiply(other)).tocoo()
    union.eliminate_zeros()
    return union


@cache
def curve(spread: float, min_dist: float) -> tuple[float, float]:
    """``a`` and ``b`` of ``1 / (1 + a d^2b)``, the strength of a pair at distance ``d`` in the map,
    fitted to 1 up to ``min_dist`` and an exponential decay of scale ``spread`` beyond it.
    """
    from scipy.optimize import curve_fit

    distance = np.linspace(0, 3 * spread, 300)
    wanted = np.where(distance < min_dist, 1, np.exp(-(distance - min_dist) / spread))
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), distance, wanted)
    return float(a), float(b)
