"""What differs in the reasons of two models: attributions and attention beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import AttentionContrast, Attribution, AttributionContrast
from core.results.levels import at_level
from core.tasks import Columns, Tokens
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.caption import elided, escaped
from dashboard.figures.panels import WIDTH
from dashboard.theme import MAGNITUDE, greys, signed, template

Titles = tuple[str, str]
DIFFERENCE = "First less second"


def reasons(
    found: AttributionContrast,
    titles: Titles,
    *,
    unsigned: bool = False,
    width: int = WIDTH,
    dark: bool = False,
    **look: Any,
) -> go.Figure:
    """Maps of pictures, bars of words and columns."""
    if found.first.axis.kind == "pixels":
        return reason_maps(found, titles, unsigned=unsigned, width=width, dark=dark, **look)
    return reason_bars(found, titles, dark=dark)


def reason_maps(
    found: AttributionContrast,
    titles: Titles,
    *,
    unsigned: bool = False,
    width: int = WIDTH,
    dark: bool = False,
    **look: Any,
) -> go.Figure:
    """The maps of both models and their difference, on one colour scale."""
    parts, names = named(found, titles)
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


def named(found: AttributionContrast, titles: Titles) -> tuple[list[Attribution], dict[str, str]]:
    """Both attributions and their difference, each as of a method of its own, and what these are
    called.
    """
    parts = [replace(found.first, method="first"), replace(found.second, method="second")]
    names = {"first": titles[0], "second": titles[1]}
    if found.difference is not None:
        parts.append(replace(found.difference, method="difference", signed=True))
        names["difference"] = DIFFERENCE
    return parts, names


def reason_bars(
    found: AttributionContrast, titles: Titles, *, most: int = 14, dark: bool = False
) -> go.Figure:
    """Words or columns that weigh most in either model: their values in the first, in the second,
    and the difference, in the same order and on one scale.
    """
    parts, names = named(found, titles)
    tone, ends = greys(dark), signed(dark)
    several = [_labelled(each) for each in parts]
    if found.difference is None:  # not the same parts: each has its own order
        orders = [np.argsort(-np.abs(values), kind="stable")[:most] for _, values in several]
    else:
        weight = np.maximum(np.abs(several[0][1]), np.abs(several[1][1]))
        orders = [np.argsort(-weight, kind="stable")[:most]] * len(parts)
    figure = make_subplots(
        rows=1,
        cols=len(parts),
        shared_yaxes=found.difference is not None,
        subplot_titles=[f"<b>{escaped(elided(names[each.method], 34))}</b>" for each in parts],
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
            ticktext=[escaped(elided(labels[i].strip() or "␣", 26)) for i in order],
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


def attention_distance(found: AttentionContrast, *, dark: bool = False) -> go.Figure:
    """How far apart each head of the two models looks, layers below each other."""
    most = max(len(values) for values in found.distance)
    table = np.full((len(found.distance), most), np.nan)
    for row, values in enumerate(found.distance):
        table[row, : len(values)] = values
    largest = max(float(np.nanmax(table)), 1e-6)
    figure = go.Figure(
        go.Heatmap(
            z=table,
            zmin=0,
            zmax=largest,
            colorscale=MAGNITUDE,
            xgap=2,
            ygap=2,
            text=[[f"{each:.2f}" if np.isfinite(each) else "" for each in row] for row in table],
            texttemplate="%{text}" if most <= 16 else None,
            customdata=[[escaped(each.name)] * most for each in found.layers],
            hovertemplate="<b>%{customdata}</b> · head %{x}<br>%{z:.3f} of 1<extra></extra>",
            colorbar={"title": {"text": "apart"}},
        ),
        layout={
            "template": template(dark),
            "height": 110 + 44 * len(found.distance),
            "title": {"text": "<b>How far apart each head looks</b> · 0 is at the same"},
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
        },
    )
    figure.update_xaxes(title={"text": "head"}, dtick=1, showgrid=False, zeroline=False)
    figure.update_yaxes(
        tickvals=list(range(len(found.layers))),
        ticktext=[f"layer {place}" for place in range(len(found.layers))],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    return figure


def _labelled(each: Attribution) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
    if isinstance(each.axis, Tokens):
        groups = at_level(each.axis, each.values, "word", fold_special=True)
        return groups.labels, groups.values
    if isinstance(each.axis, Columns):
        several = zip(each.axis.names, each.axis.values, strict=True)
        return [f"{name} = {value}" for name, value in several], each.values.astype(np.float64)
    raise TypeError(f"'{each.example}' has no words and no columns")
