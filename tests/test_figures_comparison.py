"""Figures of two models beside each other: what stands in them is what was given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.comparison.attention import contrasted as looking
from core.comparison.reasons import contrasted
from core.comparison.written import contrasted as writing
from core.errors import BadInput
from core.evaluation.metrics import resampled
from core.provenance import Provenance
from core.results import (
    AttentionAxis,
    AttentionLayer,
    AttentionMaps,
    Attribution,
    Comparison,
    Fit,
    Measure,
    PairedMeasure,
    PairedTest,
    Written,
)
from core.tasks import Columns, FeatureAxis, PixelGrid, Target, Tokens
from dashboard.figures import comparison as figures
from dashboard.figures import contrast

EVIL = "<img src=x onerror=alert(1)>"
TITLES = ("one", EVIL)
PROVENANCE = Provenance(
    "net", "ab" * 32, (), "compare", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)


@pytest.fixture
def found() -> Comparison:
    classes = ("a", EVIL, "nobody")
    answers = np.array([[5, 1, 0], [2, 7, 0], [0, 0, 0]])
    f1 = np.array([[0.9, 0.5], [0.4, 0.8], [np.nan, np.nan]])
    gaps = np.stack([f1[:, 0] - f1[:, 1], f1[:, 0] - f1[:, 1] - 0.1, f1[:, 0] - f1[:, 1] + 0.1], 1)
    measures = (
        PairedMeasure(
            Measure("accuracy", "Accuracy", 0.9), Measure("accuracy", "Accuracy", 0.7),
            np.array([0.2, 0.1, 0.3]),
        ),
        PairedMeasure(
            Measure("log_loss", "Log loss", 0.5, good="low"),
            Measure("log_loss", "Log loss", 0.6, good="low"),
            np.array([-0.1, -0.3, 0.05]),
        ),
    )  # fmt: skip
    return Comparison(
        "net", "other", "data", classes, ((), ()), 15, 15, np.array([0.8, 0.5, 0.9]),
        np.array([0.6, 0.3, 0.8]), answers, measures, PairedTest(9, 4, 1, 1, 0.375),
        np.array([8, 7, 0]), f1, f1, gaps, 0.2, np.array([3]), np.array([0.7]),
        np.array([[0, 1]]), np.array([[0.9, 0.8]]), np.array([0]), (), PROVENANCE,
    )  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_answers_are_shares_of_what_the_first_says(found: Comparison, dark: bool) -> None:
    figure = figures.answers(found, TITLES, dark=dark)
    np.testing.assert_allclose(figure.data[0].z, [[5 / 6, 1 / 6], [2 / 9, 7 / 9]])
    assert figures.disagreeing(found, 1) == [0]
    assert figure.layout.xaxis.title.text.startswith("&lt;img")
    assert "<img" not in figure.to_json()


def test_right_of_the_line_the_first_is_better(found: Comparison) -> None:
    figure = figures.measure_differences(found, TITLES)
    (dots,) = figure.data
    np.testing.assert_allclose(dots.x, [0.2, 0.1])  # less loss is better
    np.testing.assert_allclose(dots.error_x.array, [0.1, 0.2])
    np.testing.assert_allclose(dots.error_x.arrayminus, [0.1, 0.15])
    assert dots.marker.color[0] == dots.marker.line.color  # no zero in its interval
    assert dots.marker.color[1] != dots.marker.line.color
    assert dots.customdata[1][:3] == ["Log loss", "0.500", "0.600"]
    assert "<img" not in figure.to_json()


def test_classes_that_are_not_there_are_left_out(found: Comparison) -> None:
    first, second = figures.class_differences(found, TITLES).data
    np.testing.assert_allclose(first.x, [0.9, 0.4])
    np.testing.assert_allclose(second.x, [0.5, 0.8])
    many = replace(
        found, classes=tuple(map(str, range(40))), answers=np.eye(40, dtype=np.int64),
        f1=np.linspace(0, 1, 80).reshape(2, 40).T, recall=np.ones((40, 2)),
        f1_difference=np.zeros((40, 3)), support=np.ones(40, np.int64),
    )  # fmt: skip
    assert len(figures.class_differences(many, TITLES).data[0].x) == 30


def explained(axis: FeatureAxis, values: Any, score: float = 1.0, **more: Any) -> Attribution:
    array = np.asarray(values, np.float32)
    picture = np.zeros((2, 2, 3), np.uint8) if axis.kind == "pixels" else None
    return Attribution(
        "saliency", "e", Target(0, EVIL), axis, array, score, Fit("exact"), {}, picture, PROVENANCE,
        **more,
    )  # fmt: skip


def test_maps_share_a_scale_and_the_difference_is_what_is_left() -> None:
    axis = PixelGrid(1, 2, 2)
    one, two = explained(axis, [[[1, 2], [3, 4]]]), explained(axis, [[[1, 0], [0, -4]]])
    figure = contrast.reasons(contrasted(one, two), TITLES)
    maps = [each for each in figure.data if each.type == "heatmap" and each.name != "pending"]
    np.testing.assert_array_equal(maps[2].z, [[0, 2], [3, 8]])
    assert len({each.zmax for each in maps}) == 1
    assert "<img" not in figure.to_json()


@pytest.mark.parametrize("kind", ["tokens", "columns"])
def test_bars_stand_in_one_order_on_one_scale(kind: str) -> None:
    axis: FeatureAxis = Columns(("a", EVIL, "c"), ("1", "2", "3"))
    if kind == "tokens":
        spans = ((0, 1), (2, 3), (4, 5))
        axis = Tokens("a b c", ("a", "b", "c"), spans, (0, 1, 2), (0,) * 3, (False,) * 3, (0,) * 3)
    found = contrasted(explained(axis, [1, -3, 0.5]), explained(axis, [4, 1, 0.25]))
    figure = contrast.reasons(found, TITLES)
    first, second, gap = figure.data
    np.testing.assert_allclose(first.x, [1, -3, 0.5])
    np.testing.assert_allclose(second.x, [4, 1, 0.25])
    np.testing.assert_allclose(gap.x, [-3, -4, 0.25])
    ranges = [axis.range for axis in figure.select_xaxes()]
    assert len(set(ranges)) == 1
    assert ranges[0][1] >= 4
    assert "<img" not in figure.to_json()
    apart = replace(found, difference=None)
    assert len(contrast.reason_bars(apart, TITLES).data) == 2


def test_heads_and_their_maps() -> None:
    axis = {"encoder": AttentionAxis((EVIL, "b"), (False, False))}
    layers = (AttentionLayer("x", "encoder", 1), AttentionLayer("y", "encoder", 2))
    even, sharp = np.full((1, 2, 2), 0.5, np.float32), np.eye(2, dtype=np.float32)[None]
    one = AttentionMaps("e", layers, (even, even.repeat(2, 0)), axis, axis, None, PROVENANCE)
    two = replace(one, maps=(sharp, np.concatenate([even, sharp])))
    found = looking(one, two)
    figure = contrast.attention_distance(found, chosen=(1, 1))
    np.testing.assert_allclose(figure.data[0].z, [[0.5, np.nan], [0, 0.5]])
    assert [list(each[:2]) for each in figure.data[1].customdata] == [[0, 0], [1, 0], [1, 1]]
    maps = contrast.head_maps(one, two, 1, 1, TITLES)
    np.testing.assert_allclose(maps.data[2].z, [[-0.5, 0.5], [0.5, -0.5]])
    assert maps.data[0].zmax == maps.data[1].zmax == 1
    assert "<img" not in maps.to_json()


def test_texts_are_paired_by_their_place() -> None:
    measures = (Measure("perplexity", "Perplexity", 3.0, good="low"),)

    def written(rows: list[int], loss: list[float], **more: Any) -> Written:
        expected = tuple(f"text {row}" for row in rows)
        return Written(
            "net", "data", 3, measures, np.array(rows), np.array(loss), expected, (), PROVENANCE,
            **more,
        )  # fmt: skip

    found = writing(written([7, 2, 4], [1.0, 2.0, 3.0]), written([4, 7, 2], [1.0, 0.9, 2.5]))
    assert found.rows.tolist() == [4, 2, 7]
    np.testing.assert_allclose(found.loss, [[3, 1], [2, 2.5], [1, 0.9]])
    assert found.expected == ("text 4", "text 2", "text 7")
    gaps = np.array([-0.5, 2.0, 0.1])  # in the order of their rows
    assert found.difference[0] == pytest.approx(gaps.mean())
    draws = [np.repeat(gaps, w.astype(int)).mean() for w in resampled(3, 1_000, 0)[1:]]
    np.testing.assert_allclose(found.difference[1:], np.percentile(draws, (2.5, 97.5)))
    with pytest.raises(BadInput, match="these are other texts"):
        writing(written([7, 2, 4], [1.0, 2.0, 3.0]), written([7, 2, 5], [1.0, 2.0, 3.0]))
