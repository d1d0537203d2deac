"""Attention of all layers together: where a token's content comes from in the end.

After Abnar and Zuidema 2020, "Quantifying attention flow in Transformers", arXiv 2005.00928. In an
encoder–decoder the tokens of input and output are one state that each layer changes a part of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import NotValid
from core.progress import Meter
from core.results.attention import Role

Matrix = npt.NDArray[np.float64]
_UNITS = 1_000_000  # a flow of 1: the algorithm counts in whole numbers
_MOST = 400_000_000  # edges times pairs of tokens that a flow is computed for


@dataclass(frozen=True)
class Step:
    """One layer: ``weights`` ``[query, key]``, heads already put together."""

    role: Role
    weights: Matrix


def mixed(before: Matrix, moved: Matrix) -> Matrix:
    """Half stays where it is (the residual connection), half comes by attention."""
    return 0.5 * before + 0.5 * moved


def added(before: Matrix, moved: Matrix) -> Matrix:
    """Relevance is added to what there was. Chefer et al. 2021, arXiv 2103.15679."""
    return before + moved


def rolled(
    steps: Sequence[Step], role: Role, mix: Callable[[Matrix, Matrix], Matrix] = mixed
) -> Matrix:
    """How much of each input token is in each token at the end: ``[query, key]`` of ``role``."""
    state, sources = whole(steps, mix)
    return _block(state, role, sources)


def whole(
    steps: Sequence[Step], mix: Callable[[Matrix, Matrix], Matrix] = mixed
) -> tuple[Matrix, int]:
    """The same over all tokens, those of the input and then those of the output, ``[token,
    token]``; and how many of them are of the input of an encoder.
    """
    sources, targets = _sizes(steps)
    state = np.eye(sources + targets)
    for step in steps:
        rows, columns = _spans(step.role, sources)
        state[rows] = mix(state[rows], step.weights @ state[columns])
    return state, sources


def flowed(steps: Sequence[Step], role: Role, only: int | None, meter: Meter) -> Matrix:
    """The largest flow from each token at the end to each input token, ``[query, key]``, where a
    layer's attention (half of it, and half for the residual connection) is the capacity of its
    edges; ``only`` is the one query to compute.

    Raises ``NotValid`` where that would take more than about 20 s.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_flow

    sources, targets = _sizes(steps)
    latest = list(range(sources + targets))  # the node that is each token by now
    count = len(latest)
    origins, ends, capacities = [], [], []
    for step in steps:
        rows, columns = _spans(step.role, sources)
        below = list(latest)
        for place, row in zip(range(len(latest))[rows], step.weights, strict=True):
            edges: dict[int, float] = {below[place]: 0.5}
            for node, weight in zip(below[columns], row, strict=True):
                edges[node] = edges.get(node, 0.0) + 0.5 * float(weight)
            for node, weight in edges.items():
                units = round(weight * _UNITS)
                if units:
                    origins.append(count)
                    ends.append(node)
                    capacities.append(units)
            latest[place] = count
            count += 1
    rows, columns = _spans(role, sources)
    tops, bottoms = latest[rows], range(sources + targets)[columns]
    tops = tops if only is None else tops[only : only + 1]
    if len(tops) * len(bottoms) * len(capacities) > _MOST:
        raise NotValid(
            f"The flow of {len(latest)} tokens through {len(steps)} layers would take too long.",
            "Look from one token (query), or take the rollout.",
        )
    graph = csr_matrix((np.array(capacities, np.int32), (origins, ends)), shape=(count, count))
    values = np.zeros((len(tops), len(bottoms)))
    for row, top in enumerate(tops):
        meter.check()
        for column, bottom in enumerate(bottoms):
            values[row, column] = maximum_flow(graph, top, bottom).flow_value / _UNITS
    return values


def _sizes(steps: Sequence[Step]) -> tuple[int, int]:
    """How many tokens an encoder reads, and how many a decoder."""
    sources = targets = 0
    for step in steps:
        queries, keys = step.weights.shape
        if step.role == "encoder":
            sources = queries
        elif step.role == "decoder":
            targets = queries
        else:
            targets, sources = queries, keys
    return sources, targets


def _spans(role: Role, sources: int) -> tuple[slice, slice]:
    """Queries and keys of a layer among all tokens."""
    read, written = slice(None, sources), slice(sources, None)
    return (read if role == "encoder" else written), (written if role == "decoder" else read)


def _block(state: Matrix, role: Role, sources: int) -> Matrix:
    rows, columns = _spans(role, sources)
    return state[rows, columns]
