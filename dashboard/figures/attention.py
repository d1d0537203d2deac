"""Where a Transformer looked: all heads at once, one head, one token, all layers together.

Colours go from no attention to the largest of the map; the number itself is in the hover.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb
from plotly.utils import image_array_to_data_uri

from core.results import AttentionAxis, AttentionFlow, AttentionMaps, AttentionOverview
from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, accent, greys, template

Order = Literal["layer", "type", "entropy"]
Floats = npt.NDArray[np.float32]

_TILE, _GAP = 48, 6  # pixels of a head's thumbnail and between two
_LARGEST, _TALLEST = 58.0, 900  # pixels of a tile, and of all of them
_LEFT, _RIGHT, _TOP = 84, 8, 28  # margins
_WEAK = 8.0  # of 255: heads with nothing above it stay dark
_MOST_LABELS, _LONGEST = 60, 14
_MOST_LINES, _FAINTEST = 600, 0.02
_STRENGTHS = 5  # classes of opacity: one trace each, whatever the number of lines


def overview(
    found: AttentionOverview,
    *,
    order: Order = "layer",
    chosen: tuple[int, int] | None = None,
    off: Collection[tuple[int, int]] = (),
    width: int = 1000,
    dark: bool = False,
) -> go.Figure:
    """Every head of every layer as a small map, in one picture; ``chosen`` (layer, head) is framed,
    those ``off`` are crossed out.

    The figure is as wide as it needs to be, at most ``width`` pixels.

    ``order``: ``layer`` leaves heads as they stand, ``type`` and ``entropy`` sort those of a layer.
    Points lie over the maps to be hovered and clicked; their customdata begins with layer and head.
    """
    tone = greys(dark)
    orders = [_order(found, place, order) for place in range(len(found.layers))]
    across = max((len(heads) for heads in orders), default=1)
    step = _TILE + _GAP
    page = np.array([int(tone.page[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    canvas = np.full((len(orders) * step, across * step, 3), page, np.uint8)
    colours = _lookup()
    rows: list[list[Any]] = []
    for row, heads in enumerate(orders):
        for column, head in enumerate(heads):
            tile = _tile(found.thumbnails[row][head])
            top, left = row * step, column * step
            canvas[top : top + _TILE, left : left + _TILE] = colours[tile]
            rows.append(
                [
                    row,
                    head,
                    escaped(found.layers[row].name),
                    found.layers[row].role,
                    found.head_types[row][head],
                    float(found.type_scores[row][head]),
                    float(found.entropy[row][head]),
                    float(found.distance[row][head]),
                    column,
                ]
            )
    figure = go.Figure(
        go.Image(source=image_array_to_data_uri(canvas, backend="pypng"), hoverinfo="skip")
    )
    room = (width - _LEFT - _RIGHT) / (across + _GAP / step)
    cell = max(10.0, min(_LARGEST, room, _TALLEST / len(orders)))
    figure.add_trace(
        go.Scatter(
            x=[each[8] * step + _TILE / 2 for each in rows],
            y=[each[0] * step + _TILE / 2 for each in rows],
            mode="markers",
            marker={"symbol": "square", "size": cell * _TILE / step, "color": "rgba(0,0,0,0)"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[each[:8] for each in rows],
            hovertemplate="<b>layer %{customdata[0]} · head %{customdata[1]}</b>"
            "<br>%{customdata[2]} (%{customdata[3]})"
            "<br>%{customdata[4]} %{customdata[5]:.0%}"
            "<br>entropy %{customdata[6]:.2f} nats · distance %{customdata[7]:.1f}<extra></extra>",
            showlegend=False,
        )
    )
    if chosen is not None and chosen[0] < len(orders) and chosen[1] in orders[chosen[0]]:
        top, left = chosen[0] * step, orders[chosen[0]].index(chosen[1]) * step
        figure.add_shape(
            type="rect",
            x0=left - 2,
            x1=left + _TILE + 1,
            y0=top - 2,
            y1=top + _TILE + 1,
            line={"color": accent(dark), "width": 3},
        )
    for row, head in off:
        if row < len(orders) and head in orders[row]:
            top, left = row * step, orders[row].index(head) * step
            for start, end in ((left, left + _TILE), (left + _TILE, left)):
                figure.add_shape(
                    type="line",
                    x0=start,
                    x1=end,
                    y0=top,
                    y1=top + _TILE,
                    line={"color": tone.page, "width": 4},
                )
    figure.update_xaxes(
        tickvals=[column * step + _TILE / 2 for column in range(across)],
        ticktext=["head 0" if column == 0 else str(column) for column in range(across)],
        showticklabels=order == "layer",
        side="top",
        tickangle=0,
        range=(-_GAP, across * step),
        showgrid=False,
        zeroline=False,
        automargin=False,
    )
    figure.update_yaxes(
        tickvals=[row * step + _TILE / 2 for row in range(len(orders))],
        ticktext=[f"{layer.role} {row}" for row, layer in enumerate(found.layers)],
        range=(len(orders) * step, -_GAP),
        showgrid=False,
        zeroline=False,
        automargin=False,
    )
    figure.update_layout(
        template=template(dark),
        width=int(cell * (across + _GAP / step)) + _LEFT + _RIGHT,
        height=round(cell * (len(orders) + _GAP / step)) + _TOP + _RIGHT,
        margin={"l": _LEFT, "r": _RIGHT, "t": _TOP, "b": _RIGHT},
        dragmode=False,
    )
    return figure


def head_map(found: AttentionMaps, layer: int, head: int, *, dark: bool = False) -> go.Figure:
    """One head as a heatmap: from each query (row) to each key (column); a row sums to 1."""
    about = found.layers[layer]
    return _matrix(found.maps[layer][head], found.queries[about.role], found.keys[about.role], dark)


def flow_map(found: AttentionFlow, *, dark: bool = False) -> go.Figure:
    """All layers of one role together, from each query (row) to each key (column)."""
    return _matrix(found.values, found.query, found.key, dark)


def head_lines(
    found: AttentionMaps,
    layer: int,
    head: int,
    *,
    query: int | None = None,
    dark: bool = False,
) -> go.Figure:
    """One head as lines from queries (left) to keys (right), the stronger the more opaque; with
    ``query`` only those of one token. The 600 strongest of at least 0.02 are drawn. Queries can be
    clicked: their customdata is their number.
    """
    about = found.layers[layer]
    weights = found.maps[layer][head]
    queries, keys = found.queries[about.role], found.keys[about.role]
    if query is not None:
        weights = np.where(np.arange(len(weights))[:, None] == query, weights, 0)
    chosen = np.argwhere(weights >= _FAINTEST)
    chosen = chosen[np.argsort(-weights[tuple(chosen.T)], kind="stable")[:_MOST_LINES]]
    largest = float(weights.max(initial=0)) or 1.0
    strength = np.minimum(
        _STRENGTHS - 1, (weights[tuple(chosen.T)] / largest * _STRENGTHS).astype(int)
    )
    figure = go.Figure()
    tone = greys(dark)
    most = max(len(queries.labels), len(keys.labels))
    apart = 22 if most <= _MOST_LABELS else 13  # pixels from one label to the next
    left = np.linspace(0, 1, len(queries.labels)) if len(queries.labels) > 1 else np.array([0.5])
    right = np.linspace(0, 1, len(keys.labels)) if len(keys.labels) > 1 else np.array([0.5])
    for which in range(_STRENGTHS):
        pairs = chosen[strength == which]
        if not len(pairs):
            continue
        figure.add_trace(
            go.Scatter(
                x=np.tile([0.0, 1.0, np.nan], len(pairs)),
                y=np.stack(
                    [left[pairs[:, 0]], right[pairs[:, 1]], np.full(len(pairs), np.nan)], axis=1
                ).ravel(),
                mode="lines",
                line={"color": accent(dark), "width": 1 + which / 2},
                opacity=(which + 1) / _STRENGTHS,
                hoverinfo="skip",
                showlegend=False,
            )
        )
    for side, (axis, places, anchor) in enumerate(
        ((queries, left, "middle left"), (keys, right, "middle right"))
    ):
        figure.add_trace(
            go.Scatter(
                x=np.full(len(places), float(side)),
                y=places,
                mode="text",
                text=[escaped(elided(label.strip() or "␣", _LONGEST)) for label in axis.labels],
                textposition=anchor,
                textfont={"size": min(13, apart - 3), "color": tone.text},
                selected={"textfont": {"color": tone.text}},
                unselected={"textfont": {"color": tone.text}},
                customdata=[[place] for place in range(len(places))] if side == 0 else None,
                hoverinfo="none" if side == 0 else "skip",
                showlegend=False,
                cliponaxis=False,
            )
        )
    figure.update_xaxes(visible=False, range=(-0.45, 1.45), fixedrange=True)
    figure.update_yaxes(visible=False, range=(1.03, -0.03), fixedrange=True)
    figure.update_layout(
        template=template(dark),
        height=max(220, apart * most) + 30,
        margin={"l": 8, "r": 8, "t": 16, "b": 8},
        dragmode=False,
    )
    return figure


def token_rows(
    found: AttentionMaps,
    role: str,
    query: int,
    *,
    titles: Mapping[str, str] | None = None,
    dark: bool = False,
) -> go.Figure:
    """What one token looks at in every head of a role: heads down, keys across.

    ``query`` counts the rows of the maps, of which there may be only one; ``titles`` are what
    layers are called, by name.
    """
    rows, names, titles = [], [], titles or {}
    for place, layer in enumerate(found.layers):
        if layer.role == role:
            rows += [found.maps[place][head, query] for head in range(layer.heads)]
            title = titles.get(layer.name, layer.name)
            names += [f"{title} · head {head}" for head in range(layer.heads)]
    key = found.keys[role]
    heads = AttentionAxis(tuple(names), (False,) * len(names))
    return _matrix(np.stack(rows), heads, key, dark, cell=16)


def _matrix(
    values: Floats,
    query: AttentionAxis,
    key: AttentionAxis,
    dark: bool,
    cell: int = 22,
) -> go.Figure:
    down, across = values.shape
    names = np.array([escaped(label) for label in key.labels])
    rows = np.array([escaped(label) for label in query.labels])
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=np.arange(across),
            y=np.arange(down),
            zmin=0,
            zmax=float(values.max(initial=0)),
            colorscale=MAGNITUDE,
            customdata=np.dstack(np.broadcast_arrays(rows[:, None], names[None, :]))
            if down * across <= 20_000
            else None,
            hovertemplate="%{customdata[0]} → <b>%{customdata[1]}</b><br>%{z:.4f}<extra></extra>"
            if down * across <= 20_000
            else "%{y} → %{x}<br>%{z:.4f}<extra></extra>",
            colorbar={"title": {"text": "attention"}},
        )
    )
    figure.update_xaxes(**_ticks(key), side="top", tickangle=-45, showgrid=False)
    figure.update_yaxes(**_ticks(query), range=(down - 0.5, -0.5), showgrid=False)
    figure.update_layout(
        template=template(dark),
        height=int(min(820, max(240, cell * down))) + 110,
        margin={"l": 8, "r": 8, "t": 90, "b": 8},
    )
    return figure


def _ticks(axis: AttentionAxis) -> dict[str, list[str] | list[int]]:
    """At most about sixty labels, evenly spread."""
    step = -(-len(axis.labels) // _MOST_LABELS)
    places = list(range(0, len(axis.labels), step))
    shown = [escaped(elided(axis.labels[i].strip() or "␣", 2 * _LONGEST)) for i in places]
    return {"tickvals": places, "ticktext": shown}


def _order(found: AttentionOverview, layer: int, order: Order) -> list[int]:
    heads = list(range(found.layers[layer].heads))
    if order == "entropy":
        return sorted(heads, key=lambda head: float(found.entropy[layer][head]))
    if order == "type":
        kinds, scores = found.head_types[layer], found.type_scores[layer]
        return sorted(heads, key=lambda head: (kinds[head], -float(scores[head])))
    return heads


def _tile(thumbnail: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A thumbnail at the size of a tile, stretched to its largest value (square root, so that what
    is weak shows too), but not so far that attention to everything alike looks strong.
    """
    rows = np.arange(_TILE) * thumbnail.shape[0] // _TILE
    columns = np.arange(_TILE) * thumbnail.shape[1] // _TILE
    tile = thumbnail[rows][:, columns].astype(np.float32)
    scaled: npt.NDArray[np.uint8] = (255 * np.sqrt(tile / max(_WEAK, float(tile.max())))).astype(
        np.uint8
    )
    return scaled


def _lookup() -> npt.NDArray[np.uint8]:
    colours = sample_colorscale(MAGNITUDE, np.linspace(0, 1, 256))
    return np.array([unlabel_rgb(colour) for colour in colours]).round().astype(np.uint8)
