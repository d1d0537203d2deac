"""What a model goes by in pictures: by region, and the mean map of each class."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.utils import image_array_to_data_uri

from core.results import Importance
from dashboard.figures.caption import elided, escaped
from dashboard.figures.panels import WIDTH, Panel, axis, panel_figure
from dashboard.theme import MAGNITUDE, greys, template, translucent

_SIDE = 320  # pixels of the regions from left to right
_CLIP = 98  # percentile of the sizes at which colours end


def region_map(result: Importance, *, dark: bool = False) -> go.Figure:
    """The importance of each region of the pictures, over all classes."""
    rows, columns = result.grid
    values, error = result.values.reshape(rows, columns), result.error.reshape(rows, columns)
    low, high = result.seeds.min(axis=0), result.seeds.max(axis=0)
    spread = np.stack([error, low.reshape(rows, columns), high.reshape(rows, columns)], axis=-1)
    seeds = (
        "<br>seeds %{customdata[1]:.4g} to %{customdata[2]:.4g}" if len(result.seeds) > 1 else ""
    )
    figure = go.Figure(
        go.Heatmap(
            z=values,
            customdata=spread,
            colorscale=MAGNITUDE,
            xgap=1,
            ygap=1,
            colorbar={"thickness": 10, "len": 0.8, "title": {"text": escaped(result.unit)}},
            hovertemplate="<b>row %{y}, column %{x}</b><br>%{z:.4g} ± %{customdata[0]:.2g} "
            f"{escaped(result.unit)}{seeds}<extra></extra>",
            x=np.arange(1, columns + 1),
            y=np.arange(1, rows + 1),
        ),
        layout={
            "template": template(dark),
            # Squares by size: an axis tied to the other one shrinks when a page is resized.
            "height": round(_SIDE * rows / columns) + 72,
            "width": _SIDE + 124,
            "title": {"text": "<b>By region</b>, all classes together"},
            "margin": {"l": 28, "r": 96, "t": 44, "b": 28, "autoexpand": False},
        },
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1, zeroline=False)
    figure.update_xaxes(showgrid=False, dtick=1, zeroline=False)
    return figure


def class_maps(
    result: Importance, *, columns: int = 5, width: int = WIDTH, dark: bool = False
) -> go.Figure:
    """The mean map of each class over its mean picture, on one scale: orange speaks for the class
    (or is what the measure falls by), blue against it.
    """
    counts = np.bincount(result.groups, minlength=len(result.classes))
    panels = [
        Panel(elided(each.target.title, 16), (_many(int(counts[each.target.index])),))
        for each in result.maps
    ]
    shape = result.maps[0].heatmap.shape if result.maps else (1, 1)
    figure, grid = panel_figure(
        panels, (shape[0], shape[1]), note_lines=1, columns=columns, width=width, dark=dark
    )
    figure.layout.template = template(dark)
    sizes = np.abs([each.heatmap for each in result.maps]) if result.maps else np.ones(1)
    limit = float(np.percentile(sizes, _CLIP)) or float(sizes.max()) or 1.0
    for index, each in enumerate(result.maps):
        place = {"xaxis": axis("x", index), "yaxis": axis("y", index)}
        if each.picture is not None:
            luma = each.picture @ np.array([0.299, 0.587, 0.114])
            faded = luma * 0.4 if dark else 255 - (255 - luma) * 0.3
            uri = image_array_to_data_uri(
                faded.round().astype(np.uint8), backend="pypng", compression=6
            )
            figure.add_trace(go.Image(source=uri, hoverinfo="skip", **place))
        last = index == len(result.maps) - 1
        figure.add_trace(
            go.Heatmap(
                z=each.heatmap,
                zmin=-limit,
                zmax=limit,
                colorscale=translucent(dark),
                opacity=0.8,
                showscale=last,
                colorbar={
                    "title": {"text": escaped(result.unit)},
                    "tickvals": [-limit, 0, limit],
                    "ticktext": [f"−{limit:.2g}", "0", f"+{limit:.2g}"],
                    "lenmode": "pixels",
                    "len": max(110, min(grid.panel_height, 220)),
                    "y": 1,
                    "yanchor": "top",
                    "tickfont": {"color": greys(dark).quiet},
                },
                hovertemplate=f"<b>{escaped(each.target.title)}</b><br>row %{{y}} · column %{{x}}"
                f"<br>%{{z:.4g}} {escaped(result.unit)}<extra></extra>",
                **place,
            )
        )
    return figure


def _many(count: int) -> str:
    return f"{count:,} example{'s' * (count != 1)}"
