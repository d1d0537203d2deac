"""t-SNE by openTSNE, over the exact neighbours that UMAP uses too."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.parameters import Value
from core.progress import Meter
from core.projection.linear import components
from core.projection.neighbours import neighbours
from core.projection.space import Laid, Space

_EVERY = 10
_EARLY = 250  # steps of early exaggeration
_FOURIER = 10_000  # from this many examples on, interpolation is faster than a tree


def tsne(space: Space, dim: int, settings: Mapping[str, Value], seed: int, meter: Meter) -> Laid:
    """A map ``[example, dim]`` by t-SNE (van der Maaten and Hinton 2008) as openTSNE computes it,
    from the principal components.
    """
    import openTSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count = len(space)
    perplexity = min(float(settings["perplexity"]), (count - 1) / 3)
    k = min(count - 1, int(3 * perplexity))
    indices, distances = neighbours(space, k, meter)
    known = PrecomputedNeighbors(indices.astype(np.int64), distances.astype(np.float64))
    affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=known, n_jobs=1)
    start = components(space.values, dim)[0].astype(np.float64)
    start *= 1e-4 / max(start[:, 0].std(), 1e-30)
    start += np.random.default_rng(seed).normal(0, 1e-6, start.shape)  # duplicates must come apart
    steps = int(settings["n_iter"])
    meter.expect((_EARLY + steps) // _EVERY, "t-SNE")

    def ticked(step: int, error: float, embedding: object) -> bool:
        meter.tick()
        return False

    embedding = openTSNE.TSNEEmbedding(
        start,
        affinities,
        negative_gradient_method="fft" if count >= _FOURIER and dim == 2 else "bh",
        n_jobs=1,
        random_state=seed % 2**32,
        callbacks=ticked,
        callbacks_every_iters=_EVERY,
    )
    embedding = embedding.optimize(_EARLY, exaggeration=12, momentum=0.8)
    final = float(settings["exaggeration"])
    embedding = embedding.optimize(steps, exaggeration=final, momentum=0.8)
    return Laid(np.asarray(embedding, np.float32), "openTSNE")
