"""The frame of an exported figure: what a page gives it, and a caption below."""

from __future__ import annotations

import html
import math
import re
import textwrap
from typing import Any

import plotly.graph_objects as go

_HEIGHT = 450
# Plotly's own margins, where neither a figure nor its template has any.
_MARGIN = {"l": 80, "r": 80, "t": 100, "b": 80}
_FRAME = 20
_LINE = 15
_LETTER = 0.6  # width of a letter over the size of the font, nearly
_BELOW_AXIS = 8  # between an axis and its labels


def framed(figure: go.Figure, words: str, width: int | None) -> go.Figure:
    """A copy with margins, a solid background and ``words`` below.

    The plot itself keeps its size. ``width`` in pixels, or None to fill the window.
    """
    margin = {side: _margin(figure, side) for side in _MARGIN}
    given = margin["b"]
    margin["b"] = max(given, _labels(figure))
    lines = textwrap.wrap(words, 150 if width is None else max(40, width // 7))
    below = _FRAME + (4 + _LINE * len(lines) if lines else 0)
    grown = {side: size + _FRAME for side, size in margin.items()} | {"b": margin["b"] + below}
    made = go.Figure(figure)
    made.update_layout(margin=grown, autosize=width is None, width=width)
    made.layout.height = (figure.layout.height or _HEIGHT) + _FRAME + below + margin["b"] - given
    if figure.layout.title.text:
        made.layout.title.pad.l = (figure.layout.title.pad.l or 0) + _FRAME
    if _transparent(look(figure, "paper_bgcolor")):
        made.layout.paper_bgcolor = "#ffffff"
    if lines:
        made.add_annotation(
            text="<br>".join(html.escape(line, quote=False) for line in lines),
            xref="paper",
            yref="paper",
            x=0,
            y=0,
            yshift=-margin["b"] - 10,
            xanchor="left",
            yanchor="top",
            align="left",
            showarrow=False,
            font={"size": 11, "color": _quiet(figure)},
        )
    return made


def look(figure: go.Figure, name: str) -> Any:
    """A property of the layout: the figure's own, else its template's."""
    own = figure.layout[name]
    return figure.layout.template.layout[name] if own is None else own


def _labels(figure: go.Figure) -> float:
    """Pixels that slanted labels below the plot take, which Plotly finds out as it draws."""
    return max((_height(figure, axis) for axis in figure.select_xaxes()), default=0.0)


def _height(figure: go.Figure, axis: Any) -> float:
    texts = axis.ticktext if axis.tickangle else None
    if not texts or axis.visible is False or axis.showticklabels is False or axis.side == "top":
        return 0.0
    size = axis.tickfont.size or figure.layout.template.layout.xaxis.tickfont.size or 12
    longest = max(len(html.unescape(str(text))) for text in texts)
    angle = math.radians(abs(axis.tickangle or 0))
    tall = size * (_LETTER * longest * math.sin(angle) + math.cos(angle))
    return _BELOW_AXIS + tall + (1.5 * size if axis.title.text else 0)


def _quiet(figure: go.Figure) -> str | None:
    """The colour of words that stand back, such as those at the axes."""
    colour: str | None = figure.layout.template.layout.xaxis.tickfont.color
    return colour


def _margin(figure: go.Figure, side: str) -> float:
    template = figure.layout.template.layout.margin[side]
    own = figure.layout.margin[side]
    found = template if own is None else own
    return _MARGIN[side] if found is None else found


def _transparent(colour: str | None) -> bool:
    """Whether something would show through; Plotly's own paper is white."""
    text = (colour or "").replace(" ", "").lower()
    if text.startswith("#"):
        return len(text) in (5, 9) and set(text[-(len(text) // 4) :]) != {"f"}
    alpha = re.fullmatch(r"\w+\((?:[^,/]*,[^,/]*,[^,/]*,|[^,/]*/)([\d.]+)(%?)\)", text)
    return alpha is not None and float(alpha[1]) < (100 if alpha[2] else 1)
