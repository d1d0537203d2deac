"""What the layers of a network did while it learned: norms, distributions, dead units."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.results.history import Floats, HistogramSeries, History
from dashboard.figures.caption import escaped
from dashboard.theme import MAGNITUDE, class_colour, greys, template

_MOST_COLUMNS = 240


def layer_heatmap(
    history: History,
    what: str = "step/gradient_norm",
    title: str = "",
    *,
    cursor: int | None = None,
    dark: bool = False,
) -> go.Figure:
    """``what`` of every layer (rows, the input on top) over updates (columns), by its logarithm.

    Columns beyond 240 are the largest value of a stretch. ``cursor`` is a step to mark.
    """
    tags = [tag for tag in history.scalars if tag.startswith(f"{what}/")]
    layers = [tag.removeprefix(f"{what}/") for tag in tags]
    figure = _figure(title, 110 + 22 * max(len(layers), 2), dark)
    if not tags:
        return _empty(figure, dark)
    steps = history.scalars[tags[0]].steps
    edges = np.linspace(0, len(steps), min(len(steps), _MOST_COLUMNS) + 1).astype(int)[:-1]
    rows = [_largest(history.scalars[tag].values, edges, len(steps)) for tag in tags]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log10(np.array(rows))
    values[~np.isfinite(values)] = np.nan
    figure.add_trace(
        go.Heatmap(
            z=values,
            x=steps[edges],
            y=[escaped(layer) for layer in layers],
            colorscale=MAGNITUDE,
            colorbar={"title": {"text": "log₁₀"}, "thickness": 12},
            customdata=np.array(rows),
            hovertemplate="%{y}<br>update %{x}<br>%{customdata:.3g}<extra></extra>",
        )
    )
    _mark(figure, cursor, dark)
    figure.update_xaxes(title={"text": "updates"}, showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    return figure


def unit_shares(history: History, *, cursor: int | None = None, dark: bool = False) -> go.Figure:
    """Share of dead and of saturated units of each layer over epochs; low is good. ``cursor`` is a
    step to mark.
    """
    figure = _figure("Dead and saturated units · lower is better", 320, dark)
    figure.layout.margin.b = 90
    tags = [tag for tag in history.scalars if tag.startswith(("dead/", "saturated/"))]
    for place, tag in enumerate(tags):
        kind, _, layer = tag.partition("/")
        series = history.scalars[tag]
        figure.add_trace(
            go.Scatter(
                x=series.steps,
                y=series.values,
                name=escaped(f"{layer} {kind}"),
                mode="lines+markers",
                marker={"size": 4},
                line={
                    "color": class_colour(place),
                    "dash": "dot" if kind == "saturated" else "solid",
                },
                hovertemplate=f"{escaped(layer)} {kind} %{{y:.1%}}<extra></extra>",
            )
        )
    if not tags:
        return _empty(figure, dark)
    _mark(figure, cursor, dark)
    figure.update_layout(hovermode="x unified")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", zeroline=False)
    figure.update_xaxes(title={"text": "updates"}, showgrid=False)
    return figure


def distribution(
    series: HistogramSeries, title: str, *, cursor: int | None = None, dark: bool = False
) -> go.Figure:
    """Histograms over steps, as lightness: each column is the distribution at one step, scaled to
    its own maximum.
    """
    figure = _figure(title, 260, dark)
    if not len(series.steps):
        return _empty(figure, dark)
    chosen = np.unique(
        np.linspace(0, len(series.steps) - 1, min(len(series.steps), 120)).astype(int)
    )
    low = min(float(series.edges[place][0]) for place in chosen)
    high = max(float(series.edges[place][-1]) for place in chosen)
    centres = np.linspace(low, high, 64)
    columns = [_density(series.edges[place], series.counts[place], centres) for place in chosen]
    figure.add_trace(
        go.Heatmap(
            z=np.array(columns).T,
            x=series.steps[chosen],
            y=centres,
            colorscale=MAGNITUDE,
            showscale=False,
            hovertemplate="update %{x}<br>value %{y:.3g}<br>%{z:.0%} of the peak<extra></extra>",
        )
    )
    _mark(figure, cursor, dark)
    figure.update_xaxes(title={"text": "updates"}, showgrid=False)
    figure.update_yaxes(showgrid=False, zeroline=False)
    return figure


def _mark(figure: go.Figure, cursor: int | None, dark: bool) -> None:
    if cursor is not None:
        line = {"color": greys(dark).text, "width": 1, "dash": "dash"}
        figure.add_vline(x=cursor, line=line)


def _density(edges: Floats, counts: Floats, centres: Floats) -> Floats:
    """Counts per unit of value at these places, from 0 to 1."""
    widths = np.maximum(np.diff(edges), 1e-12)
    places = np.clip(np.searchsorted(edges, centres, side="right") - 1, 0, len(counts) - 1)
    inside = (centres >= edges[0]) & (centres <= edges[-1])
    density = np.where(inside, (counts / widths)[places], 0.0)
    peak = density.max()
    return density / peak if peak > 0 else density


def _largest(values: Floats, starts: np.ndarray, count: int) -> Floats:
    """The largest value of each stretch; where a run recorded fewer, the last ones are missing."""
    padded = np.full(count, np.nan)
    padded[: len(values)] = values[:count]
    stretches = np.split(padded, starts[1:])
    return np.array([np.nanmax(each) if np.isfinite(each).any() else np.nan for each in stretches])


def _figure(title: str, height: int, dark: bool) -> go.Figure:
    return go.Figure(
        layout={
            "template": template(dark),
            "height": height,
            "title": {"text": f"<b>{escaped(title)}</b>", "y": 0.97 if height < 400 else 0.985},
            "margin": {"l": 8, "r": 12, "t": 40, "b": 40},
            "legend": {"y": -0.24, "yanchor": "top"},
            "uirevision": escaped(title),
        }
    )


def _empty(figure: go.Figure, dark: bool) -> go.Figure:
    quiet = {"color": greys(dark).quiet}
    figure.add_annotation(text="nothing recorded yet", showarrow=False, font=quiet)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
