"""Tables that recipes learn from when a person gives none; nothing is fetched. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data.splits import split
from core.data.table import Feature, Labels, Table, TableSplit, Values

SPLIT_SEED = 0  # a changed seed changes which examples are held out: train again
HELD_OUT = {"val": 0.15, "test": 0.25}
NOISE = 0.2


@dataclass(frozen=True)
class Source:
    """Where a table is from, as a card says it."""

    name: str
    source: str
    licence: str
    note: str


BREAST_CANCER = Source(
    "Breast cancer Wisconsin (diagnostic)",
    "scikit-learn's load_breast_cancer, after the UCI repository (Wolberg, Street, Mangasarian)",
    "CC BY 4.0 (UCI); BSD-3-Clause (scikit-learn)",
    "569 tumours, 30 measurements of cell nuclei each; not for medical use.",
)
MOONS = Source(
    "Two half-moons",
    f"scikit-learn's make_moons(noise={NOISE}), random_state 0 to train and 1 to validate",
    "made by a formula",
    "100 points to learn from and 100 others to look at, drawn in the same way.",
)


Rows = tuple[Values, Labels, tuple[str, ...], tuple[str, ...]]
"""Values ``[row, column]``, labels ``[row]``, names of the columns and of the classes."""
_MOONS = ("train", "val")  # parts, each drawn with its place as the random state


def breast_cancer() -> Table:
    """Breast cancer, benign or malignant: 342 / 85 / 142, each class in proportion."""
    return _table({part: breast_cancer_rows(part) for part in ("train", "val", "test")})


def breast_cancer_rows(part: str) -> Rows:
    """One part of it as it was measured."""
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer()
    values, labels = bunch.data.astype(np.float32), bunch.target.astype(np.int64)
    rows = split(labels, len(labels), SPLIT_SEED, HELD_OUT)[part]
    return (
        values[rows],
        labels[rows],
        tuple(str(name) for name in bunch.feature_names),
        tuple(str(name) for name in bunch.target_names),
    )


def moons() -> Table:
    """100 points with two features in two classes that no straight line divides, and 100 others."""
    return _table({part: moon_rows(part) for part in _MOONS})


def moon_rows(part: str) -> Rows:
    """One part of them."""
    from sklearn.datasets import make_moons

    values, labels = make_moons(100, noise=NOISE, random_state=_MOONS.index(part))
    return (
        values.astype(np.float32),
        labels.astype(np.int64),
        ("first feature", "second feature"),
        ("upper moon", "lower moon"),
    )


def _table(given: dict[str, Rows]) -> Table:
    parts = {part: (values, labels) for part, (values, labels, _, _) in given.items()}
    _, _, names, classes = next(iter(given.values()))
    train = parts["train"][0].astype(np.float64)
    mean, std = train.mean(axis=0), train.std(axis=0)
    features = tuple(
        Feature(name, mean=float(m), std=float(s))
        for name, m, s in zip(names, mean, std, strict=True)
    )
    splits = {
        name: TableSplit(((values - mean) / std).astype(np.float32), labels)
        for name, (values, labels) in parts.items()
    }
    return Table(splits, classes, features, "class", (), ())
