"""The map as a component: many points in a browser, picked with a box or a lasso.

The script and its look are ``static/scatter.js`` and ``static/scatter.css``; this side packs what
it draws into few bytes (two per coordinate, one for the colour, one for marks) and unpacks what was
picked.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st
from plotly.colors import sample_colorscale

from core.projection.density import WHOLE, density, inside, within
from dashboard import state
from dashboard.projecting.tints import Tint
from dashboard.theme import MAGNITUDE, accent, class_colour, greys

NONE = 255
MANY = 150_000  # points from which their density is shown
AT_ONCE = 60_000  # of these, drawn one by one in a part of the map
PICKED, FALSE = 1, 2
SHAPES = 4  # disc, square, diamond, triangle: the palette is gone through once with each
_HUES = 7
_MOST_NAMED = 20
_STEPS = 250  # colours of a scale
_STATIC = Path(__file__).parent / "static"

_HTML = """
<div class="scatter">
  <div class="stage">
    <canvas tabindex="0" role="img"></canvas>
    <svg aria-hidden="true"><polygon points=""/></svg>
    <span class="axis across"></span><span class="axis up"></span>
    <div class="tools" role="group" aria-label="What dragging does">
      <button type="button" value="lasso" aria-pressed="true">Lasso</button>
      <button type="button" value="box" aria-pressed="false">Box</button>
      <button type="button" value="move" aria-pressed="false"
        title="Also with Shift held; zoom with the wheel">Move</button>
      <button type="button" value="home" title="Double click does the same">Whole map</button>
    </div>
    <div class="card" hidden><div></div><div></div></div>
  </div>
  <div class="legend" role="group" aria-label="Legend"></div>
</div>
"""


@dataclass(frozen=True)
class Pin:
    """One point with its name beside it: example number ``row``, or a place of its own."""

    name: str
    row: int = -1
    place: tuple[float, ...] = ()


@dataclass(frozen=True)
class Points:
    """What the component draws: ``points`` float32 ``[example, 2 or 3]``, ``map`` a name that is
    another one for other points, ``data`` one for other examples. ``false`` and ``picked`` are bool
    ``[example]``. ``cards`` is the address of what is shown of a point under the pointer.
    A ``compact`` map has no legend of its own.
    """

    points: npt.NDArray[np.float32]
    map: str
    data: str
    title: str
    tint: Tint | None = None
    false: npt.NDArray[np.bool_] | None = None
    picked: npt.NDArray[np.bool_] | None = None
    axes: Sequence[str] = ()
    pins: Sequence[Pin] = ()
    cards: str = ""
    compact: bool = False


def draw(
    shown: Points,
    *,
    dark: bool,
    key: str,
    high: int,
    on_pick: Callable[[npt.NDArray[np.int64]], None],
    on_click: Callable[[int], None],
) -> None:
    """Draw the points. ``on_pick`` gets the rows inside a box or lasso, none for Escape;
    ``on_click`` the row of a point that was clicked.
    """
    many = len(shown.points) > MANY and shown.points.shape[1] == 2
    rows, data = crowded(shown, state.looked(key), dark=dark) if many else (None, None)
    script, look = _assets()
    component = st.components.v2.component(
        "fluoroscope_scatter",
        html=_HTML,
        css=look + f".scatter {{ --high: {high}px; }}",
        js=script,
    )
    count = len(shown.points)

    def drawn() -> None:
        if answer := state.read(key).drawn:
            if many:
                on_pick(inside(normed(shown.points), answer.get("outline", ())))
            else:
                on_pick(rows_of(str(answer.get("rows", "")), count))

    def clicked() -> None:
        answer = state.read(key).clicked
        row = int(answer.get("row", -1)) if answer else -1
        if 0 <= row < (count if rows is None else len(rows)):
            on_click(row if rows is None else int(rows[row]))

    def moved() -> None:
        state.look(key, state.read(key).looked)

    component(
        key=key,
        data=data or packed(shown, dark=dark),
        on_drawn_change=drawn,
        on_clicked_change=clicked,
        on_looked_change=moved,
    )


def crowded(shown: Points, look: object, *, dark: bool) -> tuple[npt.NDArray[np.int64], bytes]:
    """Of too many points those in the part that is looked at, with their rows; or how many lie
    where, when these are too many too. ``look`` is left, low, right, high from -1 to 1.
    """
    places = normed(shown.points)
    box = WHOLE
    if isinstance(look, (list, tuple)) and len(look) == 4:
        box = tuple(min(1.5, max(-1.5, float(each))) for each in look)  # type: ignore[assignment]
    rows = within(places, box)
    if len(rows) <= AT_ONCE and box != WHOLE:
        tint = shown.tint
        some = replace(
            shown,
            points=places[rows],
            tint=None if tint is None else replace(tint, values=tint.values[rows]),
            false=None if shown.false is None else shown.false[rows],
            picked=None if shown.picked is None else shown.picked[rows],
            pins=(),
            cards="",
        )
        return rows, packed(some, dark=dark, framed=True)
    drawn = places if shown.picked is None else places[shown.picked]
    cells = density(drawn, box)
    bare = replace(shown, points=np.empty((0, 2), np.float32), tint=None, false=None, picked=None)
    more = {"density": {"box": list(box), "size": list(cells.shape), "many": len(rows)}}
    empty = np.empty(0, np.int64)
    return empty, packed(
        replace(bare, pins=()), dark=dark, framed=True, more=more
    ) + cells.tobytes()


def normed(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Places of a map from -1 to 1 along its longest side, as the script has them."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-30)
    return ((points - middle) / half).astype(np.float32)


def packed(
    shown: Points, *, dark: bool, framed: bool = False, more: Mapping[str, Any] | None = None
) -> bytes:
    """The bytes that the script reads: a header, then 2 bytes per coordinate and 2 per point. With
    ``framed`` points are in the frame of a larger map already, from -1 to 1.
    """
    count, dim = shown.points.shape
    if framed:
        places, middle, half = _steps(shown.points.astype(np.float64)), np.zeros(dim), 1.0
    else:
        places, middle, half = quantised(shown.points)
    colours, header = _coloured(shown.tint, count, dark)
    flags = np.zeros(count, np.uint8)
    if shown.picked is not None:
        flags |= np.where(shown.picked, PICKED, 0).astype(np.uint8)
    if shown.false is not None:
        flags |= np.where(shown.false, FALSE, 0).astype(np.uint8)
    tone = greys(dark)
    header |= {
        "count": count,
        "dim": dim,
        "map": shown.map,
        "data": shown.data,
        "title": shown.title,
        "axes": list(shown.axes),
        "rings": shown.false is not None,
        "compact": shown.compact,
        "many": framed,
        **(more or {}),
        "pins": [
            {
                "name": pin.name,
                "row": pin.row,
                "place": [float((x - m) / half) for x, m in zip(pin.place, middle, strict=False)],
            }
            for pin in shown.pins
        ],
        "cards": {"url": shown.cards} if shown.cards else None,
        "tone": {
            "page": tone.page,
            "panel": tone.panel,
            "line": tone.line,
            "quiet": tone.quiet,
            "text": tone.text,
            "accent": accent(dark),
        },
    }
    head = json.dumps(header).encode()
    body = (places.tobytes(), colours.tobytes(), flags.tobytes())
    return b"".join((struct.pack("<I", len(head)), head, *body))


def quantised(
    points: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64], float]:
    """Places as uint16 ``[example, axis]``, the middle of the map and half its longest side: a
    place is off by at most half a side / 65,535.
    """
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-30)
    return _steps((points - middle) / half), middle, half


def _steps(places: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    return np.rint((np.clip(places, -1, 1) + 1) * 32767.5).astype("<u2")


def rows_of(text: str, count: int) -> npt.NDArray[np.int64]:
    """The rows in the script's answer, one bit each; none for what it cannot have sent."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return np.empty(0, np.int64)
    if len(data) != -(-count // 8):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8), count=count))


def _coloured(
    tint: Tint | None, count: int, dark: bool
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """The colour of each point, and palette, shapes, legend or bar for the header."""
    plain: dict[str, Any] = {"palette": [accent(dark)], "shapes": [0], "legend": [], "bar": None}
    if tint is None:
        return np.zeros(count, np.uint8), plain
    if tint.categorical:
        return _named(tint, plain)
    values = np.asarray(tint.values, np.float64)
    known = np.isfinite(values)
    if not known.any():
        return np.full(count, NONE, np.uint8), plain
    low, high = np.percentile(values[known], [1, 99])
    share = np.clip((values - low) / max(high - low, 1e-30), 0, 1)
    steps = np.where(known, np.rint(np.nan_to_num(share) * (_STEPS - 1)), NONE).astype(np.uint8)
    palette = [_hex(each) for each in sample_colorscale(MAGNITUDE, _STEPS)]
    stops = ", ".join(palette[:: (_STEPS - 1) // 6])
    bar = {"low": f"{tint.title} {low:.3g}", "high": f"{high:.3g}", "colours": stops}
    return steps, {**plain, "palette": palette, "shapes": [0] * _STEPS, "bar": bar}


def _named(tint: Tint, plain: dict[str, Any]) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """Up to twenty names keep a colour, the most frequent ones; the others are grey."""
    values = np.asarray(tint.values, np.int64)
    counts = np.bincount(values[values >= 0], minlength=len(tint.names))
    frequent = np.sort(np.argsort(-counts, kind="stable")[:_MOST_NAMED])
    chosen = [int(name) for name in frequent if counts[name]]
    slots = np.full(len(tint.names) + 1, NONE, np.uint8)
    slots[chosen] = np.arange(len(chosen), dtype=np.uint8)
    # A class keeps its colour while there are few of them; of a thousand, those shown share them.
    tones = chosen if len(tint.names) <= _MOST_NAMED else list(range(len(chosen)))
    palette = [class_colour(each) for each in tones]
    shapes = [each // _HUES % SHAPES for each in tones]
    legend = [
        {
            "name": tint.names[name],
            "index": place,
            "colour": palette[place],
            "shape": shapes[place],
            "count": int(counts[name]),
        }
        for place, name in enumerate(chosen)
    ]
    return slots[values], {**plain, "palette": palette, "shapes": shapes, "legend": legend}


def _hex(colour: str) -> str:
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))
    return f"#{red:02x}{green:02x}{blue:02x}"


@cache
def _assets() -> tuple[str, str]:
    return (_STATIC / "scatter.js").read_text(), (_STATIC / "scatter.css").read_text()
