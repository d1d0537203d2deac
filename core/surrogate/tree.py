"""A decision tree as arrays, with what goes through each of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_FINE = 0.005  # of a feature's standard deviation: thresholds are not finer without need


@dataclass(frozen=True)
class Grown:
    """A fitted scikit-learn tree. ``passed`` bool ``[example, node]`` says through which nodes each
    example goes, ``leaf`` int64 ``[example]`` where it ends, ``said`` the class that it is given.
    """

    tree: Any
    passed: npt.NDArray[np.bool_]
    leaf: Integers
    said: Integers


def grown(
    values: Floats, answers: Integers, fitted: Integers, depth: int, min_leaf: int, seed: int
) -> Grown:
    """The tree that tells the ``answers`` ``[example]`` of the examples ``fitted`` apart by their
    ``values`` ``[example, feature]``, and the way of every example through it.

    Thresholds are rounded as far as each fitted example still goes where it went before.
    """
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=min_leaf, random_state=seed)
    given = values.astype(np.float32)
    tree.fit(given[fitted], answers[fitted])
    _round(tree, given[fitted])
    passed = tree.decision_path(given).toarray().astype(bool)
    leaf = np.asarray(tree.apply(given), np.int64)
    return Grown(tree, passed, leaf, np.asarray(tree.predict(given), np.int64))


def counts(passed: npt.NDArray[np.bool_], answers: Integers, classes: int) -> Integers:
    """How many examples of each class go through each node, int64 ``[node, class]``."""
    return passed.T.astype(np.int64) @ np.eye(classes, dtype=np.int64)[answers]


def _round(tree: Any, values: npt.NDArray[np.float32]) -> None:
    nodes = tree.tree_
    passed = tree.decision_path(values).tocsc()
    spread = np.nanstd(values.astype(np.float64), axis=0)
    for node in np.flatnonzero(nodes.feature >= 0):
        rows = passed.indices[passed.indptr[node] : passed.indptr[node + 1]]
        here = values[rows, nodes.feature[node]].astype(np.float64)
        exact = float(nodes.threshold[node])
        low = here[here <= exact].max(initial=-np.inf)
        high = here[here > exact].min(initial=np.inf)
        first = -int(np.floor(np.log10(_FINE * spread[nodes.feature[node]])))
        for digits in range(first, first + 8):
            short = round(exact, digits) + 0.0
            if low <= short < high:
                nodes.threshold[node] = short
                break
