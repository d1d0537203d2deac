"""What a model goes by over a data set, and how its answer moves with the value of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.results.attribution import Attribution

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """How much each feature (a column or a group of columns, a word, a region of pictures) matters.

    ``each`` float64 ``[example, feature]`` is what it does in each example, the mean over the
    seeds, in ``unit``: for ``permutation`` how far the measure falls when the feature is shuffled,
    else its signed contribution to the score of the target. A word that an example lacks is NaN.
    ``seeds`` float64 ``[seed, feature]`` is the importance by each seed: the mean fall, or the mean
    absolute contribution, over all examples (a word that is not there counts as 0).

    ``levels`` float64 ``[example, feature]`` is the value of the feature where it is a column: a
    number, or the place in its ``categories``; NaN for what has no value. ``members`` are the
    columns of each feature. ``groups`` int64 ``[example]`` are positions in ``classes``, by
    ``grouped_by``, -1 for none. ``rows`` int64 ``[example]`` are rows of the data. ``base`` is the
    measure or the mean score with nothing changed. ``maps`` are mean maps by class, for pictures,
    and ``grid`` their regions as ``(rows, columns)``.
    """

    model: str
    data: str
    way: str
    title: str
    target: str
    unit: str
    features: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    categories: tuple[tuple[str, ...], ...]
    each: Floats
    seeds: Floats
    levels: Floats
    groups: npt.NDArray[np.int64]
    grouped_by: str
    classes: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    base: float
    maps: tuple[Attribution, ...]
    grid: tuple[int, int]
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.features))
        if self.each.shape != shape or self.levels.shape != shape:
            raise ValueError(f"{self.each.shape} and {self.levels.shape}, expected {shape}")
        if self.seeds.shape[1:] != shape[1:] or self.groups.shape != shape[:1]:
            raise ValueError(f"{self.seeds.shape} by seed, {self.groups.shape} groups, {shape}")
        if not len(self.members) == len(self.categories) == len(self.features):
            raise ValueError("members and categories are of each feature")

    @property
    def signed(self) -> bool:
        """Whether ``each`` are contributions, whose size is what counts; falls of a measure count
        with their sign.
        """
        return self.way != "permutation"

    @property
    def values(self) -> Floats:
        """The importance ``[feature]``: the mean over the seeds."""
        found: Floats = self.seeds.mean(axis=0)
        return found

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Features, the most important first."""
        found: npt.NDArray[np.int64] = np.argsort(-self.values, kind="stable")
        return found

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """In how many examples each feature occurs, ``[feature]``."""
        found: npt.NDArray[np.int64] = np.isfinite(self.each).sum(axis=0)
        return found

    @property
    def sizes(self) -> Floats:
        """What counts of ``each``, 0 where a feature is not there: ``[example, feature]``."""
        found = np.abs(self.each) if self.signed else self.each
        return np.nan_to_num(found)

    @property
    def error(self) -> Floats:
        """Half of the 95 % interval that the choice of examples gives the importance: 1.96 standard
        errors of the mean, ``[feature]``.
        """
        count = len(self.rows)
        if count < 2:
            return np.full(len(self.features), np.nan)
        found: Floats = 1.96 * self.sizes.std(axis=0, ddof=1) / np.sqrt(count)
        return found

    def by_class(self) -> Floats:
        """The importance in the examples of each class, ``[class, feature]``; NaN without any."""
        found = np.full((len(self.classes), len(self.features)), np.nan)
        for place in range(len(self.classes)):
            inside = self.groups == place
            if inside.any():
                found[place] = self.sizes[inside].mean(axis=0)
        return found


@dataclass(frozen=True)
class Dependence:
    """Partial dependence of the score on one column, and of each example alone (ICE).

    ``grid`` float64 ``[point]`` are the values that the column is set to (places in its
    ``categories`` where it has some); ``curves`` float64 ``[example, point]`` the score of
    ``target`` in ``unit`` with that value and all other columns as they are; ``own`` float64
    ``[example]`` what the column has in the data, NaN where missing.
    """

    model: str
    data: str
    column: str
    categories: tuple[str, ...]
    target: str
    unit: str
    grid: Floats
    curves: Floats
    own: Floats
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.curves.shape != (len(self.own), len(self.grid)):
            raise ValueError(f"{self.curves.shape} curves, {self.own.shape}, {self.grid.shape}")

    @property
    def mean(self) -> Floats:
        """The partial dependence ``[point]``."""
        found: Floats = self.curves.mean(axis=0)
        return found

    @property
    def error(self) -> Floats:
        """1.96 standard errors of the mean over the examples, ``[point]``."""
        spread: Floats = self.curves.std(axis=0, ddof=1 if len(self.curves) > 1 else 0)
        found: Floats = 1.96 * spread / np.sqrt(len(self.curves))
        return found


@dataclass(frozen=True)
class Interaction:
    """Two columns together: ``both`` float64 ``[first, second]`` is their partial dependence over
    ``grids``; ``excess`` what is left of it when the means over the grid of each alone are taken
    away, 0 everywhere where the two only add up.

    ``strength`` is Friedman's H (Friedman & Popescu 2008, doi 10.1214/07-AOAS148): the share of the
    variation of the joint dependence, as a root, that comes from the two together; from 0 to 1,
    with its 95 % interval by bootstrap over the examples.
    """

    model: str
    data: str
    columns: tuple[str, str]
    categories: tuple[tuple[str, ...], tuple[str, ...]]
    target: str
    unit: str
    grids: tuple[Floats, Floats]
    both: Floats
    excess: Floats
    strength: float
    low: float
    high: float
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (len(self.grids[0]), len(self.grids[1]))
        if self.both.shape != shape or self.excess.shape != shape:
            raise ValueError(f"{self.both.shape}, {self.excess.shape}, expected {shape}")
