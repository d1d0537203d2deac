"""Colours and the Plotly template: one look for pages and exports, light and dark."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

ACCENT = "#0f766e"
ACCENT_DARK = "#2dd4bf"

# Streamlit brings Source Sans to the page; where it is not at hand, the system's own.
FONT = "'Source Sans', system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif"

# Signed values: blue speaks against, orange for; the ends have the same lightness, and the zero is
# the colour of the page. Blue and orange stay apart for every common kind of colour blindness.
SIGNED: tuple[tuple[float, str], ...] = (
    (0.0, "#135aa3"),
    (0.25, "#649fd4"),
    (0.5, "#ffffff"),
    (0.75, "#e38f45"),
    (1.0, "#a04600"),
)
SIGNED_DARK: tuple[tuple[float, str], ...] = (
    (0.0, "#8cc4f5"),
    (0.25, "#3379b8"),
    (0.5, "#101215"),
    (0.75, "#b8661f"),
    (1.0, "#ffb066"),
)
MAGNITUDE = "cividis"

# Okabe & Ito (2008), without black: the same class has the same colour on every page.
CLASSES: tuple[str, ...] = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#f0e442",
)


@dataclass(frozen=True)
class Greys:
    """The neutral colours of one appearance, as in ``.streamlit/config.toml``."""

    page: str
    panel: str
    line: str
    quiet: str
    text: str


LIGHT = Greys(page="#ffffff", panel="#f4f5f6", line="#dfe2e5", quiet="#5f666d", text="#1c2024")
DARK = Greys(page="#101215", panel="#1a1d21", line="#30353b", quiet="#a0a7ae", text="#e8eaed")


def is_dark(kind: str | None) -> bool:
    """Whether the appearance that the browser reports is dark; unknown counts as light."""
    return kind == "dark"


def greys(dark: bool) -> Greys:
    """The neutral colours of the light or the dark appearance."""
    return DARK if dark else LIGHT


def accent(dark: bool) -> str:
    """Teal, with enough contrast to the page."""
    return ACCENT_DARK if dark else ACCENT


def signed(dark: bool) -> tuple[tuple[float, str], ...]:
    """The colour scale of signed values: blue against, orange for, the page's colour at zero."""
    return SIGNED_DARK if dark else SIGNED


def translucent(dark: bool) -> tuple[tuple[float, str], ...]:
    """``signed`` to lie over a picture: transparent at zero, opaque at the ends.

    Colours are a little ahead of ``signed``, so that what shines through does not wash them out.
    """
    stops = []
    for step in range(-8, 9):
        size = abs(step) / 8
        red, green, blue = _between(signed(dark), 0.5 + 0.5 * math.copysign(size**0.6, step))
        stops.append(((step + 8) / 16, f"rgba({red},{green},{blue},{size**0.5:.3f})"))
    return tuple(stops)


def mixed(scale: tuple[tuple[float, str], ...], at: float) -> str:
    """The colour of ``scale`` at a place from 0 to 1, as ``#rrggbb``."""
    red, green, blue = _between(scale, at)
    return f"#{red:02x}{green:02x}{blue:02x}"


def readable(background: str) -> str:
    """Black or white, whichever has the better contrast to ``background`` (WCAG 2 luminance)."""
    linear = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(background))
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def _between(scale: tuple[tuple[float, str], ...], at: float) -> tuple[int, int, int]:
    """The colour of ``scale`` at a place between two of its stops."""
    places = [place for place, _ in scale]
    channels = zip(*(_channels(colour) for _, colour in scale), strict=True)
    red, green, blue = (round(float(np.interp(at, places, values))) for values in channels)
    return red, green, blue


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def class_colour(index: int) -> str:
    """The colour of the class at ``index``; colours repeat after the palette's end."""
    return CLASSES[index % len(CLASSES)]


def template(dark: bool) -> go.layout.Template:
    """The look of every figure: neutral greys, left titles, the page's own background."""
    tone = greys(dark)
    axis = {
        "gridcolor": tone.line,
        "linecolor": tone.line,
        "zerolinecolor": tone.line,
        "tickfont": {"color": tone.quiet, "size": 12},
        "title": {"font": {"color": tone.quiet, "size": 13}, "standoff": 8},
        "automargin": True,
        "ticks": "",
    }
    bar = {
        "outlinewidth": 0,
        "thickness": 12,
        "tickfont": {"color": tone.quiet, "size": 12},
        "title": {"font": {"color": tone.quiet, "size": 12}},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 14, "color": tone.text},
            "paper_bgcolor": tone.page,
            "plot_bgcolor": tone.page,
            "colorway": list(CLASSES),
            "title": {
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "font": {"size": 13, "weight": 600},
            },
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
            "xaxis": axis,
            "yaxis": axis,
            "coloraxis": {"colorscale": signed(dark), "colorbar": bar},
            "hoverlabel": {
                "bgcolor": tone.panel,
                "bordercolor": tone.line,
                "font": {"family": FONT, "size": 12, "color": tone.text},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.0,
                "yanchor": "bottom",
                "font": {"color": tone.text, "size": 13},
            },
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": tone.quiet,
                "activecolor": accent(dark),
            },
        },
        data={"heatmap": [{"colorbar": bar}]},
    )
