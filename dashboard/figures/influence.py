"""Training examples by their influence, class by class."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.results import Influence
from dashboard.figures.caption import elided, escaped
from dashboard.theme import class_colour, greys, template

_MOST = 5_000  # points; the strongest are always among them
_TITLES = {
    "tracin": ("What training on each example did", "influence on the loss · right speaks for it"),
    "similar": ("How alike each example is", "cosine of activations · 1 is the same direction"),
    "self": ("How hard each example was to learn", "influence on its own loss · right is harder"),
}


def influence_by_class(found: Influence, *, dark: bool = False) -> go.Figure:
    """Every example as a point at its score, in a row for its class; a cross where the model says
    another class. Those that are listed have a ring.
    """
    tone = greys(dark)
    title, meaning = _TITLES[found.how]
    names = [*found.classes, "no class"]
    labels = np.where(found.labels >= 0, found.labels, len(found.classes))
    there = [place for place in range(len(names)) if (labels == place).any()]
    points = _shown(found)
    jitter = np.random.default_rng(0).uniform(-0.32, 0.32, len(found.rows))
    listed = np.zeros(len(found.rows), bool)
    listed[[*found.most, *found.least]] = True
    figure = go.Figure()
    for line, place in enumerate(there):
        mine = points[labels[points] == place]
        wrong = (found.answers[mine] >= 0) & (found.answers[mine] != found.labels[mine])
        figure.add_trace(
            go.Scattergl(
                x=found.scores[mine],
                y=line + jitter[mine],
                mode="markers",
                marker={
                    "size": np.where(listed[mine], 9, 5),
                    "symbol": np.where(wrong & (place < len(found.classes)), "x", "circle"),
                    "color": class_colour(place) if place < len(found.classes) else tone.quiet,
                    "opacity": 0.75,
                    "line": {"width": np.where(listed[mine], 1.5, 0), "color": tone.text},
                },
                customdata=[
                    [int(found.rows[each]) + 1, escaped(_said(found, int(each)))] for each in mine
                ],
                hovertemplate=f"<b>{escaped(names[place])}</b> · example %{{customdata[0]:,}}"
                "%{customdata[1]}<br>%{x:.4g}<extra></extra>",
            )
        )
    figure.update_layout(
        template=template(dark),
        height=108 + max(34, min(56, 380 // max(1, len(there)))) * len(there),
        title={
            "text": f"<b>{title}</b><span style='color:{tone.quiet}'> · crosses: the model says "
            "another class</span>"
        },
        margin={"l": 8, "r": 12, "t": 40, "b": 8},
        showlegend=False,
        dragmode=False,
    )
    figure.update_xaxes(title={"text": meaning}, nticks=6, zeroline=True, zerolinecolor=tone.quiet)
    figure.update_yaxes(
        tickvals=list(range(len(there))),
        ticktext=[escaped(elided(names[place], 22)) for place in there],
        range=(len(there) - 0.45, -0.55),
        showgrid=False,
        zeroline=False,
    )
    return figure


def _said(found: Influence, place: int) -> str:
    answer = int(found.answers[place])
    known = 0 <= answer < len(found.classes) and answer != found.labels[place]
    return f", taken for {found.classes[answer]}" if known else ""


def _shown(found: Influence) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Places that are drawn: of too many those that are listed, and an even spread by score."""
    if len(found.rows) <= _MOST:
        return np.arange(len(found.rows))
    order = np.argsort(found.scores, kind="stable")
    spread = order[np.linspace(0, len(order) - 1, _MOST).round().astype(np.int64)]
    return np.unique(np.concatenate([spread, found.most, found.least]))
