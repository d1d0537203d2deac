"""How the answer moves with the value of a column, for all rows and each alone, and of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results import Dependence, Interaction
from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, accent, greys, signed, template

_LINES = 120  # rows that are drawn alone
_HEIGHT = 430


def dependence_lines(result: Dependence, *, centred: bool = False, dark: bool = False) -> go.Figure:
    """Partial dependence (thick, with its 95 % interval over the rows) over the score of each row
    alone (ICE, thin; an even spread of 120); ``centred`` starts all at 0, so that lines that do not
    run alike show. Ticks below are the values in the data.
    """
    tone, grid = greys(dark), result.grid
    curves = result.curves - result.curves[:, :1] if centred else result.curves
    mean = curves.mean(axis=0)
    spread = curves.std(axis=0, ddof=1 if len(curves) > 1 else 0)
    error = 1.96 * spread / np.sqrt(len(curves))
    few = curves[:: -(-len(curves) // _LINES)]
    gap = np.full((len(few), 1), np.nan)
    figure = go.Figure(
        [
            go.Scatter(
                x=np.tile(np.append(grid, np.nan), len(few)),
                y=np.hstack([few, gap]).ravel(),
                mode="lines+markers" if result.categories else "lines",
                line={"color": tone.quiet, "width": 1},
                marker={"size": 3},
                opacity=0.28,
                hoverinfo="skip",
                showlegend=False,
            ),
            go.Scatter(
                x=np.concatenate([grid, grid[::-1]]),
                y=np.concatenate([mean + error, (mean - error)[::-1]]),
                fill="toself",
                fillcolor=accent(dark),
                opacity=0.22,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            ),
            go.Scatter(
                x=grid,
                y=mean,
                mode="lines+markers",
                line={"color": accent(dark), "width": 3},
                marker={"size": 6},
                customdata=error,
                hovertemplate="%{x}: %{y:.4g} ± %{customdata:.2g} "
                + escaped(result.unit)
                + "<extra></extra>",
                showlegend=False,
            ),
        ]
    )
    if not result.categories:
        own = result.own[np.isfinite(result.own)]
        inside = own[(own >= grid[0]) & (own <= grid[-1])]
        figure.add_trace(
            go.Scatter(
                x=inside,
                y=np.zeros(len(inside)),
                yaxis="y2",
                mode="markers",
                marker={"symbol": "line-ns", "size": 9, "line": {"color": tone.quiet, "width": 1}},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    start = ", from 0" if centred else ""
    figure.update_layout(
        template=template(dark),
        height=_HEIGHT,
        title={
            "text": f"<b>{escaped(elided(result.target, 30))}</b> over "
            f"{escaped(elided(result.column, 30))}{start}"
        },
        margin={"l": 8, "r": 12, "t": 44, "b": 8},
        yaxis={"title": {"text": escaped(result.unit)}, "domain": (0.08, 1), "zeroline": centred},
        yaxis2={"domain": (0, 0.05), "visible": False, "range": (-1, 1), "fixedrange": True},
        xaxis={
            "title": {"text": escaped(elided(result.column, 40))}, "zeroline": False, "anchor": "y2"
        },
    )  # fmt: skip
    _ticked(figure.layout.xaxis, result.categories)
    return figure


def interaction_map(result: Interaction, *, excess: bool = False, dark: bool = False) -> go.Figure:
    """The joint partial dependence of two columns; with ``excess`` only what is not the sum of the
    two: orange where they together do more, blue where less.
    """
    z = (result.excess if excess else result.both).T
    reach = float(np.abs(z).max()) or 1.0
    colours: dict[str, Any] = {"colorscale": MAGNITUDE}
    if excess:
        colours = {"colorscale": signed(dark), "zmin": -reach, "zmax": reach}
    first, second = (_places(grid) for grid in result.grids)
    names = [escaped(elided(each, 30)) for each in result.columns]
    texts = [
        _words(grid, kinds) for grid, kinds in zip(result.grids, result.categories, strict=True)
    ]
    hover = np.array([[[a, b] for a in texts[0]] for b in texts[1]], dtype=object)
    figure = go.Figure(
        go.Heatmap(
            x=first,
            y=second,
            z=z,
            customdata=hover,
            colorbar={
                "thickness": 10,
                "len": 0.8,
                "title": {"text": escaped(result.unit), "side": "right"},
            },
            hovertemplate=f"{names[0]} %{{customdata[0]}}<br>{names[1]} %{{customdata[1]}}<br>"
            f"<b>%{{z:.4g}}</b> {escaped(result.unit)}<extra></extra>",
            **colours,
        ),
        layout={
            "template": template(dark),
            "height": _HEIGHT,
            "title": {
                "text": "<b>Beyond the sum</b> of the two alone"
                if excess
                else f"<b>{escaped(elided(result.target, 30))}</b> over both"
            },
            "margin": {"l": 8, "r": 8, "t": 44, "b": 8},
        },
    )
    for axis, grid, text, name in (
        (figure.layout.xaxis, result.grids[0], texts[0], names[0]),
        (figure.layout.yaxis, result.grids[1], texts[1], names[1]),
    ):
        step = max(1, len(grid) // 6)
        places = np.arange(0, len(grid), step)
        axis.tickvals = places
        axis.ticktext = [text[place] for place in places]
        axis.title = {"text": name}
        axis.showgrid = axis.zeroline = False
    return figure


def _places(grid: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Cells of one size each: quantiles lie close where there is much data."""
    return np.arange(len(grid))


def _words(grid: npt.NDArray[np.float64], kinds: Sequence[str]) -> list[str]:
    if kinds:
        return [escaped(elided(each, 16)) for each in kinds]
    return [f"{value:.3g}" for value in grid]


def _ticked(axis: Any, categories: Sequence[str]) -> None:
    if categories:
        axis.tickvals = list(range(len(categories)))
        axis.ticktext = [escaped(elided(each, 16)) for each in categories]
