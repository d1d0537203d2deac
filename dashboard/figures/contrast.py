"""What differs in the reasons of two models: attributions and attention beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import AttentionContrast, AttentionMaps, Attribution, AttributionContrast
from core.results.levels import at_level
from core.tasks import Columns, Tokens
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.caption import elided, escaped
from dashboard.figures.panels import WIDTH
from dashboard.theme import MAGNITUDE, accent, greys, signed, template

Titles = tuple[str, str]
DIFFERENCE = "First − second"
_MOST_LABELS, _MOST_ACROSS, _LONGEST = 24, 9, 30
_LEAST = 0.05  # where colours end at least: less is nothing to speak of


def reasons(
    found: AttributionContrast,
    titles: Titles,
    *,
    unsigned: bool = False,
    difference: str = DIFFERENCE,
    width: int = WIDTH,
    dark: bool = False,
    **look: Any,
) -> go.Figure:
    """Maps of pictures, bars of words and columns; ``difference`` is what theirs is called."""
    if found.first.axis.kind == "pixels":
        look["difference"] = difference
        return reason_maps(found, titles, unsigned=unsigned, width=width, dark=dark, **look)
    return reason_bars(found, titles, difference=difference, width=width, dark=dark)


def reason_maps(
    found: AttributionContrast,
    titles: Titles,
    *,
    unsigned: bool = False,
    difference: str = DIFFERENCE,
    width: int = WIDTH,
    dark: bool = False,
    **look: Any,
) -> go.Figure:
    """The maps of both models and their difference, on one colour scale."""
    parts, names = named(found, titles, difference)
    if unsigned and found.difference is None:
        look["unsigned"] = list(names)
    return attribution_maps(
        parts,
        titles=names,
        columns=4 if width >= 640 else 2,
        width=width,
        dark=dark,
        **look,
    )


def named(
    found: AttributionContrast, titles: Titles, difference: str = DIFFERENCE
) -> tuple[list[Attribution], dict[str, str]]:
    """Both attributions and their difference, each as of a method of its own, and what these are
    called.
    """
    parts = [replace(found.first, method="first"), replace(found.second, method="second")]
    names = {"first": titles[0], "second": titles[1]}
    if found.difference is not None:
        parts.append(replace(found.difference, method="difference", signed=True))
        names["difference"] = difference
    return parts, names


def reason_bars(
    found: AttributionContrast,
    titles: Titles,
    *,
    difference: str = DIFFERENCE,
    most: int = 14,
    width: int = WIDTH,
    dark: bool = False,
) -> go.Figure:
    """Words or columns that weigh most in either model: their values in the first, in the second,
    and the difference, in the same order and on one scale.
    """
    parts, names = named(found, titles, difference)
    tone, ends = greys(dark), signed(dark)
    several = [_labelled(each) for each in parts]
    if found.difference is None:  # not the same parts: each has its own order
        orders = [np.argsort(-np.abs(values), kind="stable")[:most] for _, values in several]
    else:
        weight = np.maximum(np.abs(several[0][1]), np.abs(several[1][1]))
        orders = [np.argsort(-weight, kind="stable")[:most]] * len(parts)
    room = max(14, (width - 180) // (8 * len(parts)))
    figure = make_subplots(
        rows=1,
        cols=len(parts),
        shared_yaxes=found.difference is not None,
        subplot_titles=[f"<b>{escaped(elided(names[each.method], room))}</b>" for each in parts],
        horizontal_spacing=0.04 if found.difference is not None else 0.2,
    )
    reach = 1.08 * max(float(np.abs(values).max(initial=0)) for _, values in several) or 1.0
    for place, (each, (labels, values), order) in enumerate(
        zip(parts, several, orders, strict=True), start=1
    ):
        colours = [ends[-1][1] if value >= 0 else ends[0][1] for value in values[order]]
        figure.add_trace(
            go.Bar(
                x=values[order],
                y=np.arange(len(order)),
                orientation="h",
                marker={"color": colours, "cornerradius": 2},
                customdata=[escaped(labels[i]) for i in order],
                hovertemplate=f"<b>%{{customdata}}</b><br>%{{x:.4g}} {escaped(each.unit)}"
                "<extra></extra>",
            ),
            row=1,
            col=place,
        )
        figure.update_xaxes(
            range=(-reach, reach),
            nticks=5,
            zeroline=True,
            zerolinecolor=tone.quiet,
            title={"text": escaped(each.unit)},
            row=1,
            col=place,
        )
        figure.update_yaxes(
            tickvals=list(range(len(order))),
            ticktext=[escaped(elided(labels[i].strip() or "␣", _LONGEST)) for i in order],
            ticklabelstandoff=4,
            range=(len(order) - 0.4, -0.6),
            showgrid=False,
            fixedrange=True,
            row=1,
            col=place,
        )
    longest = max(len(order) for order in orders)
    figure.update_layout(
        template=template(dark),
        height=26 * longest + 110,
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
        showlegend=False,
        bargap=0.35,
    )
    figure.update_annotations(font={"size": 13, "color": tone.text})
    return figure


def attention_distance(
    found: AttentionContrast, *, chosen: tuple[int, int] | None = None, dark: bool = False
) -> go.Figure:
    """How far apart each head of the two models looks, layers below each other; ``chosen`` (layer,
    head) is framed. Points lie over the cells to be clicked; their customdata begins with layer and
    head.
    """
    most = max(len(values) for values in found.distance)
    table = np.full((len(found.distance), most), np.nan)
    for row, values in enumerate(found.distance):
        table[row, : len(values)] = values
    largest = max(float(np.nanmax(table)), _LEAST)
    form = ".2f" if largest > 0.1 else ".3f"
    figure = go.Figure(
        go.Heatmap(
            z=table,
            zmin=0,
            zmax=largest,
            colorscale=MAGNITUDE,
            xgap=2,
            ygap=2,
            text=[
                [format(each, form) if np.isfinite(each) else "" for each in row] for row in table
            ],
            texttemplate="%{text}" if most <= 16 else None,
            hoverinfo="skip",
            colorbar={"title": {"text": "apart"}},
        ),
        layout={
            "template": template(dark),
            "height": max(200, min(520, 96 + 40 * len(found.distance))),
            "title": {"text": "<b>How far apart each head looks</b> · 0 is at the same"},
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
            "dragmode": False,
        },
    )
    cells = [
        (row, head, float(values[head]))
        for row, values in enumerate(found.distance)
        for head in range(len(values))
    ]
    figure.add_trace(  # cells themselves cannot be clicked
        go.Scatter(
            x=[head for _, head, _ in cells],
            y=[row for row, _, _ in cells],
            mode="markers",
            marker={"symbol": "square", "size": 24, "color": "rgba(0,0,0,0)"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[[row, head, value] for row, head, value in cells],
            text=[escaped(found.layers[row].name) for row, _, _ in cells],
            hovertemplate="<b>%{text}</b> · head %{customdata[1]}<br>%{customdata[2]:.3f} of 1"
            "<extra></extra>",
            showlegend=False,
        )
    )
    if chosen is not None:
        figure.add_shape(
            type="rect",
            x0=chosen[1] - 0.5,
            x1=chosen[1] + 0.5,
            y0=chosen[0] - 0.5,
            y1=chosen[0] + 0.5,
            line={"color": accent(dark), "width": 3},
        )
    figure.update_xaxes(title={"text": "head"}, dtick=1, showgrid=False, zeroline=False)
    figure.update_yaxes(
        tickvals=list(range(len(found.layers))),
        ticktext=[f"layer {place}" for place in range(len(found.layers))],
        range=(len(found.layers) - 0.5, -0.5),
        showgrid=False,
        zeroline=False,
    )
    return figure


def head_maps(
    first: AttentionMaps,
    second: AttentionMaps,
    layer: int,
    head: int,
    titles: Titles,
    *,
    dark: bool = False,
) -> go.Figure:
    """One head's attention ``[query, key]`` in both models on one scale, and the first's less the
    second's.
    """
    maps = [each.maps[layer][head] for each in (first, second)]
    role = first.layers[layer].role
    rows, columns = (
        [escaped(elided(label.strip() or "␣", 12)) for label in axes[role].labels]
        for axes in (first.queries, first.keys)
    )
    most = max(float(each.max()) for each in maps)
    gap = maps[0].astype(np.float64) - maps[1]
    reach = max(float(np.abs(gap).max()), most / 10, 1e-6)
    figure = make_subplots(
        rows=1,
        cols=3,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[f"<b>{escaped(elided(each, 22))}</b>" for each in (*titles, DIFFERENCE)],
    )
    many = max(len(rows), len(columns)) > _MOST_LABELS
    every = -(-len(columns) // _MOST_ACROSS)
    for place, values in enumerate((*maps, gap), start=1):
        signs = place == 3
        figure.add_trace(
            go.Heatmap(
                z=values,
                zmin=-reach if signs else 0,
                zmax=reach if signs else most,
                colorscale=signed(dark) if signs else MAGNITUDE,
                customdata=[[[escaped(q), escaped(k)] for k in columns] for q in rows],
                hovertemplate="%{customdata[0]} → %{customdata[1]}<br>%{z:.4f}<extra></extra>",
                colorbar={
                    "x": 1.0 if signs else 1.08,
                    "thickness": 8,
                    "nticks": 4,
                    "tickformat": ".2~f",
                },
                showscale=place != 1,
            ),
            row=1,
            col=place,
        )
        figure.update_xaxes(
            tickvals=list(range(0, len(columns), every)),
            ticktext=columns[::every],
            showticklabels=not many,
            tickangle=-45,
            showgrid=False,
            row=1,
            col=place,
        )
        figure.update_yaxes(
            tickvals=list(range(len(rows))),
            ticktext=rows,
            showticklabels=not many and place == 1,
            range=(len(rows) - 0.5, -0.5),
            showgrid=False,
            row=1,
            col=place,
        )
    figure.update_layout(
        template=template(dark),
        height=340,
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
    )
    figure.update_annotations(font={"size": 13, "color": greys(dark).text})
    return figure


def _labelled(each: Attribution) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
    if isinstance(each.axis, Tokens):
        groups = at_level(each.axis, each.values, "word", fold_special=True)
        return groups.labels, groups.values
    if isinstance(each.axis, Columns):
        several = zip(
            each.axis.names, (elided(value, 9) for value in each.axis.values), strict=True
        )
        labels = [f"{elided(name, _LONGEST - 3 - len(value))} = {value}" for name, value in several]
        return labels, each.values.astype(np.float64)
    raise TypeError(f"'{each.example}' has no words and no columns")
