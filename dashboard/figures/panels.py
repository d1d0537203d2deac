"""A grid of equally sized panels with words above and below each, for pictures side by side."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.caption import elided, escaped
from dashboard.theme import greys

# Width in pixels that a figure is laid out for where nobody says another: heights, columns and line
# breaks follow from it. A figure takes the width it is given, only heights are fixed.
WIDTH = 780
_BAR = 84
_GAP = 0.022
_TITLE_LINE, _NOTE_LINE = 18, 16
_TALLEST, _SHORTEST = 320, 48
_NARROWEST = 135  # a panel whose words can still be read


@dataclass(frozen=True)
class Panel:
    """The words of one panel: a title above, grey notes below, a ``hint`` if it is empty."""

    title: str
    notes: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Grid:
    """Where panels lie, in pixels of height and fractions of width.

    ``shape`` is ``(rows, columns)`` of the pictures, whose aspect is kept.
    """

    count: int
    columns: int
    shape: tuple[int, int]
    title_lines: int
    note_lines: int
    footer: int = 0
    width: int = WIDTH

    @property
    def rows(self) -> int:
        """Number of rows of panels."""
        return math.ceil(self.count / self.columns)

    @property
    def panel_height(self) -> int:
        """Height of a picture where the figure has its ``width``."""
        cell = (self.width - _BAR) * (1 - _GAP * (self.columns - 1)) / self.columns
        return round(min(max(cell * self.shape[0] / self.shape[1], _SHORTEST), _TALLEST))

    @property
    def head(self) -> int:
        """Height of the space for titles."""
        return self.title_lines * _TITLE_LINE + 6

    @property
    def row_height(self) -> int:
        """Height of a picture with its words."""
        return self.head + self.panel_height + self.note_lines * _NOTE_LINE + 12

    @property
    def height(self) -> int:
        """Height of the figure."""
        return self.rows * self.row_height + self.footer

    def domain(self, index: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Horizontal and vertical extent of the picture at ``index``, in paper coordinates."""
        row, column = divmod(index, self.columns)
        width = (1 - _GAP * (self.columns - 1)) / self.columns
        left = column * (width + _GAP)
        inner = self.height - self.footer
        top = row * self.row_height + self.head
        return (left, min(left + width, 1.0)), (
            1 - (top + self.panel_height) / inner,
            1 - top / inner,
        )


def balanced_columns(count: int, width: int = WIDTH) -> int:
    """Columns that fill the fewest rows evenly, with panels that stay wide enough; three where
    there is room, so that one or two panels stand side by side and not far apart.
    """
    most = max((width - _BAR) // _NARROWEST, 1)
    rows = math.ceil(max(count, 1) / most)
    return max(math.ceil(count / rows), min(most, 3))


def panel_figure(
    panels: Sequence[Panel],
    shape: tuple[int, int],
    *,
    note_lines: int,
    columns: int | None = None,
    footer: str = "",
    dark: bool = False,
    width: int = WIDTH,
) -> tuple[go.Figure, Grid]:
    """A figure with the axes and words of ``panels``; the caller draws into ``xN`` and ``yN``.

    There is always space for ``note_lines``, so that a panel that fills up moves nothing.
    """
    across = columns or balanced_columns(len(panels), width)
    room = (width - _BAR) * (1 - _GAP * (across - 1)) / across
    heads = [_wrapped(panel.title, int(room / 7.6), 2) for panel in panels]
    feet = [[elided(note, int(room / 6)) for note in panel.notes] for panel in panels]
    lines = textwrap.wrap(footer, 130)
    grid = Grid(
        len(panels),
        across,
        shape,
        max((len(head) for head in heads), default=1),
        note_lines,
        10 + 14 * len(lines) if lines else 0,
        width,
    )
    # All at once: adding annotations one by one costs Plotly more than drawing the maps.
    words = [
        note
        for index, panel in enumerate(panels)
        for note in _words(index, heads[index], feet[index], panel.hint, dark)
    ]
    if lines:
        words.append(_caption(lines, dark))
    layout = {
        "height": grid.height,
        "margin": {"l": 1, "r": _BAR, "t": 0, "b": grid.footer, "autoexpand": False},
        "hovermode": "closest",
        "annotations": words,
    }
    for index in range(len(panels)):
        layout |= _axes(grid, index)
    empty = [_empty(grid, index, dark) for index, panel in enumerate(panels) if panel.hint]
    return go.Figure(data=empty, layout=layout), grid


def axis(letter: str, index: int) -> str:
    """Plotly's reference of the axis of the panel at ``index``: ``x``, ``x2`` …"""
    return letter if index == 0 else f"{letter}{index + 1}"


def _axes(grid: Grid, index: int) -> dict[str, Any]:
    height, width = grid.shape
    across, down = grid.domain(index)
    number = "" if index == 0 else str(index + 1)
    common = {
        "constrain": "domain",
        "automargin": False,
        "showgrid": False,
        "zeroline": False,
        "showticklabels": False,
        "showline": True,
        "mirror": True,
        "linewidth": 1,
    }
    first = index == 0  # the others follow it, aspect included
    horizontal = {
        **common,
        **({} if first else {"matches": "x"}),
        "domain": across,
        "anchor": axis("y", index),
        "range": (-0.5, width - 0.5),
        "constraintoward": "left",
    }
    vertical = {
        **common,
        **({"scaleanchor": "x"} if first else {"matches": "y"}),
        "domain": down,
        "anchor": axis("x", index),
        "range": (height - 0.5, -0.5),
        "constraintoward": "top",
    }
    return {f"xaxis{number}": horizontal, f"yaxis{number}": vertical}


def _words(
    index: int, head: Sequence[str], foot: Sequence[str], hint: str, dark: bool
) -> Iterator[dict[str, Any]]:
    tone = greys(dark)
    place = {
        "xref": f"{axis('x', index)} domain",
        "yref": f"{axis('y', index)} domain",
        "showarrow": False,
    }
    beside = place | {"x": 0, "xanchor": "left", "align": "left", "borderpad": 0}
    yield beside | {
        "text": "<br>".join(map(escaped, head)),
        "y": 1,
        "yanchor": "bottom",
        "yshift": 1,
        "font": {"size": 14, "weight": 600},
    }
    if foot:
        yield beside | {
            "text": "<br>".join(map(escaped, foot)),
            "y": 0,
            "yanchor": "top",
            "yshift": -2,
            "font": {"size": 12, "color": tone.quiet},
        }
    if hint:
        yield place | {
            "text": escaped(hint),
            "x": 0.5,
            "y": 0.5,
            "xanchor": "center",
            "yanchor": "middle",
            "font": {"size": 12, "color": tone.quiet},
        }


def _caption(lines: Sequence[str], dark: bool) -> dict[str, Any]:
    return {
        "text": "<br>".join(map(escaped, lines)),
        "x": 0,
        "y": 0,
        "yshift": -6,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "showarrow": False,
        "font": {"size": 11, "color": greys(dark).quiet},
        "name": "caption",
    }


def _empty(grid: Grid, index: int, dark: bool) -> go.Heatmap:
    """One quiet cell of the size of a picture: axes without a trace would not be drawn."""
    tone = greys(dark)
    height, width = grid.shape
    return go.Heatmap(
        z=[[0]],
        x0=(width - 1) / 2,
        dx=width,
        y0=(height - 1) / 2,
        dy=height,
        colorscale=[(0, tone.panel), (1, tone.panel)],
        showscale=False,
        hoverinfo="skip",
        name="pending",
        xaxis=axis("x", index),
        yaxis=axis("y", index),
    )


def _wrapped(text: str, width: int, lines: int) -> list[str]:
    return textwrap.wrap(text, max(width, 8), max_lines=lines, placeholder=" …") or [""]
