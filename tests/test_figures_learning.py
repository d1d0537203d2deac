"""Figures of training: what they draw is what was recorded, and nothing is hidden."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from core.results.history import HistogramSeries, History, Series
from dashboard import theme
from dashboard.figures.curves import Curve, metric_curves, metrics_of, smoothed, thinned
from dashboard.figures.layerstats import distribution, layer_heatmap, unit_shares
from dashboard.figures.outcomes import boundary, confusion, parameter_lines

EVIL = "<img src=x onerror=alert(1)>"


def series(values: list[float], steps: list[int] | None = None) -> Series:
    places = np.array(steps or range(10, 10 * len(values) + 1, 10), np.int64)
    return Series(places, np.array(values, float), 1000.0 + 6.0 * places)


def history(**scalars: list[float]) -> History:
    named = {name.replace("__", "/"): series(values) for name, values in scalars.items()}
    return History("run", scalars=named)


LEARNED = history(
    epoch=[1, 2, 3, 4],
    train__loss=[4.0, 3.0, 2.0, 1.0],
    val__loss=[5.0, 2.5, 3.0, 3.5],
    val__accuracy=[0.1, 0.4, 0.9, 0.8],
)


def lines(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if "lines" in trace.mode]


def stars(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.mode == "markers"]


def test_what_is_drawn_is_what_was_recorded() -> None:
    train, val = lines(metric_curves([Curve("a", LEARNED)], "loss"))
    np.testing.assert_array_equal(train.y, [4, 3, 2, 1])
    np.testing.assert_array_equal(val.y, [5, 2.5, 3, 3.5])
    np.testing.assert_array_equal(val.x, [1, 2, 3, 4])
    assert (train.line.dash, val.line.dash) == ("dot", "solid")


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ("step", [10, 20, 30, 40]),
        ("epoch", [1, 2, 3, 4]),
        ("time", [0, 1, 2, 3]),
        ("examples", [320, 640, 960, 1280]),
    ],
)
def test_over_what(x: Any, expected: list[float]) -> None:
    figure = metric_curves([Curve("a", LEARNED, 0, 32)], "loss", x=x)
    np.testing.assert_allclose(lines(figure)[0].x, expected)


def test_the_best_value_is_marked_by_the_metrics_own_sense() -> None:
    (low,) = stars(metric_curves([Curve("a", LEARNED)], "loss"))
    assert (low.x[0], low.y[0]) == (2, 2.5)
    (high,) = stars(metric_curves([Curve("a", LEARNED)], "accuracy"))
    assert (high.x[0], high.y[0]) == (3, 0.9)
    rate = history(step__learning_rate=[1.0, 2.0])
    assert not stars(metric_curves([Curve("a", rate)], "step/learning_rate"))


def test_what_is_not_a_number_is_a_gap_and_counted() -> None:
    broken = history(val__loss=[1.0, float("nan"), float("inf"), 2.0])
    figure = metric_curves([Curve("a", broken)], "loss", x="step")
    np.testing.assert_array_equal(lines(figure)[0].y, [1, np.nan, np.nan, 2])
    assert "2 values are not numbers" in figure.layout.title.text
    assert stars(figure)[0].y[0] == 1


def test_smoothing_is_a_mean_without_bias_over_what_is_there() -> None:
    values = np.array([2.0, 2.0, np.nan, 2.0])
    np.testing.assert_allclose(smoothed(values, 0.9), values)
    weight = 0.6
    rising = np.arange(5.0)
    for place, value in enumerate(smoothed(rising, weight)):
        weights = weight ** np.arange(place, -1, -1)
        assert value == pytest.approx((weights * rising[: place + 1]).sum() / weights.sum())
    figure = metric_curves([Curve("a", LEARNED)], "loss", smoothing=0.5)
    raw = [trace for trace in lines(figure) if trace.opacity < 1]
    np.testing.assert_array_equal(raw[0].y, [4, 3, 2, 1])


def test_no_spike_is_lost_where_points_are_many() -> None:
    y = np.zeros(100_000)
    y[[17, 54_321]] = 9.0, -9.0
    x, shown = thinned(np.arange(100_000.0), y)
    assert len(x) <= 2_001
    assert (np.diff(x) >= 0).all()
    assert (shown.max(), shown.min()) == (9.0, -9.0)
    assert x[shown.argmax()] == 17


def test_several_runs_have_a_colour_and_an_entry_each() -> None:
    figure = metric_curves([Curve("a", LEARNED, 0), Curve("b", LEARNED, 1)], "loss")
    entries = [trace.name for trace in figure.data if trace.showlegend]
    assert entries == ["a", "b"]
    colours = {trace.legendgroup: trace.line.color for trace in lines(figure)}
    assert colours == {"a": theme.class_colour(0), "b": theme.class_colour(1)}


def test_one_entry_for_runs_of_one_group() -> None:
    runs = [Curve("dropout 0", LEARNED, 0), Curve("dropout 0", LEARNED, 0)]
    figure = metric_curves(runs, "loss")
    assert [trace.name for trace in figure.data if trace.showlegend] == ["dropout 0"]


@pytest.mark.parametrize(
    ("steps_per_epoch", "epochs", "expected"),
    [
        (10, [], [0.5, 1, 2.5]),  # none has ended: the pace is that of the data
        (0, [1.0], [0.5, 1, 2.5]),  # the pace of those that have
        (0, [], [5, 10, 25]),
    ],
)
def test_the_epoch_under_way_goes_on(
    steps_per_epoch: float, epochs: list[float], expected: list[float]
) -> None:
    scalars = {"step/gradient_norm": series([1.0, 2.0, 3.0], [5, 10, 25]), "epoch": series(epochs)}
    curve = Curve("a", History("run", scalars=scalars), 0, 0, steps_per_epoch)
    (line,) = lines(metric_curves([curve], "step/gradient_norm"))
    np.testing.assert_allclose(line.x, expected)


def test_without_epochs_the_axis_says_updates() -> None:
    curve = Curve("a", History("run", scalars={"loss": series([1.0, 2.0])}))
    assert metric_curves([curve], "loss").layout.xaxis.title.text == "updates"
    assert metric_curves([Curve("b", LEARNED), curve], "loss").layout.xaxis.title.text == "epoch"


@pytest.mark.parametrize("log", [False, True])
def test_scale_and_cursor(log: bool) -> None:
    figure = metric_curves([Curve("a", LEARNED)], "loss", log=log, cursor=20)
    assert figure.layout.yaxis.type == ("log" if log else "linear")
    (line,) = figure.layout.shapes
    assert line.x0 == 2


def test_nothing_recorded_is_said() -> None:
    for figure in (
        metric_curves([], "loss"),
        metric_curves([Curve("a", History("a"))], "loss"),
        layer_heatmap(History("a")),
        unit_shares(History("a")),
    ):
        assert "nothing recorded yet" in json.dumps(figure.to_plotly_json(), default=str)


def test_metrics_are_listed_once_splits_first() -> None:
    other = history(loss__strange=[1.0])
    assert metrics_of([LEARNED, other]) == ["loss", "accuracy", "epoch", "loss/strange"]


def test_layers_stand_in_their_order_by_logarithm() -> None:
    found = history(**{"step/gradient_norm/b": [10.0, 100.0], "step/gradient_norm/a": [1.0, 0.0]})
    (drawn,) = layer_heatmap(found).data
    assert list(drawn.y) == ["b", "a"]
    np.testing.assert_allclose(drawn.z, [[1, 2], [0, np.nan]])


def test_a_long_run_keeps_the_largest_of_each_stretch() -> None:
    values = [1.0] * 5_000
    values[1_234] = 1_000.0
    (drawn,) = layer_heatmap(history(**{"step/gradient_norm/a": values})).data
    assert drawn.z.shape[1] <= 240
    assert np.nanmax(drawn.z) == 3


def test_a_distribution_is_a_density_over_its_own_edges() -> None:
    edges = (np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0, 3.0]))
    counts = (np.array([2.0, 2.0]), np.array([0.0, 5.0]))
    found = HistogramSeries(np.array([1, 2]), np.array([0.0, 1.0]), edges, counts)
    (drawn,) = distribution(found, "weights/a").data
    first, second = np.asarray(drawn.z).T
    low = np.asarray(drawn.y) < 1
    np.testing.assert_allclose(first[low], 1)
    np.testing.assert_allclose(first[~low], 0.5)  # as many values over twice the width
    np.testing.assert_allclose(second[low], 0)


def test_confusions_are_shares_of_the_true_class() -> None:
    drawn, cells = confusion(np.array([[3.0, 1.0], [0.0, 0.0]]), ["a", EVIL], title=EVIL).data
    np.testing.assert_allclose(drawn.z, [[0.75, 0.25], [0, 0]])
    assert [list(cell) for cell in cells.customdata][:2] == [[0, 0, 3, 0.75], [0, 1, 1, 0.25]]
    assert cells.text[1].startswith("a taken for &lt;img")
    assert [list(row) for row in drawn.text] == [["3", "1"], ["", ""]]


def test_the_boundary_is_where_the_probability_is_one_half() -> None:
    plane = np.tile(np.linspace(0, 1, 5), (5, 1))
    heat, line = boundary(plane, reach=2.0).data
    np.testing.assert_array_equal(heat.z, plane)
    assert (heat.x[0], heat.x[-1]) == (-2, 2)
    assert line.contours.start == line.contours.end == 0.5


def test_only_parameters_that_differ_are_axes() -> None:
    rows = [
        {"dropout": 0.0, "optimiser": "adam", "epochs": 3, "accuracy": 0.9},
        {"dropout": 0.5, "optimiser": "sgd", "epochs": 3, "accuracy": 0.8},
    ]
    (drawn,) = parameter_lines(rows, "accuracy").data
    assert [each.label for each in drawn.dimensions] == ["dropout", "optimiser", "accuracy"]
    assert list(drawn.dimensions[1].ticktext) == ["adam", "sgd"]
    np.testing.assert_allclose(drawn.line.color, [0.9, 0.8])


@pytest.mark.parametrize("dark", [False, True])
def test_words_of_strangers_are_not_markup(dark: bool) -> None:
    evil = History(
        EVIL, scalars={f"val/{EVIL}": series([1.0]), f"step/gradient_norm/{EVIL}": series([1.0])}
    )
    figures = [
        metric_curves([Curve(EVIL, evil), Curve("b", evil)], EVIL, dark=dark),
        layer_heatmap(evil, title=EVIL, dark=dark),
        confusion(np.eye(1), [EVIL], title=EVIL, dark=dark),
        parameter_lines([{EVIL: 1, "x": 2}, {EVIL: 2, "x": 3}], "x", dark=dark),
    ]
    for figure in figures:
        text = json.dumps(figure.to_plotly_json(), default=lambda each: list(map(str, each.flat)))
        assert "<img" not in text
        assert figure.layout.template.layout.paper_bgcolor == theme.greys(dark).page
