"""Decision trees of a stranger's file: that every index in them stays inside its array.

scikit-learn follows the children and features of a tree without looking: a forged one would read
memory that is not its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import BadModel

_DEEPEST = 60


def check(estimator: Any, name: str) -> None:
    """Raise ``BadModel`` when a tree in it is out of order."""
    for each in _parts(estimator, set(), 0):
        if not _in_order(each):
            raise BadModel(
                f"A decision tree in '{name}' points outside of itself.",
                "The file is damaged or forged: save the estimator again.",
            )


def _in_order(part: Any) -> bool:
    features = int(getattr(part, "n_features_in_", 0) or 0)
    tree = getattr(part, "tree_", None)
    if tree is not None and hasattr(tree, "children_left"):
        return _tree(tree, features)
    if hasattr(part, "_predictors"):
        return all(_grown(each, features) for stage in part._predictors for each in stage)
    members = getattr(part, "estimators_", None)
    if members is not None:
        widths = {
            int(each.n_features_in_)
            for each in np.ravel(np.asarray(members, dtype=object))
            if hasattr(each, "tree_")
        }
        # The first member speaks for all when an ensemble checks its input.
        return len(widths) <= 1 and all(width <= features for width in widths)
    return True


def _tree(tree: Any, features: int) -> bool:
    left, right, used = tree.children_left, tree.children_right, tree.feature
    split = left != -1
    return (
        len(left) > 0
        and bool((split == (right != -1)).all())
        and _forwards(left, split)
        and _forwards(right, split)
        and bool(((used >= 0) & (used < features))[split].all())
    )


def _grown(predictor: Any, features: int) -> bool:
    nodes = predictor.nodes
    split = ~nodes["is_leaf"].astype(bool)
    by_category = split & nodes["is_categorical"].astype(bool)
    sets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
    used = nodes["feature_idx"].astype(np.int64)
    return (
        len(nodes) > 0
        and _forwards(nodes["left"].astype(np.int64), split)
        and _forwards(nodes["right"].astype(np.int64), split)
        and bool(((used >= 0) & (used < features))[split].all())
        and bool((nodes["bitset_idx"].astype(np.int64) < sets)[by_category].all())
    )


def _forwards(child: npt.NDArray[np.integer], split: npt.NDArray[np.bool_]) -> bool:
    """Children come after their parent and before the end: no circle, nothing outside."""
    places = np.arange(len(child))
    return bool(((child > places) & (child < len(child)))[split].all())


def _parts(value: Any, seen: set[int], depth: int) -> Iterator[Any]:
    """An estimator and all that is in it."""
    if depth > _DEEPEST or id(value) in seen or isinstance(value, str | bytes | int | float):
        return
    seen.add(id(value))
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif isinstance(value, np.ndarray):
        inside = list(value.ravel()) if value.dtype == object else []
    elif hasattr(value, "__dict__"):
        yield value
        inside = list(vars(value).values())
    for each in inside:
        yield from _parts(each, seen, depth + 1)
