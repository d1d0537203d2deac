"""One unit over a data set, and the units that matter most to an answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from dashboard.figures.caption import elided, escaped
from dashboard.theme import accent, class_colour, greys, mixed, signed, template

_BINS = 40
_MOST_CLASSES = 10
_ROW = 24


def unit_histogram(
    values: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64] | None,
    classes: Sequence[str],
    *,
    dark: bool = False,
) -> go.Figure:
    """How often a unit has which activation ``[example]``, stacked by class where there are at most
    ten; the classes it answers to most come first.
    """
    known = np.isfinite(values)
    edges = np.histogram_bin_edges(values[known] if known.any() else [0.0, 1.0], _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    groups: list[tuple[str, str, npt.NDArray[np.bool_]]] = [("examples", accent(dark), known)]
    if labels is not None and len(classes) <= _MOST_CLASSES:
        means = [
            float(values[known & (labels == index)].mean())
            if (known & (labels == index)).any()
            else -np.inf
            for index in range(len(classes))
        ]
        groups = [
            (classes[index], class_colour(int(index)), known & (labels == index))
            for index in np.argsort(means)[::-1]
        ]
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": 290,
            "title": {"text": "<b>Activations by class</b>" if len(groups) > 1 else ""},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
            "barmode": "stack",
            "bargap": 0,
            "legend": {"orientation": "v", "x": 1, "y": 1, "yanchor": "top", "font": {"size": 12}},
        }
    )
    for name, colour, mask in groups:
        counts, _ = np.histogram(values[mask], edges)
        figure.add_trace(
            go.Bar(
                x=centres,
                y=counts,
                width=np.diff(edges),
                name=escaped(elided(name, 18)),
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate=f"{escaped(name)}<br>about %{{x:.3g}}: %{{y}} examples"
                "<extra></extra>",
                showlegend=len(groups) > 1,
            )
        )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(nticks=5)
    return figure


def strongest_units(
    values: npt.NDArray[np.float32],
    *,
    title: str,
    most: int = 14,
    picked: int = -1,
    dark: bool = False,
) -> go.Figure:
    """The units of ``values [unit]`` with the largest magnitude: orange speaks for the target, blue
    against; customdata is the unit.
    """
    order = np.argsort(-np.abs(np.nan_to_num(values)), kind="stable")[:most]
    tone = greys(dark)
    figure = go.Figure(
        go.Bar(
            x=values[order],
            y=[f"unit {unit}" for unit in order],
            orientation="h",
            marker={
                "color": [mixed(signed(dark), 0.85 if values[u] > 0 else 0.15) for u in order],
                "line": {
                    "color": tone.text,
                    "width": [2 if unit == picked else 0 for unit in order],
                },
            },
            customdata=[int(unit) for unit in order],
            hovertemplate="%{y}<br>%{x:.3g}<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 76 + _ROW * len(order),
            "title": {"text": f"<b>{escaped(title)}</b>"},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
            "bargap": 0.35,
            "dragmode": False,
        },
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure


def class_changes(
    classes: Sequence[str],
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    *,
    most: int = 16,
    dark: bool = False,
) -> go.Figure:
    """Share right of each class with everything (marks) and without some units (bars); of many
    classes those that change most.
    """
    order = np.argsort(-np.abs(after - before), kind="stable")[:most]
    order = np.sort(order)
    tone = greys(dark)
    names = [escaped(elided(classes[index], 22)) for index in order]
    figure = go.Figure(
        [
            go.Bar(
                x=after[order],
                y=names,
                orientation="h",
                marker={"color": [class_colour(int(index)) for index in order]},
                hovertemplate="%{y}<br>%{x:.1%} right without<extra></extra>",
                showlegend=False,
            ),
            go.Scatter(
                x=before[order],
                y=names,
                mode="markers",
                marker={
                    "symbol": "line-ns",
                    "size": 14,
                    "line": {"color": tone.text, "width": 2},
                },
                hovertemplate="%{y}<br>%{x:.1%} right with everything<extra></extra>",
                showlegend=False,
            ),
        ],
        layout={
            "template": template(dark),
            "height": 76 + _ROW * len(order),
            "title": {
                "text": "<b>Right, by class</b>"
                f"<span style='color:{tone.quiet}'> · bars: without, marks: with everything</span>"
            },
            "margin": {"l": 8, "r": 8, "t": 36, "b": 28},
            "bargap": 0.35,
        },
    )
    figure.update_xaxes(tickformat=".0%", range=(0, 1.02), nticks=6)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure
