"""Attention of two models on one example, head by head. Imports no torch: pages and commands ask it
too.
"""

from __future__ import annotations

import numpy as np

from core.errors import NotValid
from core.results.attention import AttentionMaps
from core.results.comparison import AttentionContrast


def contrasted(first: AttentionMaps, second: AttentionMaps) -> AttentionContrast:
    """How far apart the heads of the same layers look.

    Raises ``NotValid`` when the models have not as many layers and heads, or look at other tokens.
    """
    names = (first.provenance.model, second.provenance.model)
    heads = [[each.heads for each in maps.layers] for maps in (first, second)]
    if heads[0] != heads[1]:
        told = [f"'{name}' has {_said(counts)}" for name, counts in zip(names, heads, strict=True)]
        raise NotValid(
            f"{told[0]}, {told[1]}: no head is the other of another.",
            "Compare two checkpoints of one run, or a model and what compression made of it.",
        )
    roles = {each.role for each in first.layers}
    if any(_labels(first, role) != _labels(second, role) for role in roles):
        raise NotValid(
            f"'{names[0]}' and '{names[1]}' look at other tokens or patches of this example.",
            "Compare models that cut their input alike.",
        )
    distance = []
    for ours, theirs in zip(first.maps, second.maps, strict=True):
        gaps = np.abs(ours.astype(np.float64) - theirs).sum(axis=2) / 2
        distance.append(gaps.mean(axis=1))
    return AttentionContrast(*names, first.example, first.layers, tuple(distance))


def _labels(maps: AttentionMaps, role: str) -> list[tuple[str, ...]]:
    axes = (maps.queries.get(role), maps.keys.get(role))
    return [() if axis is None else axis.labels for axis in axes]


def _said(heads: list[int]) -> str:
    layers = f"{len(heads)} layer{'s' * (len(heads) != 1)}"
    return f"{layers} of {' or '.join(str(each) for each in sorted(set(heads)))} heads"
