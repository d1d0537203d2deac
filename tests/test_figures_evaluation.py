"""Figures of an evaluation: what stands in them is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.evaluate import curves, reliability
from core.provenance import Provenance
from core.results import Evaluation, Group, Groups, Measure
from dashboard.figures import evaluation as figures

EVIL = "<img src=x onerror=alert(1)>"
PROVENANCE = Provenance(
    "net", "ab" * 32, (), "evaluate", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)


@pytest.fixture
def found() -> Evaluation:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    chances = random.dirichlet((1, 1, 0.01), 60)
    roc, pull = curves(labels, chances)
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (labels, chances.argmax(axis=1)), 1)
    confusion[2] = confusion[:, 2] = 0
    some = np.array([0.5, 0.25, np.nan])
    return Evaluation(
        "net", "data", ("a", EVIL, "nobody"), 60,
        (
            Measure("accuracy", "Accuracy", 0.5, 0.4, 0.7),
            Measure("auc", "Area", 0.6),
            Measure("log_loss", "Log loss", 0.7, 0.6, 0.8, "low"),
        ),
        confusion, some, some, some, roc, pull,
        reliability(chances.max(axis=1), chances.argmax(axis=1) == labels),
        np.array([3]), (), PROVENANCE,
    )  # fmt: skip


def test_intervals_are_drawn_where_there_are_any(found: Evaluation) -> None:
    (dots,) = figures.measure_intervals(found.measures).data
    np.testing.assert_allclose(dots.x, [0.5, 0.6])
    np.testing.assert_allclose(dots.error_x.array, [0.2, 0])
    np.testing.assert_allclose(dots.error_x.arrayminus, [0.1, 0])


@pytest.mark.parametrize("kind", ["roc", "pull"])
@pytest.mark.parametrize("dark", [False, True])
def test_the_class_in_hand_stands_out(found: Evaluation, kind: str, dark: bool) -> None:
    figure = figures.class_curves(found, kind=kind, picked=1, mark=(0.2, 0.3), dark=dark)
    *curves_drawn, mark = figure.data
    assert [each.line.width for each in curves_drawn] == [1, 2.5]
    assert curves_drawn[-1].name.startswith("&lt;img")
    assert (mark.x[0], mark.y[0]) == (0.2, 0.3)
    area = (found.roc if kind == "roc" else found.pull)[1].area
    assert f"area {area:.3f}" in figure.layout.title.text
    assert "<img" not in figure.to_json()


def test_bins_without_examples_have_no_point(found: Evaluation) -> None:
    bars, points = figures.reliability_diagram(found.reliability).data
    known = found.reliability.counts > 0
    assert len(points.x) == known.sum() < len(known)
    assert sum(bars.y) == pytest.approx(1)
    np.testing.assert_allclose(points.y, found.reliability.right[known])


def test_groups_without_a_rate_are_left_out() -> None:
    share, none = np.array([0.5, 0.2, 0.8]), np.full(3, np.nan)
    groups = Groups(
        "net", "data", "shop", EVIL,
        (Group("north", 3, share, 0.4, share, none, share),
         Group(EVIL, 9, share, 0.4, share, share, none)),
        {}, PROVENANCE,
    )  # fmt: skip
    figure = figures.group_rates(groups, "caught")
    assert len(figure.data[0].x) == 1
    assert figure.layout.yaxis.ticktext[0].startswith("&lt;img")
    assert "<img" not in figure.layout.title.text
    assert len(figures.group_rates(groups).data[0].x) == 2


def test_classes_of_a_table_of_confusions(found: Evaluation) -> None:
    assert figures.most_confused(found) == [0, 1]
    assert len(figures.most_confused(found, 1)) == 1
