"""Columns of which a model does not say what they hold, as a table shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.cells import MISSING_TEXTS, texts
from core.data.table import MISSING, Feature, numbers

if TYPE_CHECKING:
    import pandas as pd

_MOST = 50  # categories: the most frequent


def observed(features: Sequence[Feature], frame: pd.DataFrame) -> tuple[Feature, ...]:
    """The same features with what they leave open taken from a table: the spread of numbers, and of
    texts the most frequent values. Every number may be missing.
    """
    return tuple(_observed(each, frame[each.name]) for each in features)


def _observed(feature: Feature, column: pd.Series[Any]) -> Feature:
    if feature.categories:
        return feature
    values = numbers(column)
    known = values[np.isfinite(values)]
    words = [each.strip() for each in texts(column)]
    words = [MISSING if each.lower() in MISSING_TEXTS else each for each in words]
    said = [each for each in words if each != MISSING]
    if said and not len(known):
        names, counts = np.unique(words, return_counts=True)
        most = np.sort(np.argsort(-counts, kind="stable")[:_MOST])
        return replace(feature, categories=tuple(str(name) for name in names[most]))
    if feature.std:
        return replace(feature, indicator=True)
    spread = float(known.std()) if len(known) else 0.0
    mean = float(known.mean()) if len(known) else 0.0
    return replace(feature, mean=mean, std=spread or 1.0, indicator=True)
