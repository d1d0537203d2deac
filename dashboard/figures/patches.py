"""Attention of a vision transformer, laid over the patches of the picture it looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.utils import image_array_to_data_uri

from core.results import AttentionAxis, AttentionFlow, AttentionMaps
from dashboard.figures.caption import escaped
from dashboard.theme import accent, greys, template

_SIDE = 380  # pixels of a picture's longer side


def over_picture(
    found: AttentionMaps, layer: int, head: int, query: int, *, dark: bool = False
) -> go.Figure:
    """What one query of a vision transformer looks at, laid over the patches of the picture.

    Raises ``ValueError`` where keys are not patches of a picture.
    """
    key = found.keys[found.layers[layer].role]
    if key.grid is None or found.picture is None:
        raise ValueError("the keys of this attention are not patches of a picture")
    return _patches(found.maps[layer][head, query], query, key, found.picture, dark)


def flow_over_picture(
    found: AttentionFlow, row: int, *, query: int | None = None, dark: bool = False
) -> go.Figure:
    """The same for all layers together; ``row`` counts the rows of ``found.values``, ``query`` is
    the patch it belongs to, where that is another number.

    Raises ``ValueError`` where keys are not patches of a picture.
    """
    if found.key.grid is None or found.picture is None:
        raise ValueError("the keys of this attention are not patches of a picture")
    place = row if query is None else query
    return _patches(found.values[row], place, found.key, found.picture, dark)


def _patches(
    weights: npt.NDArray[np.float32],
    query: int,
    key: AttentionAxis,
    picture: npt.NDArray[np.uint8],
    dark: bool,
) -> go.Figure:
    """The patch looked from is framed. Points lie over the patches to be hovered and clicked; their
    customdata begins with the key's number.

    What is special has no place in the picture and is named below it.
    """
    rows, columns = key.grid or (0, 0)
    height, width = picture.shape[:2]
    down = (np.arange(rows) + 0.5) * height / rows - 0.5
    right = (np.arange(columns) + 0.5) * width / columns - 0.5
    values = weights[key.prefix : key.prefix + rows * columns].reshape(rows, columns)
    figure = go.Figure(
        go.Image(source=image_array_to_data_uri(picture, backend="pypng"), hoverinfo="skip")
    )
    figure.add_trace(
        go.Heatmap(
            z=values,
            x=right,
            y=down,
            colorscale=[(0, "rgba(227,143,69,0)"), (1, "rgba(227,143,69,0.9)")],
            zmin=0,
            zmax=float(values.max(initial=0)),
            zsmooth=False,
            hoverinfo="skip",
            colorbar={"title": {"text": "attention"}},
        )
    )
    figure.add_trace(
        go.Scatter(
            x=np.tile(right, rows),
            y=np.repeat(down, columns),
            mode="markers",
            marker={
                "symbol": "square",
                "size": _SIDE / max(rows, columns),
                "color": "rgba(0,0,0,0)",
            },
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[[key.prefix + i, float(x)] for i, x in enumerate(values.ravel())],
            text=[escaped(label) for label in key.labels[key.prefix :]],
            hovertemplate="%{text}<br>attention %{customdata[1]:.4f}<extra></extra>",
            showlegend=False,
        )
    )
    if key.prefix <= query < key.prefix + rows * columns:
        row, column = divmod(query - key.prefix, columns)
        figure.add_shape(
            type="rect",
            x0=column * width / columns - 0.5,
            x1=(column + 1) * width / columns - 0.5,
            y0=row * height / rows - 0.5,
            y1=(row + 1) * height / rows - 0.5,
            line={"color": accent(dark), "width": 3},
        )
    if key.prefix:
        figure.add_annotation(
            text="to "
            + ", ".join(
                f"{escaped(label)}: {float(weights[place]):.4f}"
                for place, label in enumerate(key.labels[: key.prefix])
            ),
            xref="paper",
            yref="paper",
            x=0.5,
            y=0,
            yanchor="top",
            showarrow=False,
            font={"color": greys(dark).quiet},
        )
    figure.update_xaxes(visible=False, range=(-0.5, width - 0.5), constrain="domain")
    figure.update_yaxes(
        visible=False, range=(height - 0.5, -0.5), scaleanchor="x", constrain="domain"
    )
    figure.update_layout(
        template=template(dark),
        height=_SIDE + 44,
        margin={"l": 8, "r": 8, "t": 16, "b": 28},
        dragmode=False,
    )
    return figure
