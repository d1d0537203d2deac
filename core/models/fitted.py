"""What a saved estimator learned about its classes and columns, from its file alone.

Names, categories, means and spreads as the steps of a pipeline hold them: ``feature_names_in_``,
``classes_``, and what imputers, scalers and encoders keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from core.data.table import Feature
from core.models.skopsfile import Saved

_INNER = ("best_estimator_", "estimator_", "estimator")
_MOST_CLASSES = 10_000


def classes_of(saved: Saved) -> tuple[str, ...]:
    """The classes of a classifier, of the last step of a pipeline, of what a search found best."""
    classes = saved.state("classes_")
    if classes is not None and np.ndim(classes) == 1 and len(classes) <= _MOST_CLASSES:
        return tuple(str(each) for each in classes)
    for inner in _inner(saved, -1):
        if found := classes_of(inner):
            return found
    return ()


def columns_of(saved: Saved) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """The columns that an estimator reads, numbered ones where it was fitted without names; and the
    usual text of some of them, as an imputer has it.

    ``mean`` and ``std`` are 0 where nothing is known of them.
    """
    names = _names(saved)
    known = {name: Feature(name, std=0.0) for name in names}
    usual: dict[str, str] = {}
    with suppress(TypeError, ValueError, KeyError, IndexError, RecursionError):  # what it has, then
        _learn(saved, list(names), known, usual)
    return tuple(known[name] for name in names), usual


def _names(saved: Saved) -> tuple[str, ...]:
    names, count = saved.state("feature_names_in_"), saved.state("n_features_in_")
    if names is not None and np.ndim(names) == 1:
        return tuple(dict.fromkeys(str(each) for each in names))
    for inner in _inner(saved, 0):
        if found := _names(inner):
            return found
    return tuple(f"x{place}" for place in range(count)) if isinstance(count, int) else ()


def _inner(saved: Saved, step: int) -> list[Saved]:
    steps = saved.state("steps")
    found = [steps[step][1]] if steps else [saved.state(name) for name in _INNER]
    return [each for each in found if isinstance(each, Saved)]


def _learn(
    saved: Any, names: Sequence[str], known: dict[str, Feature], typical: dict[str, str]
) -> bool:
    """Write down what a step knows of the columns it is handed; whether these are the same columns
    after it.
    """
    if not isinstance(saved, Saved):
        return saved in ("passthrough", None)
    if steps := saved.state("steps"):
        return all(_learn(step[1], names, known, typical) for step in steps)
    if parts := saved.state("transformers_"):
        for part in parts:
            _learn(part[1], _picked(part[2], names), known, typical)
        return False
    if (best := saved.state("best_estimator_")) is not None:
        return _learn(best, names, known, typical)
    categories, usual = saved.state("categories_"), saved.state("statistics_")
    mean, spread = saved.state("mean_"), saved.state("scale_")
    if categories is not None:
        for name, each in zip(names, categories, strict=False):
            texts = tuple(str(one) for one in each if one is not None and one == one)
            known[name] = replace(known[name], categories=texts)
    elif usual is not None:
        for name, one in zip(names, usual, strict=False):
            number = isinstance(one, int | float | np.number) and bool(np.isfinite(float(one)))
            typical |= {name: one} if isinstance(one, str) else {}
            known[name] = replace(known[name], mean=float(one) if number else 0.0, indicator=True)
    elif mean is not None and spread is not None:
        for name, m, s in zip(names, mean, spread, strict=False):
            known[name] = replace(known[name], mean=float(m), std=float(s))
        return True
    return saved.kind in ("SimpleImputer", "StandardScaler", "FunctionTransformer")


def _picked(which: Any, names: Sequence[str]) -> list[str]:
    """The columns that a step of a ColumnTransformer is given."""
    if isinstance(which, slice):
        bounds = all(each is None or isinstance(each, int) for each in (which.start, which.stop))
        return list(names[which]) if bounds else []
    if isinstance(which, str):
        return [which] if which in names else []
    found = []
    for place, each in enumerate(which if which is not None else ()):
        if isinstance(each, bool | np.bool_):
            found += [names[place]] if each and place < len(names) else []
        elif isinstance(each, int | np.integer):
            found += [names[int(each)]] if -len(names) <= each < len(names) else []
        elif str(each) in names:
            found.append(str(each))
    return found
