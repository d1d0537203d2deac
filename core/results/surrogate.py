"""A decision tree that stands in for a model, and how far it can be trusted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.results.evaluation import Measure

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
NUMBER, FLAG, WORD = "number", "flag", "word"
"""Kinds of a feature: a number, whether something is so, whether a word is there."""


@dataclass(frozen=True)
class Surrogate:
    """A decision tree fitted to what a classifier answers, not to what is true.

    ``on`` says what it looks at: ``columns``, ``words``, ``regions`` or ``layer:<name>``, with the
    names and kinds of its ``features``. Nodes are numbered from the root, 0: ``feature`` int64
    ``[node]`` (-1 in a leaf), ``threshold`` float64 ``[node]``; an example goes to ``left`` where
    its value is at most the threshold, and to ``right`` else; ``missing`` int64 ``[node]`` is 1
    where a missing value goes left, 0 where it goes right, -1 where none is missing.
    ``fitted`` and ``held_out`` int64 ``[node, class]`` count the model's answers to the examples
    that the tree was fitted to and to those that it was not. ``answer`` int64 ``[node]`` is the
    class that the node says, ``agreement`` float64 ``[node, (share, low, high)]`` how often the
    model says the same of held-out examples there, with its 95 % interval (NaN of none).
    ``measures`` are over the held-out examples: fidelity and, where there are labels, accuracy.

    ``rows`` int64 ``[example]`` are places in the data, ``leaf`` int64 ``[example]`` the leaf of
    each and ``tested`` whether it was held out. ``path`` int64 ``[step]`` are the nodes through
    which the ``example`` in hand goes, ``values`` float64 ``[feature]`` its features and ``said``
    the model's answer to it; without one the path is empty and ``said`` is -1. ``file`` is the tree
    as scikit-learn's, stored by skops; empty where that is not installed.
    """

    model: str
    data: str
    on: str
    classes: tuple[str, ...]
    features: tuple[str, ...]
    kinds: tuple[str, ...]
    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    missing: Integers
    fitted: Integers
    held_out: Integers
    answer: Integers
    agreement: Floats
    measures: tuple[Measure, ...]
    rows: Integers
    leaf: Integers
    tested: npt.NDArray[np.bool_]
    example: str
    path: Integers
    values: Floats
    said: int
    file: bytes
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        nodes = self.feature.shape
        for each in (self.threshold, self.left, self.right, self.missing, self.answer):
            if each.shape != nodes:
                raise ValueError(f"{each.shape}, {nodes[0]} nodes")
        for counts in (self.fitted, self.held_out):
            if counts.shape != (*nodes, len(self.classes)):
                raise ValueError(f"{counts.shape}, {nodes[0]} nodes, {len(self.classes)} classes")
        if self.agreement.shape != (*nodes, 3) or len(self.kinds) != len(self.features):
            raise ValueError(f"agreement {self.agreement.shape}, {len(self.features)} features")
        if not self.rows.shape == self.leaf.shape == self.tested.shape:
            raise ValueError(f"{self.rows.shape} rows, {self.leaf.shape} leaves")

    @property
    def leaves(self) -> tuple[int, ...]:
        """The nodes that say an answer, in the order in which the tree is drawn."""
        return tuple(node for node in self.order if self.feature[node] < 0)

    @property
    def order(self) -> tuple[int, ...]:
        """All nodes, each before its children, and those where the condition holds first."""
        found, waiting = [], [0]
        while waiting:
            node = waiting.pop()
            found.append(node)
            if self.feature[node] >= 0:
                waiting += reversed(self.branches(node))
        return tuple(found)

    def branches(self, node: int) -> tuple[int, int]:
        """Where an example goes from ``node`` if its ``condition`` holds, and if it does not."""
        sides = int(self.left[node]), int(self.right[node])
        return sides if self.kinds[self.feature[node]] == NUMBER else (sides[1], sides[0])

    def condition(self, node: int, holds: bool = True) -> str:
        """The question of a node as people write it, or its opposite."""
        feature = int(self.feature[node])
        name, kind = self.features[feature], self.kinds[feature]
        if kind == WORD:
            return f"has “{name}”" if holds else f"has no “{name}”"
        if kind == FLAG:
            return name if holds else name.replace(" = ", " ≠ ", 1)
        also = " or missing" if self.missing[node] == holds else ""
        return f"{name} {'≤' if holds else '>'} {self.threshold[node]:.9g}{also}"

    def depth_of(self, node: int) -> int:
        """How many questions lie before a node."""
        depth, parents = 0, self.parents
        while node:
            node, depth = parents[node], depth + 1
        return depth

    @property
    def parents(self) -> dict[int, int]:
        """The node above each but the root."""
        inner = [node for node in range(len(self.feature)) if self.feature[node] >= 0]
        return {child: node for node in inner for child in self.branches(node)}

    @property
    def depth(self) -> int:
        """The most questions that lie before an answer."""
        return max(self.depth_of(leaf) for leaf in self.leaves)

    def measure(self, name: str) -> Measure | None:
        """One of the measures, None where it was not computed."""
        return next((each for each in self.measures if each.name == name), None)
