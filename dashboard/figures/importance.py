"""What a model goes by over a data set: bars, swarms, and by class, word, column or region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results import Importance
from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, accent, class_colour, greys, template

MOST = 14
_ROW, _LONGEST = 27, 29
_SWARM = 400  # examples of a feature that are drawn


def importance_bars(result: Importance, *, most: int = MOST, dark: bool = False) -> go.Figure:
    """The most important features: bars with the 95 % interval that the choice of examples gives,
    and a mark for each seed.
    """
    tone, shown = greys(dark), result.order[:most]
    values, error = result.values[shown], result.error[shown]
    hints = [_hint(result, int(place)) for place in shown]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=np.arange(len(shown)),
            orientation="h",
            marker={"color": accent(dark), "cornerradius": 2},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": np.nan_to_num(error),
                "arrayminus": np.nan_to_num(np.minimum(error, values) if result.signed else error),
                "color": tone.text,
                "thickness": 1.5,
                "width": 4,
            },
            customdata=hints,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    if len(result.seeds) > 1:
        figure.add_trace(
            go.Scatter(
                x=result.seeds[:, shown].ravel(),
                y=np.tile(np.arange(len(shown)), len(result.seeds)).astype(float) + 0.24,
                mode="markers",
                marker={
                    "size": 5,
                    "color": tone.page,
                    "line": {"color": tone.text, "width": 1},
                },
                hovertemplate="one seed: %{x:.4g}<extra></extra>",
            )
        )
    title = "Fall when shuffled" if result.way == "permutation" else "Mean size of contribution"
    _laid_out(figure, result, shown, f"<b>{title}</b> · {escaped(result.unit)}", dark)
    figure.update_layout(bargap=0.35, showlegend=False)
    figure.update_xaxes(rangemode="tozero", nticks=6)
    return figure


def beeswarm(result: Importance, *, most: int = MOST, dark: bool = False) -> go.Figure:
    """Every example of the most important features, at what the feature does in it. Columns are
    coloured by their value's rank among the examples, from the lowest to the highest; else colours
    are classes.
    """
    shown = result.order[:most]
    rows = np.arange(len(result.rows))[:: -(-len(result.rows) // _SWARM)]
    ranked = np.isfinite(result.levels[:, shown]).any()
    figure = go.Figure()
    xs, ys, levels, own, hints = [], [], [], [], []
    for line, place in enumerate(shown):
        values = result.each[rows, place]
        known = np.isfinite(values)
        xs.append(values[known])
        ys.append(line + _spread(values[known]))
        levels.append(_ranks(result.levels[:, place])[rows][known])
        own.append(result.groups[rows][known])
        hints += [
            f"<b>{escaped(elided(result.features[place], 40))}</b>"
            f"{escaped(_value(result, int(place), int(row)))}<br>example {result.rows[row] + 1}"
            for row in rows[known]
        ]
    x, y = np.concatenate(xs or [np.empty(0)]), np.concatenate(ys or [np.empty(0)])
    hover = f"%{{customdata}}<br>%{{x:.4g}} {escaped(result.unit)}<extra></extra>"
    kind = go.Scattergl if len(x) > 3_000 else go.Scatter
    if ranked:
        colours, missing = np.concatenate(levels), greys(dark).quiet
        there = np.isfinite(colours)
        texts = np.array(hints, dtype=object)
        if not there.all():
            figure.add_trace(
                _dots(kind, x[~there], y[~there], {"color": missing}, texts[~there], hover)
            )
        marker = {
            "color": colours[there],
            "colorscale": _ranked(dark),
            "cmin": 0,
            "cmax": 1,
            "colorbar": _bar("value", dark),
        }
        figure.add_trace(_dots(kind, x[there], y[there], marker, texts[there], hover))
    else:
        owner, texts = np.concatenate(own or [np.empty(0)]), np.array(hints, dtype=object)
        for label in np.unique(owner).astype(int):
            here = owner == label
            trace = _dots(
                kind, x[here], y[here], {"color": class_colour(label)}, texts[here], hover
            )
            trace.update(name=escaped(elided(result.classes[label], 18)), showlegend=True)
            figure.add_trace(trace)
    towards = f" towards {escaped(elided(result.target, 30))}" if result.target else ""
    _laid_out(figure, result, shown, f"<b>In each example</b>{towards}", dark)
    if not ranked:
        figure.update_layout(
            height=figure.layout.height + 44,
            legend={"y": -0.07, "yanchor": "top"},
            margin={"b": 52},
        )
    figure.update_xaxes(zeroline=True, zerolinecolor=greys(dark).quiet, nticks=6)
    return figure


def class_heat(result: Importance, *, most: int = MOST, dark: bool = False) -> go.Figure:
    """The importance of the most important features in the examples of each class."""
    shown, table = result.order[:most], result.by_class()
    there = np.flatnonzero(np.isfinite(table).any(axis=1))[:24]
    counts = [int((result.groups == place).sum()) for place in there]
    figure = go.Figure(
        go.Heatmap(
            z=table[np.ix_(there, shown)].T,
            x=[escaped(elided(result.classes[place], 14)) for place in there],
            y=np.arange(len(shown)),
            colorscale=MAGNITUDE,
            xgap=2,
            ygap=2,
            colorbar={"thickness": 10, "len": 0.7},
            customdata=np.array(
                [[[escaped(result.features[f]), n] for n in counts] for f in shown], dtype=object
            ),
            hovertemplate="<b>%{customdata[0]}</b> · %{x}<br>%{z:.4g} "
            f"{escaped(result.unit)}, %{{customdata[1]}} examples<extra></extra>",
        )
    )
    _laid_out(
        figure, result, shown, f"<b>By {result.grouped_by}</b> · {escaped(result.unit)}", dark
    )
    figure.update_xaxes(type="category", showgrid=False)
    return figure


def dependence_scatter(
    result: Importance, feature: int, partner: int = -1, *, dark: bool = False
) -> go.Figure:
    """What a column contributes over its value, one point per example, coloured by the rank of the
    value of ``partner`` (-1 for one colour).
    """
    x, y = result.levels[:, feature], result.each[:, feature]
    known = np.isfinite(x) & np.isfinite(y)
    marker: dict[str, Any] = {"size": 7, "opacity": 0.8, "color": accent(dark)}
    if partner >= 0:
        name = escaped(elided(result.features[partner], 22))
        marker |= {
            "color": _ranks(result.levels[:, partner])[known],
            "colorscale": _ranked(dark),
            "cmin": 0,
            "cmax": 1,
            "colorbar": _bar(name, dark),
        }
    figure = go.Figure(
        go.Scatter(
            x=x[known],
            y=y[known],
            mode="markers",
            marker=marker,
            customdata=result.rows[known] + 1,
            hovertemplate="%{x:.4g}: %{y:.4g} "
            + escaped(result.unit)
            + "<br>example %{customdata}<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 90 + _ROW * MOST,
            "title": {"text": f"<b>{escaped(elided(result.features[feature], 34))}</b>"},
            "margin": {"l": 8, "r": 8, "t": 44, "b": 8},
        },
    )
    _ticked(figure, result.categories[feature])
    figure.update_yaxes(
        title={"text": escaped(result.unit)}, zeroline=True, zerolinecolor=greys(dark).quiet
    )
    figure.update_xaxes(zeroline=False, title={"text": "value of the column"})
    return figure


def _ticked(figure: go.Figure, categories: Sequence[str]) -> None:
    if categories:
        figure.update_xaxes(
            tickvals=list(range(len(categories))),
            ticktext=[escaped(elided(each, 16)) for each in categories],
        )


def _ranked(dark: bool) -> Any:
    """From low to high, both ends apart from the page."""
    if dark:
        return [(0.0, "#5b86d6"), (0.5, "#9a9a9a"), (1.0, "#fde945")]
    return [(0.0, "#0b2f6e"), (0.5, "#7c7b78"), (1.0, "#f0c419")]


def _bar(title: str, dark: bool) -> dict[str, Any]:
    """The colour bar of ranks."""
    font = {"size": 12, "color": greys(dark).quiet}
    return {
        "title": {"text": title, "side": "right", "font": font},
        "tickfont": font,
        "tickvals": [0, 1],
        "ticktext": ["low", "high"],
        "thickness": 10,
        "len": 0.7,
        "outlinewidth": 0,
    }


def _dots(kind: Any, x: Any, y: Any, marker: dict[str, Any], texts: Any, hover: str) -> Any:
    return kind(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 5, "opacity": 0.85} | marker,
        customdata=texts,
        hovertemplate=hover,
        showlegend=False,
    )


def _laid_out(
    figure: go.Figure, result: Importance, shown: npt.NDArray[np.int64], title: str, dark: bool
) -> None:
    figure.update_layout(
        template=template(dark),
        height=90 + _ROW * max(2, len(shown)),
        title={"text": title},
        margin={"l": 8, "r": 12, "t": 44, "b": 8},
    )
    figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[escaped(elided(result.features[place], _LONGEST)) for place in shown],
        ticklabelstandoff=4,
        range=(max(2, len(shown)) - 0.4, -0.6),
        showgrid=False,
        zeroline=False,
    )


def _spread(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Offsets from a line by which points at nearly one place do not hide each other."""
    offsets = np.zeros(len(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return offsets
    bins = np.clip(((values - values.min()) / np.ptp(values) * 60).astype(int), 0, 59)
    fullest = max(1, int(np.bincount(bins).max()))
    for each in np.unique(bins):
        here = np.flatnonzero(bins == each)
        side = np.where(np.arange(len(here)) % 2, 1, -1) * ((np.arange(len(here)) + 1) // 2)
        offsets[here] = side / fullest * 0.8
    return offsets


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 0 to 1, equal for equal values; NaN where there is none."""
    found = np.full(len(values), np.nan)
    known = np.isfinite(values)
    unique, back = np.unique(values[known], return_inverse=True)
    if len(unique):
        counts = np.bincount(back)
        middle = np.cumsum(counts) - (counts + 1) / 2
        found[known] = middle[back] / max(1, int(known.sum()) - 1)
    return found


def _value(result: Importance, feature: int, row: int) -> str:
    level = result.levels[row, feature]
    if not np.isfinite(level):
        return ""
    kinds = result.categories[feature]
    return f" = {elided(kinds[int(level)], 30)}" if kinds else f" = {level:.6g}"


def _hint(result: Importance, place: int) -> str:
    name, count = escaped(elided(result.features[place], 60)), len(result.rows)
    parts = [
        f"<b>{name}</b>",
        f"{result.values[place]:.4g} ± {result.error[place]:.2g} {escaped(result.unit)} "
        "(95 %, over examples)",
    ]
    if len(result.seeds) > 1:
        low, high = result.seeds[:, place].min(), result.seeds[:, place].max()
        parts.append(f"{len(result.seeds)} seeds: {low:.4g} to {high:.4g}")
    known = result.each[:, place][np.isfinite(result.each[:, place])]
    if len(known):
        quarters = np.percentile(known, (25, 75))
        parts.append(f"half of the examples: {quarters[0]:.4g} to {quarters[1]:.4g}")
    if len(known) < count:
        parts.append(f"in {len(known):,} of {count:,} examples")
    members = result.members[place]
    if len(members) > 1:
        names = ", ".join(members[:6]) + (" …" if len(members) > 6 else "")
        parts.append(escaped(elided(names, 90)))
    return "<br>".join(parts)
