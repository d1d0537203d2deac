"""Two models beside each other: where they agree and which is better."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.results import Comparison
from dashboard.figures.caption import elided, escaped
from dashboard.figures.outcomes import confusion
from dashboard.theme import CLASSES, accent, greys, template

Titles = tuple[str, str]
_ROW = 30
_MOST_CLASSES, _MOST_CELLS = 30, 40
_PERCENT = ("accuracy", "top3", "top5")


def answers(found: Comparison, titles: Titles, *, dark: bool = False) -> go.Figure:
    """What the first model says (rows) against what the second says (columns), as shares of the
    rows; off the diagonal they disagree.
    """
    shown = disagreeing(found)
    return confusion(
        found.answers[np.ix_(shown, shown)].astype(np.float64),
        [found.classes[each] for each in shown],
        title="What both answer",
        axes=(elided(titles[0], 24), elided(titles[1], 40)),
        joined="for the first,",
        room=40,
        dark=dark,
    )


def disagreeing(found: Comparison, most: int = _MOST_CELLS) -> list[int]:
    """The classes that a table of answers shows: those that were said; of too many, those on which
    the models disagree most.
    """
    table = found.answers
    apart = table.sum(axis=0) + table.sum(axis=1) - 2 * np.diag(table)
    said = np.flatnonzero(table.sum(axis=0) + table.sum(axis=1))
    order = said[np.argsort(-apart[said], kind="stable")][:most]
    return [int(each) for each in np.sort(order)]


def measure_differences(found: Comparison, titles: Titles, *, dark: bool = False) -> go.Figure:
    """By how much the first model is better in each measure, with 95 % intervals of the same draws
    for both; where the interval has no zero in it the point is filled.
    """
    tone = greys(dark)
    turn = np.array([1.0 if each.first.good == "high" else -1.0 for each in found.measures])
    gains = np.stack([each.difference for each in found.measures]) * turn[:, None]
    low, high = gains[:, 1:].min(axis=1), gains[:, 1:].max(axis=1)
    sure = (low > 0) | (high < 0)
    figure = go.Figure(
        go.Scatter(
            x=gains[:, 0],
            y=list(range(len(gains))),
            mode="markers",
            marker={
                "size": 11,
                "color": [accent(dark) if each else tone.page for each in sure],
                "line": {"color": accent(dark), "width": 2},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": np.nan_to_num(high - gains[:, 0]),
                "arrayminus": np.nan_to_num(gains[:, 0] - low),
                "thickness": 2,
                "width": 0,
                "color": accent(dark),
            },
            customdata=[
                [
                    escaped(each.first.title),
                    spelt(each.first.name, each.first.value),
                    spelt(each.first.name, each.second.value),
                    *(float(value) for value in each.difference),
                ]
                for each in found.measures
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>first %{customdata[1]}, second "
            "%{customdata[2]}<br>difference %{customdata[3]:+.4f}, 95 % interval "
            "%{customdata[4]:+.4f} to %{customdata[5]:+.4f}<extra></extra>",
            showlegend=False,
        ),
        layout={
            "template": template(dark),
            "height": 96 + _ROW * len(gains),
            "title": {
                "text": "<b>Which is better?</b>"
                f"<span style='color:{tone.quiet}'> · right of the line the first</span>"
            },
            "margin": {"l": 8, "r": 16, "t": 40, "b": 8},
        },
    )
    figure.add_vline(x=0, line={"color": tone.text, "width": 1, "dash": "dot"})
    reach = 1.1 * max(float(np.nanmax(np.abs([gains[:, 0], low, high]))), 1e-3)
    figure.update_xaxes(
        range=(-reach, reach),
        zeroline=False,
        nticks=5,
        title={"text": f"{_short(titles[1])} better ← → {_short(titles[0])} better"},
    )
    figure.update_yaxes(
        tickvals=list(range(len(gains))),
        ticktext=[escaped(each.first.title) for each in found.measures],
        range=(len(gains) - 0.4, -0.6),
        showgrid=False,
        zeroline=False,
    )
    return figure


def class_differences(found: Comparison, titles: Titles, *, dark: bool = False) -> go.Figure:
    """F1 of each class in both models; of many classes those with the largest difference."""
    gaps = np.abs(found.f1[:, 0] - found.f1[:, 1])
    known = np.flatnonzero(np.isfinite(gaps) & (found.support > 0))
    shown = known
    if len(known) > _MOST_CLASSES:
        shown = np.sort(known[np.argsort(-gaps[known], kind="stable")][:_MOST_CLASSES])
    tone, places = greys(dark), list(range(len(shown)))
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": 110 + 26 * len(shown),
            "title": {"text": "<b>F1 by class</b>"},
            "margin": {"l": 8, "r": 16, "t": 62, "b": 8},
        }
    )
    for row, label in enumerate(shown):
        figure.add_shape(
            type="line",
            x0=found.f1[label, 0],
            x1=found.f1[label, 1],
            y0=row,
            y1=row,
            line={"color": tone.quiet, "width": 2},
            layer="below",
        )
    for model, symbol in enumerate(("circle", "diamond")):
        figure.add_trace(
            go.Scatter(
                x=found.f1[shown, model],
                y=places,
                mode="markers",
                name=escaped(elided(titles[model], 30)),
                marker={"size": 11, "symbol": symbol, "color": CLASSES[model]},
                customdata=[
                    [
                        escaped(found.classes[label]),
                        int(found.support[label]),
                        *(float(each) for each in found.f1_difference[label]),
                    ]
                    for label in shown
                ],
                hovertemplate="<b>%{customdata[0]}</b> · %{customdata[1]:,} examples<br>F1 %{x:.3f}"
                "<br>first less second %{customdata[2]:+.3f}, 95 % interval %{customdata[3]:+.3f} "
                "to %{customdata[4]:+.3f}<extra></extra>",
            )
        )
    low = float(np.nanmin(found.f1[shown])) if len(shown) else 0.0
    figure.update_xaxes(range=(max(-0.01, np.floor(low * 20 - 0.2) / 20), 1.01), zeroline=False)
    figure.update_yaxes(
        tickvals=places,
        ticktext=[escaped(elided(found.classes[label], 24)) for label in shown],
        range=(len(shown) - 0.4, -0.6),
        zeroline=False,
    )
    return figure


def spelt(name: str, value: float) -> str:
    """A measure as people write it."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.1%}" if name in _PERCENT else f"{value:.3f}"


def _short(title: str) -> str:
    return escaped(elided(title, 24))
