"""Figures of answers, quality, layers and training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from core.provenance import Provenance
from core.results import Architecture, LayerInfo, Prediction
from core.tasks import PixelGrid
from dashboard import theme
from dashboard.figures.architecture import architecture_chart
from dashboard.figures.caption import caption
from dashboard.figures.prediction import class_quality, percent, probability_bars
from dashboard.figures.training import training_curves

EVIL = "<img src=x onerror=alert(1)>"
WEIGHTS = Path(__file__).parents[1] / "sample_models" / "weights"
PROVENANCE = Provenance(
    "net", "ab" * 32, (), "describe", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)


def prediction(logits: list[float], classes: list[str]) -> Prediction:
    values = np.array(logits, np.float32)
    shares = np.exp(values) / np.exp(values).sum()
    picture = np.zeros((4, 4, 3), np.uint8)
    return Prediction(
        "x.png", tuple(classes), values, shares, PixelGrid(1, 4, 4), picture, PROVENANCE
    )


def names(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


@pytest.mark.parametrize(
    ("explained", "shown"),
    [
        ((), ["a", "b", "c"]),
        ((1,), ["a", "b · explained", "c"]),
        ((4,), ["a", "b", "e · explained"]),
        ((2, 4), ["a", "c · explained", "e · explained"]),
        ((1, 2, 3, 4), ["a", *(f"{x} · explained" for x in "bcde")]),
    ],
)
def test_explained_classes_are_among_the_bars(explained: tuple[int, ...], shown: list[str]) -> None:
    answer = prediction([9.0, 7.0, 5.0, 3.0, 1.0], list("abcde"))
    figure = probability_bars(answer, count=3, explained=explained)
    assert names(figure) == shown
    assert list(figure.data[0].x) == sorted(figure.data[0].x, reverse=True)


def layer(name: str, base: str = "Conv2d", parameters: int = 10, **changes: Any) -> LayerInfo:
    given: dict[str, Any] = {
        "kind": base,
        "base": base,
        "leaf": True,
        "parameters": parameters,
        "multiply_adds": parameters * 7,
        "calls": 1,
        "input_shape": (3, 8, 8),
        "output_shape": (4, 6, 6),
    }
    return LayerInfo(name, **given | changes)


def architecture(layers: list[LayerInfo]) -> Architecture:
    return Architecture("net", tuple(layers), (), (), (), PROVENANCE)


def per_class(count: int) -> list[dict[str, Any]]:
    return [
        {"class": f"c{i}", "precision": 0.9, "recall": 0.8, "f1": 0.5 + i / 200, "support": i}
        for i in range(count)
    ]


def text(figure: go.Figure) -> str:
    return json.dumps(figure.to_plotly_json(), default=lambda array: list(map(str, array.flat)))


def columns(figure: go.Figure, yaxis: str) -> dict[int, float]:
    bars = [bar for bar in figure.data if bar.yaxis == yaxis]
    return {int(x): float(y) for bar in bars for x, y in zip(bar.x, bar.y, strict=True)}


def test_bars_are_the_most_likely_classes_in_order() -> None:
    answer = prediction([1.0, 5.0, 3.0, 4.0], ["a", "b", "c", "d"])
    figure = probability_bars(answer, count=3)
    bar = figure.data[0]
    np.testing.assert_array_equal(bar.x, answer.probabilities[[1, 3, 2]])
    assert [note.text for note in figure.layout.annotations] == ["b", "d", "c"]
    low, high = figure.layout.yaxis.range
    assert low > high  # the first lies on top


def test_bars_elide_long_names_and_keep_them_on_hover() -> None:
    name = "a very long class name that never seems to come to an end"
    figure = probability_bars(prediction([1.0, 2.0], ["a", name]))
    assert figure.layout.annotations[0].text.endswith("…")
    assert figure.data[0].customdata[0] == name


def test_bars_of_fewer_classes_than_asked_for() -> None:
    figure = probability_bars(prediction([1.0, 2.0], ["a", "b"]), count=5)
    assert len(figure.data[0].x) == 2


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0.0%"),
        (0.0004, "<0.1%"),
        (0.0005, "0.1%"),
        (0.5, "50.0%"),
        (0.9996, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_percentages_do_not_round_to_nothing_or_all(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_quality_draws_the_numbers_in_the_order_given() -> None:
    metrics = json.loads((WEIGHTS / "fashion_cnn" / "card.json").read_text(encoding="utf-8"))
    rows = metrics["metrics"]["per_class"]
    figure = class_quality(rows)
    for trace, key in zip(figure.data, ("precision", "recall", "f1"), strict=True):
        np.testing.assert_array_equal(trace.x, [row[key] for row in rows])
    assert list(figure.layout.yaxis.ticktext) == [row["class"] for row in rows]
    low, high = figure.layout.xaxis.range
    assert low < min(min(trace.x) for trace in figure.data)
    assert high > 1


def test_quality_of_very_many_classes_shows_the_worst_and_says_so() -> None:
    figure = class_quality(per_class(100))
    assert list(figure.data[2].x) == [row["f1"] for row in per_class(30)]
    assert "30 with the lowest F1 of 100" in figure.layout.annotations[0].text


@pytest.mark.parametrize("count", [1, 5, 250])
def test_chart_has_each_layer_once_in_order_of_execution(count: int) -> None:
    kinds = ("Conv2d", "BatchNorm2d", "ReLU", "Linear", "MultiheadAttention")
    layers = [layer(f"b.{i // 5}.x.{i}", kinds[i % 5], i + 1) for i in range(count)]
    figure = architecture_chart(architecture(layers))
    assert columns(figure, "y") == {i: i + 1 for i in range(count)}
    assert columns(figure, "y2") == {i: 7 * (i + 1) for i in range(count)}
    assert len(figure.layout.xaxis.tickvals) <= 28


def test_chart_leaves_out_containers_without_parameters_of_their_own() -> None:
    layers = [
        layer("", "Module", 0, leaf=False),
        layer("tokens", "Module", 5, leaf=False),
        layer("relu", "ReLU", 0),
    ]
    assert columns(architecture_chart(architecture(layers)), "y") == {0: 5, 1: 0}


def test_chart_tells_shapes_and_calls_on_hover() -> None:
    figure = architecture_chart(architecture([layer("conv", calls=3)]))
    shown = figure.data[0].customdata[0]
    for part in ("conv", "3 × 8 × 8 → 4 × 6 × 6", "10 parameters", "70 multiply-adds", "3 times"):
        assert part in shown


def test_curves_draw_what_the_history_says() -> None:
    history = json.loads((WEIGHTS / "digits_cnn" / "history.json").read_text(encoding="utf-8"))
    figure = training_curves(history)
    drawn = {(trace.legendgroup, trace.yaxis): trace for trace in figure.data}
    for (split, axis), name in {
        ("train", "y"): "train_loss",
        ("validation", "y"): "validation_loss",
        ("train", "y2"): "train_accuracy",
        ("validation", "y2"): "validation_accuracy",
    }.items():
        np.testing.assert_array_equal(drawn[split, axis].y, [row[name] for row in history])
        np.testing.assert_array_equal(drawn[split, axis].x, [row["epoch"] for row in history])
    assert len(drawn) == 4
    assert sum(bool(trace.showlegend) for trace in figure.data) == 2


def test_curves_leave_a_gap_where_an_epoch_was_not_measured() -> None:
    figure = training_curves([{"train_loss": 2.0}, {"epoch": 2, "validation_loss": 1.0}])
    np.testing.assert_array_equal(figure.data[0].y, [2.0, np.nan])
    np.testing.assert_array_equal(figure.data[1].y, [np.nan, 1.0])


def test_curves_of_an_empty_history_are_an_empty_figure() -> None:
    assert len(training_curves([]).data) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_words_of_strangers_are_not_markup_and_the_page_has_its_colour(dark: bool) -> None:
    figures = [
        probability_bars(prediction([1.0, 2.0], ["a", EVIL]), dark=dark),
        class_quality([per_class(1)[0] | {"class": EVIL}], dark=dark),
        architecture_chart(architecture([layer(EVIL, kind=EVIL)]), dark=dark),
        training_curves([{f"train_{EVIL}": 1.0}], dark=dark),
    ]
    for figure in figures:
        assert "<img" not in text(figure)
        assert "&lt;img" in text(figure).lower()
        assert figure.layout.template.layout.paper_bgcolor == theme.greys(dark).page


def test_caption_of_other_results_names_model_and_date() -> None:
    assert caption(architecture([])) == "net · 2025-01-02"
    assert caption(prediction([1.0], ["a"])) == "net · x.png · 2025-01-02"
