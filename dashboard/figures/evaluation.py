"""How good a model is: measures with intervals, curves of a class, calibration, groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.results import Evaluation, Group, Groups, Measure, Reliability
from dashboard.figures.caption import elided, escaped
from dashboard.theme import accent, class_colour, greys, template

RATES = {
    "right": "Right",
    "selected": "Called the positive class",
    "caught": "Of its members, called so",
    "false_alarms": "Of the others, called so",
}
_ROW = 28
_MOST = 40


def measure_intervals(measures: Sequence[Measure], *, dark: bool = False) -> go.Figure:
    """Measures between 0 and 1, higher better, with their 95 % intervals."""
    shown = [each for each in measures if each.good == "high" and 0 <= each.value <= 1]
    figure = _dots(
        [each.title for each in shown],
        np.array([[each.value, each.low, each.high] for each in shown]).reshape(-1, 3),
        accent(dark),
        dark,
    )
    figure.update_layout(title={"text": "<b>With 95 % intervals</b> · 1 is best"})
    return figure


def class_curves(
    evaluation: Evaluation,
    *,
    kind: str = "roc",
    picked: int = -1,
    mark: tuple[float, float] | None = None,
    dark: bool = False,
) -> go.Figure:
    """ROC curves (``kind`` ``roc``) or precision over recall (``pull``), one of each class against
    the others; ``picked`` stands out, with its area in the title and a ``mark`` on it.
    """
    tone, curves = greys(dark), evaluation.roc if kind == "roc" else evaluation.pull
    area = next((curve.area for curve in curves if curve.label == picked), None)
    title = "Found, for false alarms" if kind == "roc" else "Right, for how many are found"
    beside = "" if area is None else f" · area {area:.3f}"
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": 400,
            "title": {
                "text": f"<b>{title}</b><span style='color:{tone.quiet}'>{beside}</span>",
            },
            "margin": {"l": 8, "r": 8, "t": 44, "b": 8},
            "showlegend": False,
        }
    )
    for curve in sorted(curves, key=lambda each: each.label == picked):
        name = evaluation.classes[curve.label]
        faint = picked >= 0 and curve.label != picked
        figure.add_trace(
            go.Scatter(
                x=curve.x,
                y=curve.y,
                mode="lines",
                line={
                    "color": tone.line if faint else class_colour(curve.label),
                    "width": 1 if faint else 2.5,
                    "shape": "linear" if kind == "roc" else "hv",
                },
                name=escaped(elided(name, 20)),
                customdata=curve.threshold,
                hovertemplate=f"<b>{escaped(name)}</b> · area {curve.area:.3f}<br>"
                "from %{customdata:.1%} on: %{x:.1%}, %{y:.1%}<extra></extra>",
            )
        )
    if mark is not None:
        figure.add_trace(
            go.Scatter(
                x=[mark[0]],
                y=[mark[1]],
                mode="markers",
                marker={"size": 12, "color": tone.text},
                hoverinfo="skip",
            )
        )
    if kind == "roc":
        figure.add_shape(
            type="line",
            x0=0,
            y0=0,
            x1=1,
            y1=1,
            line={"color": tone.quiet, "width": 1, "dash": "dot"},
        )
    titles = (
        ("false positive rate", "true positive rate") if kind == "roc" else ("recall", "precision")
    )
    figure.update_xaxes(title={"text": titles[0]}, range=(-0.01, 1.01), zeroline=False)
    figure.update_yaxes(title={"text": titles[1]}, range=(-0.01, 1.02), zeroline=False)
    return figure


def reliability_diagram(reliability: Reliability, *, dark: bool = False) -> go.Figure:
    """The share that is right over the confidence; on the diagonal the model is as sure as it may
    be, below it too sure; 95 % intervals. Bars are the share of the examples in each bin.
    """
    tone = greys(dark)
    known = reliability.counts > 0
    share = reliability.counts / max(1, int(reliability.counts.sum()))
    centres = (reliability.edges[1:] + reliability.edges[:-1]) / 2
    figure = go.Figure(
        [
            go.Bar(
                x=centres,
                y=share,
                width=np.diff(reliability.edges) * 0.92,
                marker={"color": tone.line},
                customdata=reliability.counts,
                hovertemplate="%{customdata:,} examples, %{y:.1%}<extra></extra>",
            ),
            go.Scatter(
                x=reliability.confidence[known],
                y=reliability.right[known],
                mode="lines+markers",
                line={"color": accent(dark), "width": 2},
                marker={"size": 9},
                customdata=reliability.counts[known],
                hovertemplate="sure %{x:.1%}, right %{y:.1%}<br>%{customdata:,} examples"
                "<extra></extra>",
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (reliability.high - reliability.right)[known],
                    "arrayminus": (reliability.right - reliability.low)[known],
                    "thickness": 1,
                    "width": 3,
                },
            ),
        ],
        layout={
            "template": template(dark),
            "height": 400,
            "title": {"text": "<b>As sure as it is right?</b> · below the line: too sure"},
            "margin": {"l": 8, "r": 8, "t": 44, "b": 8},
            "showlegend": False,
        },
    )
    _diagonal(figure, tone.quiet)
    figure.update_xaxes(
        title={"text": "confidence"}, tickformat=".0%", range=(-0.01, 1.01), zeroline=False
    )
    figure.update_yaxes(tickformat=".0%", range=(0, 1.03))
    return figure


def group_rates(groups: Groups, rate: str = "right", *, dark: bool = False) -> go.Figure:
    """A rate (``RATES``) of each group with its 95 % interval; groups without one are left out.

    Raises ``KeyError`` for another rate.
    """
    title = RATES[rate]
    known: list[tuple[Group, Any]] = [
        (each, value)
        for each in groups.groups
        if np.isfinite((value := np.asarray(getattr(each, rate)))[0])
    ]
    figure = _dots(
        [f"{each.name} · {each.examples:,}" for each, _ in known],
        np.array([value for _, value in known]).reshape(-1, 3),
        accent(dark),
        dark,
    )
    about = "" if rate == "right" else f" · {escaped(elided(groups.positive, 30))}"
    figure.update_layout(title={"text": f"<b>{title}</b>{about}"})
    return figure


def most_confused(evaluation: Evaluation, most: int = _MOST) -> list[int]:
    """The classes that a table of confusions shows: those there or named; of too many, those with
    the most mistakes.
    """
    table = evaluation.confusion
    mistakes = table.sum(axis=0) + table.sum(axis=1) - 2 * np.diag(table)
    known = np.flatnonzero(table.sum(axis=0) + table.sum(axis=1))
    order = known[np.argsort(-mistakes[known], kind="stable")][:most]
    return [int(each) for each in np.sort(order)]


def _diagonal(figure: go.Figure, colour: str) -> None:
    line = {"color": colour, "width": 1, "dash": "dot"}
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=line)


def _dots(names: Sequence[str], values: Any, colour: str, dark: bool) -> go.Figure:
    """Rows of ``values`` ``[row, (value, low, high)]``."""
    figure = go.Figure(
        go.Scatter(
            x=values[:, 0],
            y=list(range(len(names))),
            mode="markers",
            marker={"size": 10, "color": colour},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": np.nan_to_num(values[:, 2] - values[:, 0]),
                "arrayminus": np.nan_to_num(values[:, 0] - values[:, 1]),
                "thickness": 2,
                "width": 0,
            },
            customdata=[
                [escaped(name), *(float(each) for each in row)]
                for name, row in zip(names, values, strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]:.1%}, "
            "95 % interval %{customdata[2]:.1%} to %{customdata[3]:.1%}<extra></extra>",
            showlegend=False,
        ),
        layout={
            "template": template(dark),
            "height": 90 + _ROW * max(1, len(names)),
            "margin": {"l": 8, "r": 16, "t": 40, "b": 8},
        },
    )
    lowest = float(np.nanmin(values[:, :2])) if len(values) else 0.0
    figure.update_xaxes(
        tickformat=".0%", range=(max(-0.01, np.floor(lowest * 10 - 0.2) / 10), 1.01), zeroline=False
    )
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[escaped(elided(name, 34)) for name in names],
        range=(len(names) - 0.4, -0.6),
        showgrid=False,
        zeroline=False,
    )
    return figure
