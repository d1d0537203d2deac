"""What a model answers, and how good its answers are class by class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.results import Prediction
from dashboard.figures.caption import elided, escaped
from dashboard.theme import CLASSES, greys, template

_ROW = 36
_MOST_CLASSES = 30
_MARK = " · explained"


def probability_bars(
    prediction: Prediction,
    *,
    count: int = 5,
    explained: Collection[int] = (),
    dark: bool = False,
) -> go.Figure:
    """The ``count`` most likely classes with their probabilities, the most likely on top.

    Classes in ``explained`` are marked; those that are not among the most likely take the places
    of the least likely shown. Made for a column of about 220 pixels: the name stands above its bar.
    """
    likely = prediction.top(len(prediction.classes))
    others = [index for index in likely if index not in explained]
    shown = {likely[0], *explained, *others[: max(count - len(explained), 0)]}
    best = [index for index in likely if index in shown]
    names = [prediction.classes[index] for index in best]
    shares = prediction.probabilities[list(best)]
    tone = greys(dark)
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=np.arange(len(best)),
            orientation="h",
            width=0.34,
            marker={"color": [tone.text, *[tone.quiet] * (len(best) - 1)], "cornerradius": 2},
            text=[escaped(percent(float(share))) for share in shares],
            textposition="outside",
            constraintext="none",
            textfont={"size": 13, "color": tone.text},
            cliponaxis=False,
            customdata=[escaped(name) for name in names],
            hovertext=[f"{float(logit):.3f}" for logit in prediction.logits[list(best)]],
            hovertemplate="<b>%{customdata}</b><br>probability %{x:.4f}"
            "<br>logit %{hovertext}<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": _ROW * len(best) + 8,
            "margin": {"l": 1, "r": 1, "t": 8, "b": 0, "autoexpand": False},
            "showlegend": False,
        },
    )
    figure.update_xaxes(visible=False, range=(0, 1.8), fixedrange=True)  # room for the numbers
    figure.update_yaxes(visible=False, range=(len(best) - 0.6, -0.8), fixedrange=True)
    for row, name in enumerate(names):
        figure.add_annotation(
            text=escaped(elided(name, 30)) + _MARK * (best[row] in explained),
            x=0,
            y=row - 0.22,
            xref="paper",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            borderpad=0,
            font={"size": 13, "color": tone.text if row == 0 else tone.quiet},
        )
    return figure


def percent(share: float) -> str:
    """``99.7%``; what would round to nothing or to all is given as a bound."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share * 100:.1f}%"


def class_quality(per_class: Sequence[Mapping[str, Any]], *, dark: bool = False) -> go.Figure:
    """Precision, recall and F1 of each class, in the order given; 1 is best.

    ``per_class`` has a mapping with ``class``, ``precision``, ``recall``, ``f1`` and, where it is
    known, ``support`` for each class. Of more than 30 classes the 30 with the lowest F1 are drawn.
    """
    rows = list(per_class)
    title = "Precision, recall and F1 by class"
    if len(rows) > _MOST_CLASSES:
        title += f" · the {_MOST_CLASSES} with the lowest F1 of {len(rows)}"
        rows = sorted(rows, key=lambda row: float(row["f1"]))[:_MOST_CLASSES]
    names = [escaped(str(row["class"])) for row in rows]
    tone = greys(dark)
    places = np.arange(len(rows))
    lowest = min((float(row[key]) for row in rows for key in _MARKS), default=0.0)
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": 24 * len(rows) + 108,
            "margin": {"l": 8, "r": 16, "t": 62, "b": 40},
            "legend": {"y": 1, "yanchor": "bottom", "x": 0},
        }
    )
    figure.add_annotation(
        text=f"<b>{title}</b>",
        x=0,
        y=1,
        yshift=34,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
    )
    for row, place in zip(rows, places, strict=True):
        ends = float(row["precision"]), float(row["recall"])
        figure.add_shape(
            type="line",
            x0=min(ends),
            x1=max(ends),
            y0=place,
            y1=place,
            line={"color": tone.quiet, "width": 1},
            layer="below",
        )
    for key, (label, symbol, colour) in _MARKS.items():
        figure.add_trace(
            go.Scatter(
                x=np.array([float(row[key]) for row in rows]),
                y=places,
                mode="markers",
                name=label,
                marker={
                    "symbol": symbol,
                    "size": 11 if key == "f1" else 9,
                    "color": colour or tone.text,
                },
                text=names,
                customdata=[_counted(row.get("support")) for row in rows],
                hovertemplate=f"<b>%{{text}}</b><br>{label} %{{x:.3f}}"
                "%{customdata}<extra></extra>",
            )
        )
    figure.update_xaxes(
        range=(max(np.floor((lowest - 0.01) * 20) / 20, -0.01), 1.008),
        title={"text": "higher is better"},
    )
    figure.update_yaxes(
        tickvals=places,
        ticktext=[escaped(elided(str(row["class"]), 24)) for row in rows],
        range=(len(rows) - 0.4, -0.6),
        tickfont={"color": tone.text},
        zeroline=False,
    )
    return figure


def _counted(support: int | None) -> str:
    """How many examples of a class there were, where that is known."""
    return "" if support is None else f"<br>{support:,} examples"


_MARKS: dict[str, tuple[str, str, str]] = {
    "precision": ("Precision", "circle", CLASSES[0]),
    "recall": ("Recall", "square", CLASSES[1]),
    "f1": ("F1", "line-ns-open", ""),
}
