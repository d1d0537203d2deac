"""Figures of importance: what stands in them is what was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.provenance import Provenance
from core.results import Dependence, Importance, Interaction
from dashboard.figures import dependence as curves
from dashboard.figures import importance as figures

EVIL = "<img src=x onerror=alert(1)>"
PROVENANCE = Provenance(
    "net", "ab" * 32, (), "importance", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)


def found(way: str = "shapley", **changed: Any) -> Importance:
    random = np.random.default_rng(0)
    each = random.normal(size=(30, 3)) * [1, 3, 0.1]
    sizes = np.abs(each).mean(axis=0)
    levels = random.normal(size=(30, 3))
    levels[:, 1] = np.arange(30) % 2
    levels[4, 0] = np.nan
    given: dict[str, Any] = {
        "model": "net", "data": "data", "way": way, "title": "Shapley", "target": EVIL,
        "unit": "logits", "features": ("one", EVIL, "three"),
        "members": (("one",), (EVIL,), ("three", "four")), "categories": ((), ("no", EVIL), ()),
        "each": each, "seeds": np.stack([sizes * 0.9, sizes * 1.1]), "levels": levels,
        "groups": np.arange(30) % 2, "grouped_by": "answer", "classes": ("a", EVIL, "nobody"),
        "rows": np.arange(30), "base": 0.5, "maps": (), "grid": (0, 0), "notes": (),
        "provenance": PROVENANCE,
    }  # fmt: skip
    return Importance(**(given | changed))


def safe(figure: Any) -> bool:
    return "<img" not in figure.to_json().replace("\\u003c", "<")


@pytest.mark.parametrize("dark", [False, True])
def test_bars_have_the_interval_over_examples_and_a_ring_for_each_seed(dark: bool) -> None:
    result = found()
    figure = figures.importance_bars(result, most=2, dark=dark)
    bars, rings = figure.data
    np.testing.assert_allclose(bars.x, result.values[[1, 0]])
    np.testing.assert_allclose(bars.error_x.array, result.error[[1, 0]])
    np.testing.assert_allclose(rings.x, result.seeds[:, [1, 0]].ravel())
    assert safe(figure)
    lone = figures.importance_bars(found(seeds=result.seeds[:1]))
    assert len(lone.data) == 1


def test_a_swarm_is_coloured_by_rank_of_value_or_by_class() -> None:
    result = found()
    missing, dots = figures.beeswarm(result).data
    np.testing.assert_allclose(missing.x, [result.each[4, 0]])
    assert len(dots.x) == 30 * 3 - 1
    ranks = np.asarray(dots.marker.color)
    assert 0 <= ranks.min() <= ranks.max() <= 1
    line = np.round(np.asarray(dots.y)) == 0  # the most important: two values, two ranks
    assert len(set(np.round(ranks[line], 6))) == 2
    highest = np.nanargmax(result.levels[:, 0])
    where = np.flatnonzero(np.isclose(np.asarray(dots.x), result.each[highest, 0]))
    assert ranks[where[0]] == pytest.approx(1.0)
    plain = figures.beeswarm(found(levels=np.full((30, 3), np.nan)))
    assert len(plain.data) == 2
    assert safe(plain)
    words = found(levels=np.full((30, 3), np.nan), each=np.where(result.each > 0, 1.0, np.nan))
    assert sum(len(each.x) for each in figures.beeswarm(words).data) == int((result.each > 0).sum())


def test_by_class_is_the_mean_size_in_its_examples() -> None:
    result = found()
    (heat,) = figures.class_heat(result).data
    own = np.abs(result.each[1::2, 1]).mean()
    assert np.asarray(heat.z)[0, 1] == pytest.approx(own)
    assert np.asarray(heat.z).shape == (3, 2)  # nobody is left out
    fall = found("permutation")
    (heat,) = figures.class_heat(fall).data
    assert np.asarray(heat.z)[0, 1] == pytest.approx(fall.each[1::2, 1].mean())
    assert safe(figures.class_heat(result))


def test_dependence_over_the_value_of_a_column() -> None:
    result = found()
    (dots,) = figures.dependence_scatter(result, 0, 2).data
    known = np.arange(30) != 4
    np.testing.assert_allclose(dots.x, result.levels[known, 0])
    np.testing.assert_allclose(dots.y, result.each[known, 0])
    kinds = figures.dependence_scatter(result, 1)
    assert kinds.layout.xaxis.ticktext[0] == "no"
    assert safe(kinds)


def line(**changed: Any) -> Dependence:
    random = np.random.default_rng(1)
    given: dict[str, Any] = {
        "model": "net", "data": "data", "column": EVIL, "categories": (), "target": EVIL,
        "unit": "probability", "grid": np.array([0.0, 1.0, 3.0]),
        "curves": random.normal(size=(10, 3)), "own": random.normal(size=10),
        "provenance": PROVENANCE,
    }  # fmt: skip
    return Dependence(**(given | changed))


def test_lines_of_rows_and_their_mean() -> None:
    result = line()
    figure = curves.dependence_lines(result)
    rows, band, mean, ticks = figure.data
    np.testing.assert_allclose(mean.y, result.mean)
    np.testing.assert_allclose(np.asarray(rows.y).reshape(10, 4)[:, :3], result.curves)
    np.testing.assert_allclose(np.asarray(band.y)[:3], result.mean + result.error)
    assert (np.asarray(ticks.x) >= 0).all()
    assert safe(figure)
    centred = curves.dependence_lines(result, centred=True)
    assert np.asarray(centred.data[2].y)[0] == 0
    assert np.asarray(centred.data[1].y)[0] == 0  # all begin at one point
    kinds = curves.dependence_lines(line(categories=("a", "b", EVIL)))
    assert kinds.layout.xaxis.ticktext[1] == "b"
    assert safe(kinds)


def test_two_columns_together_and_beyond_their_sum() -> None:
    both = np.arange(6.0).reshape(2, 3)
    excess = np.array([[1.0, -1, 0], [-1, 1, 0]])
    result = Interaction(
        "net", "data", ("one", EVIL), ((), ("x", "y", EVIL)), EVIL, "logits",
        (np.array([0.5, 1.5]), np.arange(3.0)), both, excess, 0.3, 0.2, 0.4, PROVENANCE,
    )  # fmt: skip
    figure = curves.interaction_map(result)
    np.testing.assert_allclose(figure.data[0].z, both.T)
    assert figure.layout.xaxis.ticktext == ("0.5", "1.5")
    assert safe(figure)
    beyond = curves.interaction_map(result, excess=True, dark=True).data[0]
    np.testing.assert_allclose(beyond.z, excess.T)
    assert (beyond.zmin, beyond.zmax) == (-1, 1)
