"""UMAP by two engines behind one declaration.

umap-learn is the reference, but compiles for many seconds in every process. Ours starts at once:
exact neighbours, the same graph, a layout of array operations from the principal components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import BadParameter
from core.parameters import Value
from core.progress import Meter
from core.projection import compiled, fuzzy, layout
from core.projection.linear import components
from core.projection.neighbours import kept, neighbours
from core.projection.space import Laid, Space

Floats = npt.NDArray[np.float32]
USUAL = (1.0, 0.1)  # spread and min_dist of the map from which all others are refined
_REFINED = 0.1  # epochs of a refinement, as a share of all
_GENTLE = 0.25  # the first step of a refinement
# Above this many pairs of examples times units comparing all of them takes longer than umap-learn
# needs with approximate neighbours, compilation included.
_MOST_COMPARED = 2e13


def umap(space: Space, dim: int, settings: Mapping[str, Value], seed: int, meter: Meter) -> Laid:
    """A map ``[example, dim]`` by UMAP, arXiv 1802.03426.

    Raises ``BadParameter`` when ``min_dist`` is larger than ``spread``.
    """
    if float(settings["min_dist"]) > float(settings["spread"]):
        raise BadParameter(
            f"The least distance {settings['min_dist']} is larger than the spread "
            f"{settings['spread']}.",
            "Make the spread at least as large.",
        )
    if chosen_engine(str(settings["engine"]), space.values.shape) == "umap-learn":
        return Laid(_reference(space, dim, settings, seed, meter), "umap-learn")
    return Laid(_own(space, dim, settings, seed, meter), "fluoroscope")


def chosen_engine(engine: str, shape: tuple[int, ...]) -> str:
    """Who computes: for ``auto`` our own as long as comparing all pairs is the faster way."""
    if engine != "auto":
        return engine
    return "umap-learn" if float(shape[0]) ** 2 * shape[1] > _MOST_COMPARED else "fluoroscope"


def _epochs(settings: Mapping[str, Value], count: int) -> int:
    return int(settings["n_epochs"]) or (500 if count <= 10_000 else 200)


def _own(space: Space, dim: int, settings: Mapping[str, Value], seed: int, meter: Meter) -> Floats:
    """The usual map, and from it the one asked for: a change of ``min_dist`` is a refinement, and
    the result does not depend on what was asked before.
    """
    k = int(settings["n_neighbors"]) - 1
    indices, distances = neighbours(space, k, meter)
    graph = fuzzy.graph(indices, distances)
    epochs, rate = _epochs(settings, len(space)), int(settings["negative_sample_rate"])

    def usual() -> dict[str, Any]:
        start = components(space.values, dim)[0]
        start *= np.float32(10 / max(float(np.abs(start).max()), 1e-30))
        noise = np.random.default_rng(seed).normal(0, 1e-4, start.shape)
        forces = layout.Forces(*fuzzy.curve(*USUAL), rate)
        start += noise.astype(np.float32)  # duplicates must come apart
        return {"points": layout.layout(graph, start, epochs, forces, seed, meter)}

    key = space.key(usual=[k, dim, epochs, rate, seed])
    points: Floats = kept(key, usual)["points"]
    wanted = (float(settings["spread"]), float(settings["min_dist"]))
    if wanted == USUAL:
        return points
    forces = layout.Forces(*fuzzy.curve(*wanted), rate, _GENTLE)
    few = max(30, round(_REFINED * epochs))
    scaled = points * np.float32(wanted[0] / USUAL[0])
    return layout.layout(graph, scaled, few, forces, seed, meter)


def _reference(
    space: Space, dim: int, settings: Mapping[str, Value], seed: int, meter: Meter
) -> Floats:
    """umap-learn's own, one at a time in this process; its neighbour graph is kept."""
    meter.expect(2, "umap-learn")
    meter.tick()
    with compiled.alone():
        from scipy import sparse
        from umap.umap_ import fuzzy_simplicial_set, simplicial_set_embedding

        k = int(settings["n_neighbors"])

        def graph() -> dict[str, Any]:
            found = fuzzy_simplicial_set(
                space.values, k, np.random.RandomState(seed % 2**32), "euclidean"
            )[0].tocoo()
            return {"row": found.row, "col": found.col, "data": found.data}

        edges = kept(space.key(umap_learn=[k, seed]), graph)
        meter.tick()
        count = len(space)
        a, b = fuzzy.curve(float(settings["spread"]), float(settings["min_dist"]))
        points, _ = simplicial_set_embedding(
            space.values,
            sparse.coo_matrix((edges["data"], (edges["row"], edges["col"])), (count, count)),
            dim,
            1.0,
            a,
            b,
            1.0,
            int(settings["negative_sample_rate"]),
            _epochs(settings, count),
            "spectral",
            np.random.RandomState(seed % 2**32),
            "euclidean",
            {},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
        )
    return np.asarray(points, np.float32)
