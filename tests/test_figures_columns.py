"""Waterfalls of rows: the steps drawn, their colours and labels, and a layout that fits."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from test_figures_attribution import PROVENANCE

from core.results import Attribution, Fit
from core.tasks import Columns, Target
from dashboard import theme
from dashboard.export import export
from dashboard.figures.columns import waterfalls

EVIL = "<img src=x onerror=alert(1)>"


def attribution(values: list[float], *, error: float = 0.0, **changes: Any) -> Attribution:
    """Of a method whose values sum to f(x) - f(baseline) + error; f(baseline) is -1."""
    count = len(values)
    given: dict[str, Any] = {
        "method": "integrated_gradients",
        "example": "row 1",
        "target": Target(0, "yes"),
        "axis": Columns(tuple(f"c{i}" for i in range(count)), tuple(map(str, range(count)))),
        "values": np.array(values, np.float32),
        "score": sum(values) - 1 - error,
        "fit": Fit("exact"),
        "settings": {},
        "picture": None,
        "provenance": PROVENANCE,
        "baseline_score": -1.0,
        "delta": error,
    }
    return Attribution(**given | changes)


def single(*given: Attribution, **options: Any) -> tuple[go.Figure, Any]:
    figure = waterfalls(given, {"integrated_gradients": "IG"}, **options)
    return figure, figure.data[0]


def test_steps_lead_from_the_baseline_to_the_row() -> None:
    figure, trace = single(attribution([0.5, -2.0, 1.0]))
    assert isinstance(trace, go.Waterfall)
    assert list(trace.x) == pytest.approx([-1, -2, 1, 0.5, -1.5])
    assert list(trace.measure) == ["absolute", "relative", "relative", "relative", "total"]
    assert sum(trace.x[:-1]) == pytest.approx(trace.x[-1])  # the end is reached by the steps alone
    ticks = ["baseline", "c1 = 1", "c2 = 2", "c0 = 0", "this row"]
    assert list(figure.layout.yaxis.ticktext) == ticks
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the weightiest on top
    assert figure.layout.xaxis.title.text == "logits"


def test_an_error_of_the_method_is_a_step_of_its_own() -> None:
    figure, trace = single(attribution([2.0, 1.0], error=0.5))
    assert list(figure.layout.yaxis.ticktext)[-2:] == ["not accounted for", "this row"]
    assert trace.x[-2] == pytest.approx(-0.5)
    assert sum(trace.x[:-1]) == pytest.approx(trace.x[-1])
    figure, _ = single(attribution([2.0, 1.0], error=0.001))
    assert "not accounted for" not in figure.layout.yaxis.ticktext


def test_thirty_columns_are_the_weightiest_and_the_others_together() -> None:
    values = [(-1) ** i * (i + 1) / 10 for i in range(30)]
    figure, trace = single(attribution(values), most=12)
    assert len(trace.x) == 1 + 12 + 1 + 1
    assert figure.layout.yaxis.ticktext[-2] == "18 other columns"
    assert trace.x[-2] == pytest.approx(sum(values[:18]), abs=1e-6)
    assert "c17" in trace.customdata[-2] and trace.customdata[-2].endswith("…")
    _, trace = single(attribution(values[:13]), most=12)
    assert len(trace.x) == 15  # a rest of one column is that column


def test_methods_without_a_sum_are_bars_from_zero() -> None:
    one = attribution([0.5, -2.0], baseline_score=None, delta=None)
    for dark in (False, True):
        _, trace = single(one, dark=dark)
        assert isinstance(trace, go.Bar)
        ends = theme.signed(dark)
        assert list(trace.marker.color) == [ends[0][1], ends[-1][1]]
    _, trace = single(attribution([2.0, 1.0], baseline_score=None, delta=None, signed=False))
    assert trace.marker.color == theme.accent(False)


@pytest.mark.parametrize("dark", [False, True])
def test_what_speaks_for_and_against_has_its_colour(dark: bool) -> None:
    _, trace = single(attribution([1.0, -1.0]), dark=dark)
    ends = theme.signed(dark)
    assert trace.increasing.marker.color == ends[-1][1]
    assert trace.decreasing.marker.color == ends[0][1]


def test_long_and_hostile_names_are_cut_and_escaped() -> None:
    long = "the mean of all fractal dimensions that were ever measured"
    axis = Columns((long, EVIL, "x" * 60), ("0.012345678", "red", "a value of many words " * 4))
    figure, trace = single(attribution([3.0, 2.0, 1.0], axis=axis, target=Target(0, EVIL)))
    shown = [*figure.layout.yaxis.ticktext, *trace.customdata]
    shown += [each.text for each in figure.layout.annotations]
    assert not any("<img" in text for text in shown)
    assert all(len(text) <= 40 for text in figure.layout.yaxis.ticktext)
    assert figure.layout.yaxis.ticktext[1].endswith("= 0.012345678")  # the value stays whole
    assert long in trace.customdata[1]


def test_panels_do_not_overlap_whatever_there_is_to_show() -> None:
    """Titles and axes take the same pixels between two panels, few bars or many."""
    for count, across, many in itertools.product((1, 3, 5), (1, 2, 3), (2, 30)):
        figure, _ = single(*[attribution([1.0] * many)] * count, across=across)
        margin, height = figure.layout.margin, figure.layout.height
        inner = height - margin.t - margin.b
        axes = [figure.layout[f"yaxis{n + 1 if n else ''}"] for n in range(count)]
        lows = sorted({axis.domain for axis in axes})
        for (_, top), (bottom, _) in itertools.pairwise(lows):
            assert (bottom - top) * inner >= 100
        assert len({axis.domain for axis in axes}) == -(-count // across)


def test_a_shared_scale_is_the_same_for_all_of_one_kind() -> None:
    two = attribution([1.0, -4.0]), attribution([0.1, 0.2])
    bars = attribution([5.0, 1.0], baseline_score=None, delta=None)
    figure, _ = single(*two, bars, shared=True)
    ranges = [figure.layout[name].range for name in ("xaxis", "xaxis2", "xaxis3")]
    assert ranges[0] == ranges[1] != ranges[2]
    assert ranges[2][0] < 0 and ranges[2][1] > 5
    spans = [high - low for low, high in ranges]
    assert spans == pytest.approx([spans[0]] * 3)  # bars of one length mean the same number
    assert ranges[0][0] < -5 and ranges[0][1] > 0  # from the baseline over -5 to the row
    figure, _ = single(*two)
    assert figure.layout.xaxis.range is None


def test_it_is_exported_with_its_numbers() -> None:
    one = attribution([0.5, -2.0, 1.0])
    figure, _ = single(one)
    page = export(figure, [one], "html")
    assert b"c1 = 1" in page
    said = json.loads(export(figure, [one], "json"))
    assert "c1" in json.dumps(said) and "-2.0" in json.dumps(said)


def test_only_rows_have_waterfalls() -> None:
    with pytest.raises(TypeError, match="no row"):
        single(attribution([1.0], axis=type("Text", (), {"shape": (1,)})()))
