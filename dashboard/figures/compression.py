"""What compression saves, and how far the reasons stay the same."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.results import Costs, Drift
from dashboard.figures.caption import escaped, method_title
from dashboard.theme import accent, greys, template

_BINS = np.linspace(-1, 1, 41)


def savings(costs: Costs, *, dark: bool = False) -> go.Figure:
    """Size, weights that are not zero, multiply-adds and latency of the small model as shares of
    the original's; left of the line is less.
    """
    one, two = costs.original, costs.small
    shares = {
        "Bytes on disk": (two.bytes, one.bytes, ",.0f"),
        "Weights": (two.parameters, one.parameters, ",.0f"),
        "Weights that are not zero": (two.nonzero, one.nonzero, ",.0f"),
        "Multiply-adds": (two.multiply_adds, one.multiply_adds, ",.0f"),
        "Latency, ms": (1e3 * two.median, 1e3 * one.median, ",.3f"),
    }
    values = [after / before if before else 1.0 for after, before, _ in shares.values()]
    tone = greys(dark)
    figure = go.Figure(
        go.Bar(
            x=values,
            y=list(shares),
            orientation="h",
            marker={"color": [accent(dark) if each <= 1 else tone.quiet for each in values]},
            text=[f"{each:.2f} ×" for each in values],
            textposition="outside",
            cliponaxis=False,
            customdata=[
                [format(before, form), format(after, form)]
                for after, before, form in shares.values()
            ],
            hovertemplate="<b>%{y}</b><br>%{customdata[0]} before, %{customdata[1]} after"
            "<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 76 + 36 * len(shares),
            "title": {"text": "<b>What is left</b> · of the original"},
            "margin": {"l": 8, "r": 48, "t": 40, "b": 8},
            "bargap": 0.4,
            "dragmode": False,
        },
    )
    figure.add_vline(x=1, line={"color": tone.text, "width": 1, "dash": "dot"})
    figure.update_xaxes(range=(0, max(1.1, *values)), nticks=5)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def reasons(drift: Drift, *, dark: bool = False) -> go.Figure:
    """How many of the examples whose answer stayed have attributions how much alike: Spearman's
    rank correlation, 1 where the order of all inputs is the same; the line is the median.
    """
    counts, edges = np.histogram(drift.spearman, _BINS)
    tone = greys(dark)
    figure = go.Figure(
        go.Bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": accent(dark), "line": {"width": 0}},
            hovertemplate="about %{x:.2f}: %{y} examples<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 256,
            "title": {
                "text": "<b>Are the reasons the same?</b>"
                f"<span style='color:{tone.quiet}'> · {escaped(method_title(drift.method))}, 1 is "
                "the same</span>"
            },
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
            "bargap": 0,
        },
    )
    if len(drift.spearman):
        middle = float(np.median(drift.spearman))
        figure.add_vline(x=middle, line={"color": tone.text, "width": 2})
        low = min(0.0, float(drift.spearman.min()) - 0.05)
        figure.update_xaxes(range=(max(-1.0, low), 1.02))
    figure.update_xaxes(title={"text": "rank correlation of the attributions"}, showgrid=False)
    figure.update_yaxes(nticks=5)
    return figure
