"""One number per layer, from the input to the answer; and the numbers of one layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results import LayerBehaviour
from dashboard.figures.caption import escaped
from dashboard.figures.layeraxis import layer_ticks
from dashboard.theme import accent, greys, template

_SPREAD = 300.0  # largest over smallest value from which the axis is logarithmic


def layer_strip(
    names: Sequence[str],
    values: Sequence[float],
    *,
    title: str,
    form: str = ".3g",
    kinds: Sequence[str] = (),
    healthy: tuple[float, float] | None = None,
    picked: str = "",
    dark: bool = False,
) -> go.Figure:
    """Bars in the order in which layers compute; ``picked`` stands out. ``healthy`` is a range that
    is drawn as a band; NaN is no bar. ``form`` is a d3 number format.
    """
    tone = greys(dark)
    known = [value for value in values if math.isfinite(value)]
    positive = [value for value in known if value > 0]
    far = (
        bool(positive)
        and len(positive) == len(known)
        and max(known) > _SPREAD * min(positive)
        and not form.endswith("%")
    )
    marks = [accent(dark) if name == picked else tone.quiet for name in names]
    figure = go.Figure(
        go.Bar(
            x=list(range(len(names))),
            y=list(values),
            marker={"color": marks, "opacity": [1 if name == picked else 0.62 for name in names]},
            customdata=[
                [escaped(name), escaped(kind)]
                for name, kind in zip(names, kinds or [""] * len(names), strict=True)
            ],
            hovertemplate=f"<b>%{{customdata[0]}}</b> %{{customdata[1]}}<br>%{{y:{form}}}"
            "<extra></extra>",
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 0.62}},
        ),
        layout={
            "template": template(dark),
            "height": 230,
            "title": {"text": f"<b>{escaped(title)}</b>"},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
            "bargap": 0.25,
            "dragmode": False,
        },
    )
    if healthy is not None and known:
        low, high = healthy
        top = high if math.isfinite(high) else max(*known, low) * 1.05
        figure.add_hrect(
            y0=max(low, min(known)) if far and low <= 0 else low,
            y1=top,
            fillcolor=accent(dark),
            opacity=0.12,
            line_width=0,
            layer="below",
        )
    figure.update_xaxes(**layer_ticks(names), showgrid=False)
    figure.update_yaxes(
        tickformat={"e": "~g", "g": "~g", "f": "~g", "s": "~s"}.get(form[-1], form),
        nticks=5,
        rangemode="tozero",
        type="log" if far else "linear",
    )
    return figure


def activation_histogram(layer: LayerBehaviour, *, dark: bool = False) -> go.Figure:
    """The distribution of single activations of a layer; shares of all."""
    total = max(float(layer.counts.sum()), 1.0)
    centres = (layer.edges[1:] + layer.edges[:-1]) / 2
    figure = go.Figure(
        go.Bar(
            x=centres,
            y=layer.counts / total,
            width=np.diff(layer.edges),
            marker={"color": accent(dark), "line": {"width": 0}},
            hovertemplate="about %{x:.3g}<br>%{y:.2%} of activations<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 260,
            "title": {"text": f"<b>Activations of {escaped(layer.name)}</b>"},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
            "bargap": 0,
        },
    )
    figure.update_yaxes(tickformat=".0%", nticks=5)
    figure.update_xaxes(showgrid=False)
    return figure


def selective_units(
    units: Sequence[int] | npt.NDArray[np.int64],
    selectivity: npt.NDArray[np.float64],
    *,
    dark: bool = False,
) -> go.Figure:
    """Units (rows) whose activation the class explains most: shares of variance."""
    figure = go.Figure(
        go.Bar(
            x=selectivity,
            y=[f"unit {unit}" for unit in units],
            orientation="h",
            marker={"color": accent(dark)},
            hovertemplate="%{y}<br>the class explains %{x:.0%}<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 76 + 24 * len(units),
            "title": {"text": "<b>Class selectivity</b> · variance that the class explains"},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 8},
            "dragmode": False,
        },
    )
    figure.update_xaxes(range=(0, 1), tickformat=".0%")
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure
