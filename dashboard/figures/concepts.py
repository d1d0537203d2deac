"""How far a class leans on concepts, layer by layer, beside what random sets of examples give."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import ConceptScores
from dashboard.figures.caption import elided, escaped
from dashboard.theme import greys, signed, template

_ROW = 44


def concept_bars(found: ConceptScores, *, dark: bool = False) -> go.Figure:
    """For each layer a bar per concept: how strongly the score of the class rises (orange) or falls
    (blue) towards it. The grey band is where random sets lie. A concept that cannot be told
    from them has no bar and no number.
    """
    tone, ends = greys(dark), signed(dark)
    against, towards = ends[0][1], ends[-1][1]
    mean, told = found.sensitivity.mean(axis=2), found.told
    rows = len(found.concepts)
    figure = make_subplots(
        rows=1,
        cols=len(found.layers),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[f"<b>{escaped(elided(layer, 24))}</b>" for layer in found.layers],
    )
    bands = np.array(
        [[found.band(row, place) for place in range(len(found.layers))] for row in range(rows)]
    )
    reach = 1.25 * max(0.1, float(np.abs(mean[told]).max(initial=0)), float(np.abs(bands).max()))
    for place, layer in enumerate(found.layers, start=1):
        at = place - 1
        figure.add_trace(
            go.Bar(
                x=bands[:, at, 1] - bands[:, at, 0],
                base=bands[:, at, 0],
                y=list(range(rows)),
                width=0.78,
                orientation="h",
                marker={"color": tone.line},
                hoverinfo="skip",
            ),
            row=1,
            col=place,
        )
        figure.add_trace(
            go.Bar(
                x=np.where(told[:, at], mean[:, at], 0.0),
                y=list(range(rows)),
                width=0.42,
                orientation="h",
                marker={
                    "color": [towards if each >= 0 else against for each in mean[:, at]],
                    "cornerradius": 2,
                },
                customdata=[
                    [
                        escaped(name),
                        _said(found, row, at),
                        f"{found.accuracy[row, at]:.0%}",
                    ]
                    for row, name in enumerate(found.concepts)
                ],
                hovertemplate=f"<b>%{{customdata[0]}}</b> in {escaped(layer)}<br>"
                "%{customdata[1]}<br>told from random examples: %{customdata[2]}<extra></extra>",
            ),
            row=1,
            col=place,
        )
        for row in range(rows):
            _mark(figure, found, row, at, reach, dark)
        figure.update_xaxes(
            title={"text": "sensitivity"},
            range=(-reach, reach),
            nticks=5,
            zeroline=True,
            zerolinecolor=tone.quiet,
            row=1,
            col=place,
        )
    figure.update_yaxes(
        tickvals=list(range(rows)),
        ticktext=[escaped(elided(name, 30)) for name in found.concepts],
        range=(rows - 0.45, -0.55),
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(
        template=template(dark),
        height=136 + _ROW * rows,
        title={
            "text": f"<b>Does '{escaped(elided(found.target.label, 30))}' lean on it?</b>"
            f"<span style='color:{tone.quiet}'> · share of examples whose score rises; grey: "
            "random sets</span>",
            "y": 0.985,
            "yanchor": "top",
        },
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
        barmode="overlay",
        showlegend=False,
        dragmode=False,
    )
    figure.for_each_annotation(
        lambda each: (
            each.update(font={"size": 12, "color": tone.text}) if each.yref == "paper" else each
        )
    )
    return figure


def _said(found: ConceptScores, row: int, at: int) -> str:
    if not found.told[row, at]:
        return "no more than random sets do"
    score, slope = found.scores[row, at].mean(), found.sensitivity[row, at].mean()
    return (
        f"TCAV {score:.0%}: so many of {found.examples} rise towards it<br>"
        f"sensitivity {slope:+.2f}, p = {found.p[row, at]:.2g}"
    )


def _mark(
    figure: go.Figure, found: ConceptScores, row: int, at: int, reach: float, dark: bool
) -> None:
    """The score at the end of a bar, or that there is none."""
    tone, value = greys(dark), float(found.sensitivity[row, at].mean())
    if found.told[row, at]:
        text, x = f"<b>{found.scores[row, at].mean():.0%}</b>", value
        anchor, shift = ("left", 4) if value >= 0 else ("right", -4)
        if abs(value) > 0.8 * reach:
            anchor, shift = ("right", -4) if value >= 0 else ("left", 4)
    else:
        text, x, anchor, shift = "≈ random", sum(found.band(row, at)) / 2, "center", 0
        figure.add_annotation(
            x=value,
            y=row,
            text="◇",
            showarrow=False,
            yshift=-11,
            font={"size": 11, "color": tone.quiet},
            row=1,
            col=at + 1,
        )
    figure.add_annotation(
        x=x,
        y=row,
        text=text,
        showarrow=False,
        xanchor=anchor,
        xshift=shift,
        font={"size": 12, "color": tone.text if found.told[row, at] else tone.quiet},
        row=1,
        col=at + 1,
    )
