"""UMAP's layout, many edges at a time: neighbours pull, random others push.

umap-learn moves one edge after the other in compiled code that every process compiles anew. Here
each epoch is a few array operations. The edges of an epoch are moved in several parts, drawn at
random, so that a point with many neighbours does not overshoot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.progress import Meter

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]
_PARTS = 4
_CLIP = 4.0  # longest gradient along an axis, as in umap-learn
_REPORTS = 50


@dataclass(frozen=True)
class Forces:
    """The shape of the map: ``a`` and ``b`` of ``core.projection.fuzzy.curve``, how many points
    push for each that pulls, and the first step's size.
    """

    a: float
    b: float
    negative_sample_rate: int = 5
    rate: float = 1.0


def layout(
    graph: Any, start: Floats, epochs: int, forces: Forces, seed: int, meter: Meter
) -> Floats:
    """Points ``[example, dim]`` from ``start``, pulled along ``graph``, a scipy COO matrix.

    An edge of weight ``w`` is moved in a share of ``w / max w`` of the epochs; steps shrink
    linearly to zero. The same arguments give the same bits. UMAP, arXiv 1802.03426, section 4.2.
    """
    weight = graph.data / graph.data.max()
    strong = weight >= 1 / epochs
    return _moved(
        start,
        start,
        (graph.row[strong], graph.col[strong], weight[strong]),
        epochs,
        forces,
        seed,
        meter,
        anchored=False,
    )


def settle(
    weights: npt.NDArray[np.floating],
    indices: npt.NDArray[np.integer],
    start: Floats,
    known: Floats,
    epochs: int,
    forces: Forces,
    seed: int,
    meter: Meter,
) -> Floats:
    """New points ``[query, dim]`` from ``start``, pulled by known ones that stay where they are:
    ``indices`` and ``weights`` are ``[query, neighbour]``.
    """
    rows = np.repeat(np.arange(len(start)), indices.shape[1])
    edges = (rows, indices.ravel(), weights.ravel() / weights.max())
    return _moved(start, known, edges, epochs, forces, seed, meter, anchored=True)


def _moved(
    start: Floats,
    others: Floats,
    edges: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]],
    epochs: int,
    forces: Forces,
    seed: int,
    meter: Meter,
    *,
    anchored: bool,
) -> Floats:
    import torch

    chance = torch.Generator().manual_seed(seed % 2**63)
    head, tail = (torch.from_numpy(each.astype(np.int64)) for each in edges[:2])
    share = torch.from_numpy(edges[2].astype(np.float32))
    phase = torch.rand(len(share), generator=chance)
    points = torch.tensor(start)
    fixed = torch.tensor(others) if anchored else points
    every = max(1, epochs // _REPORTS)
    meter.expect(-(-epochs // every), "layout")
    for epoch in range(epochs):
        if epoch % every == 0:
            meter.tick()
        due = (phase + share * (epoch + 1)).floor() > (phase + share * epoch).floor()
        moving = due.nonzero()[:, 0]
        moving = moving[torch.randperm(len(moving), generator=chance)]
        rate = forces.rate * (1 - epoch / epochs)
        for part in moving.chunk(_PARTS):
            _step(points, fixed, head[part], tail[part], forces, rate, chance, anchored)
    found: Floats = points.numpy()
    return found


def _step(
    points: Tensor,
    fixed: Tensor,
    head: Tensor,
    tail: Tensor,
    forces: Forces,
    rate: float,
    chance: Any,
    anchored: bool,
) -> None:
    """Move both ends of some edges together, or the heads alone, and push the heads away from
    random points.
    """
    import torch

    a, b = forces.a, forces.b
    here = points[head]
    apart = here - fixed[tail]
    square = (apart * apart).sum(1)
    power = square.clamp_min(1e-12) ** (b - 1)
    pull = torch.where(square > 0, -2 * a * b * power / (1 + a * power * square), 0.0)
    pulled = (pull[:, None] * apart).clamp_(-_CLIP, _CLIP)
    strangers = torch.randint(
        len(fixed), (forces.negative_sample_rate, len(head)), generator=chance
    )
    away = here - fixed[strangers]
    square = (away * away).sum(2)
    push = 2 * b / ((1e-3 + square) * (1 + a * square**b))
    pushed = (push[..., None] * away).clamp_(-_CLIP, _CLIP).sum(0)
    change = torch.zeros_like(points).index_add_(0, head, pulled + pushed)
    if not anchored:
        change.index_add_(0, tail, -pulled)
    points += rate * change
