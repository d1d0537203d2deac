"""Where classes can be told apart over the depth, and which layers hold the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results import Probes
from dashboard.figures.caption import elided, escaped
from dashboard.figures.layeraxis import layer_ticks
from dashboard.theme import MAGNITUDE, accent, greys, template

_NEAR = 0.02  # a layer is as good as the best one when within so much of it


def probe_curve(probes: Probes, *, dark: bool = False) -> go.Figure:
    """Accuracy of a linear classifier on each layer, with one standard deviation over the folds,
    beside always naming the most frequent class and the model itself.
    """
    tone = greys(dark)
    best = float(np.nanmax(probes.accuracy))
    first = int(np.flatnonzero(probes.accuracy >= best - _NEAR)[0])
    places = list(range(len(probes.layers)))
    what = " and ".join(map(str, probes.classes)) if len(probes.classes) == 2 else "The classes"
    figure = go.Figure(
        go.Scatter(
            x=places,
            y=probes.accuracy,
            error_y={"type": "data", "array": probes.deviation, "thickness": 1, "width": 3},
            mode="lines+markers",
            line={"color": accent(dark), "width": 2},
            marker={"size": [13 if place == first else 8 for place in places]},
            customdata=[escaped(name) for name in probes.layers],
            hovertemplate="<b>%{customdata}</b><br>%{y:.1%} right<extra></extra>",
            showlegend=False,
        ),
        layout={
            "template": template(dark),
            "height": 360,
            "title": {
                "text": f"<b>{escaped(elided(what, 50))} come apart at "
                f"{escaped(probes.layers[first])}</b>"
                f"<span style='color:{tone.quiet}'> · linear probes, share right</span>"
            },
            "margin": {"l": 8, "r": 120, "t": 44, "b": 8},
            "dragmode": False,
        },
    )
    for value, name in ((probes.own, "the model itself"), (probes.majority, "most frequent class")):
        figure.add_hline(y=value, line={"color": tone.quiet, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=1,
            xref="paper",
            xanchor="left",
            y=value,
            text=f" {name}",
            showarrow=False,
            font={"size": 12, "color": tone.quiet},
        )
    figure.update_xaxes(**layer_ticks(probes.layers), showgrid=False, zeroline=False)
    figure.update_yaxes(tickformat=".0%", range=(0, 1.03), nticks=6)
    return figure


def similarity_map(
    values: npt.NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    titles: tuple[str, str] = ("", ""),
    width: int = 640,
    dark: bool = False,
) -> go.Figure:
    """Linear CKA float64 ``[row, column]`` of layers with layers, from 0 to 1."""
    count = max(len(rows), len(columns))
    size = min(width, 160 + max(14, min(40, 900 // count)) * count)
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            zmin=0,
            zmax=1,
            colorscale=MAGNITUDE,
            customdata=[[[escaped(a), escaped(b)] for b in columns] for a in rows],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>CKA %{z:.2f}<extra></extra>",
            colorbar={"thickness": 12, "title": {"text": "CKA"}},
        ),
        layout={
            "template": template(dark),
            "width": size,
            "height": size,
            "title": {"text": "<b>Similarity of layers</b>"},
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
        },
    )
    figure.update_xaxes(**layer_ticks(columns), title={"text": escaped(titles[1])}, showgrid=False)
    figure.update_yaxes(
        **layer_ticks(rows, 0),
        title={"text": escaped(titles[0])},
        autorange="reversed",
        showgrid=False,
    )
    return figure
