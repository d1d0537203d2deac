"""What one layer answers to one example: its units side by side, and one of them alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.utils import image_array_to_data_uri

from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, accent, greys, mixed, signed, template

Values = npt.NDArray[np.float32]

MOST = 256  # units drawn at once
_TILE = 48  # pixels of a tile in the picture
_GAP = 4
_LARGEST, _LEAST = 76.0, 22.0  # pixels of a tile on the page
_CLIP = 99.5  # colours end at this percentile of |value|
_CELLS = 6_000  # of a table of units and tokens, each to be clicked


def shown_units(values: Values, most: int = MOST) -> npt.NDArray[np.int64]:
    """The units of ``values [unit, position …]`` that are drawn: all, or the strongest by mean
    magnitude, in their own order.
    """
    strength = np.abs(values.reshape(len(values), -1)).mean(axis=1)
    return np.sort(np.argsort(-np.nan_to_num(strength), kind="stable")[:most])


def unit_grid(
    values: Values, *, picked: int = -1, width: int = 700, dark: bool = False
) -> go.Figure:
    """Every unit of ``values [unit, row, column]`` or ``[unit]`` as a tile, all in one picture and
    on one scale; the unit ``picked`` is framed. Points over the tiles can be hovered and clicked;
    their customdata begins with the unit.

    Raises ``ValueError`` for another shape.
    """
    if values.ndim == 1:
        values = values[:, None, None]
    if values.ndim != 3:
        raise ValueError(f"values {values.shape}, expected [unit] or [unit, row, column]")
    units = shown_units(values)
    limit, negative = _limit(values), bool((values < 0).any())
    flat = values.shape[1:] == (1, 1)
    across = _across(len(units), width, flat)
    step, rows = _TILE + _GAP, -(-len(units) // across)
    page = _rgb(greys(dark).page)
    canvas = np.full((rows * step, across * step, 3), page, np.uint8)
    scale = _scale(negative, dark)
    places = []
    for place, unit in enumerate(units):
        row, column = divmod(place, across)
        tile = scale[_steps(_enlarged(values[unit]), limit, negative)]
        canvas[row * step : row * step + _TILE, column * step : column * step + _TILE] = tile
        places.append((column * step + _TILE / 2, row * step + _TILE / 2))
    size = max(_LEAST if not flat else 14.0, min(_LARGEST if not flat else 30.0, width / across))
    figure = go.Figure(
        go.Image(source=image_array_to_data_uri(canvas, backend="pypng"), hoverinfo="skip")
    )
    pooled = values.reshape(len(values), -1)
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in places],
            y=[y for _, y in places],
            mode="markers",
            marker={"symbol": "square", "size": size * _TILE / step, "color": "rgba(0,0,0,0)"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[
                [int(unit), float(pooled[unit].mean()), float(pooled[unit].max())] for unit in units
            ],
            hovertemplate="<b>unit %{customdata[0]}</b><br>mean %{customdata[1]:.3g}"
            " · largest %{customdata[2]:.3g}<extra></extra>",
            showlegend=False,
        )
    )
    if picked in units:
        x, y = places[int(np.flatnonzero(units == picked)[0])]
        half = _TILE / 2 + 2
        figure.add_shape(
            type="rect",
            x0=x - half,
            x1=x + half,
            y0=y - half,
            y1=y + half,
            line={"color": accent(dark), "width": 3},
        )
    figure.update_xaxes(visible=False, range=(-_GAP, across * step), constrain="domain")
    figure.update_yaxes(visible=False, range=(rows * step, -_GAP), scaleanchor="x")
    figure.update_layout(
        template=template(dark),
        width=round(size * across) + 16,
        height=round(size * rows) + 16,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        dragmode=False,
    )
    return figure


def units_over_positions(
    values: Values, labels: Sequence[str] = (), *, picked: int = -1, dark: bool = False
) -> go.Figure:
    """Units (rows, at most 256) of ``values [unit, position]`` over tokens or steps (columns).

    Raises ``ValueError`` for another shape.
    """
    if values.ndim != 2:
        raise ValueError(f"values {values.shape}, expected [unit, position]")
    units, count = shown_units(values), values.shape[1]
    limit, negative = _limit(values), bool((values < 0).any())
    names = _position_names(labels, count)
    figure = go.Figure(
        go.Heatmap(
            z=values[units],
            x=list(range(count)),
            y=list(range(len(units))),
            colorscale=list(signed(dark)) if negative else MAGNITUDE,
            zmin=-limit if negative else 0,
            zmax=limit,
            hoverinfo="skip",
            colorbar={"thickness": 12},
        ),
        layout={
            "template": template(dark),
            "height": min(620, 90 + max(4, 640 // len(units)) * len(units)),
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "dragmode": False,
        },
    )
    rows, columns = np.arange(len(units)), np.arange(count)
    if len(units) * count > _CELLS:
        columns = np.array([0])
    grid = [(row, column) for row in rows for column in columns]
    figure.add_trace(
        go.Scatter(
            x=[int(column) for _, column in grid],
            y=[int(row) for row, _ in grid],
            mode="markers",
            marker={"symbol": "square", "size": 7, "color": "rgba(0,0,0,0)"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[
                [int(units[row]), float(values[units[row], column]), names[column]]
                for row, column in grid
            ],
            hovertemplate="<b>unit %{customdata[0]}</b> at %{customdata[2]}"
            "<br>%{customdata[1]:.3g}<extra></extra>",
            showlegend=False,
        )
    )
    if picked in units:
        row = int(np.flatnonzero(units == picked)[0])
        figure.add_hrect(y0=row - 0.5, y1=row + 0.5, line={"color": accent(dark), "width": 2})
    figure.update_xaxes(**_position_ticks(names))
    figure.update_yaxes(
        title={"text": "units"},
        showticklabels=False,
        range=(len(units) - 0.5, -0.5),
        showgrid=False,
        zeroline=False,
    )
    return figure


def one_unit(values: Values, *, title: str = "", dark: bool = False) -> go.Figure:
    """One unit full size: ``values [row, column]``.

    Raises ``ValueError`` for another shape.
    """
    if values.ndim != 2:
        raise ValueError(f"values {values.shape}, expected [row, column]")
    limit, negative = _limit(values), bool((values < 0).any())
    figure = go.Figure(
        go.Heatmap(
            z=values,
            colorscale=list(signed(dark)) if negative else MAGNITUDE,
            zmin=-limit if negative else 0,
            zmax=limit,
            hovertemplate="row %{y} · column %{x}<br>%{z:.3g}<extra></extra>",
            colorbar={"thickness": 12},
        ),
        layout={
            "template": template(dark),
            "height": 330,
            "title": {"text": f"<b>{escaped(title)}</b>"},
            "margin": {"l": 8, "r": 8, "t": 36 if title else 8, "b": 8},
        },
    )
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return figure


def one_unit_over_positions(
    values: Values, labels: Sequence[str] = (), *, title: str = "", dark: bool = False
) -> go.Figure:
    """One unit over tokens or steps: ``values [position]`` as bars, orange above zero, blue below.

    Raises ``ValueError`` for another shape.
    """
    if values.ndim != 1:
        raise ValueError(f"values {values.shape}, expected [position]")
    names = _position_names(labels, len(values))
    figure = go.Figure(
        go.Bar(
            x=list(range(len(values))),
            y=values,
            marker={
                "color": [mixed(signed(dark), 0.85 if value > 0 else 0.15) for value in values]
            },
            customdata=names,
            hovertemplate="%{customdata}<br>%{y:.3g}<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 260,
            "title": {"text": f"<b>{escaped(title)}</b>"},
            "margin": {"l": 8, "r": 8, "t": 36 if title else 8, "b": 8},
            "bargap": 0.25,
            "dragmode": False,
        },
    )
    figure.update_xaxes(**_position_ticks(names))
    figure.update_yaxes(nticks=5)
    return figure


def filter_grid(
    weight: Values, *, picked: int = -1, width: int = 700, dark: bool = False
) -> go.Figure:
    """The filters of a convolution, ``weight [unit, channel, row, column]``: one tile per unit, the
    mean over its input channels.

    Raises ``ValueError`` for another shape.
    """
    if weight.ndim != 4:
        raise ValueError(f"weight {weight.shape}, expected [unit, channel, row, column]")
    return unit_grid(weight.mean(axis=1, dtype=np.float32), picked=picked, width=width, dark=dark)


def _position_names(labels: Sequence[str], count: int) -> list[str]:
    if len(labels) != count:
        return [str(place) for place in range(count)]
    return [escaped(elided(label.strip() or "␣", 14)) for label in labels]


def _position_ticks(names: Sequence[str]) -> dict[str, object]:
    count = len(names)
    thin = max(1, math.ceil(count / 40))
    return {
        "tickvals": list(range(0, count, thin)),
        "ticktext": names[::thin],
        "tickangle": -40,
        "range": (-0.5, count - 0.5),
        "showgrid": False,
        "zeroline": False,
    }


def _across(count: int, width: int, flat: bool) -> int:
    """Tiles in a row: as many as keep them large, but no row with few of them."""
    least = 14.0 if flat else _LEAST
    most = max(1, int(width / least))
    wanted = 32 if flat else 16
    return max(1, min(count, most, wanted if count > 64 or flat else 8))


def _limit(values: Values) -> float:
    size = np.abs(values[np.isfinite(values)])
    return max(float(np.percentile(size, _CLIP)) if size.size else 0.0, 1e-12)


def _enlarged(tile: Values) -> Values:
    """Nearest pixels, so that a small map stays crisp."""
    rows = np.arange(_TILE) * tile.shape[0] // _TILE
    columns = np.arange(_TILE) * tile.shape[1] // _TILE
    found: Values = tile[rows[:, None], columns[None]]
    return found


def _steps(tile: Values, limit: float, negative: bool) -> npt.NDArray[np.int64]:
    share = np.nan_to_num(tile / limit, nan=0.0, posinf=1.0, neginf=-1.0)
    share = (share + 1) / 2 if negative else share
    return np.asarray(np.rint(np.clip(share, 0, 1) * 255), np.int64)


def _scale(negative: bool, dark: bool) -> npt.NDArray[np.uint8]:
    """256 colours as uint8 ``[step, 3]``."""
    from plotly.colors import sample_colorscale

    if negative:
        stops = [_rgb(mixed(signed(dark), step / 255)) for step in range(256)]
        return np.array(stops, np.uint8)
    texts = sample_colorscale(MAGNITUDE, 256)
    return np.array([[int(part) for part in text[4:-1].split(",")] for text in texts], np.uint8)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
