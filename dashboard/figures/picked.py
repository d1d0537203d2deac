"""What sets picked examples apart from the rest: classes, mistakes, words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results import MeanWord
from dashboard.figures.caption import elided, escaped
from dashboard.theme import class_colour, greys, mixed, signed, template

_ROW = 24
_MOST = 12


def class_balance(
    labels: npt.NDArray[np.int64],
    picked: npt.NDArray[np.bool_],
    classes: Sequence[str],
    *,
    dark: bool = False,
) -> go.Figure:
    """Share of each class among the picked examples (bars) and among the rest (marks).

    ``labels`` int64 ``[example]``, -1 where an example has none and does not count; ``picked`` bool
    ``[example]``. Of many classes those with the largest difference are shown.
    """
    counts = np.zeros((2, len(classes)))
    for row, chosen in enumerate((picked, ~picked)):
        known = labels[chosen & (labels >= 0)]
        counts[row] = np.bincount(known, minlength=len(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    difference = np.abs(shares[0] - shares[1])
    shown = np.sort(np.argsort(-difference, kind="stable")[:_MOST])
    names = [escaped(elided(classes[index], 22)) for index in shown]
    tone = greys(dark)
    figure = go.Figure(
        [
            go.Bar(
                x=shares[0, shown],
                y=names,
                orientation="h",
                name="picked",
                marker={"color": [class_colour(int(index)) for index in shown]},
                customdata=counts[0, shown],
                hovertemplate="%{y}<br>%{customdata:,} picked, %{x:.1%}<extra></extra>",
                showlegend=False,
            ),
            go.Scatter(
                x=shares[1, shown],
                y=names,
                mode="markers",
                name="the rest",
                marker={
                    "symbol": "line-ns",
                    "size": 14,
                    "line": {"color": tone.text, "width": 2},
                },
                customdata=counts[1, shown],
                hovertemplate="%{y}<br>%{customdata:,} of the rest, %{x:.1%}<extra></extra>",
                showlegend=False,
            ),
        ],
        layout={
            "template": template(dark),
            "height": 76 + _ROW * len(shown),
            "title": {
                "text": "<b>Classes</b>"
                f"<span style='color:{tone.quiet}'> · bars: picked, marks: the rest</span>"
            },
            "margin": {"l": 8, "r": 8, "t": 36, "b": 28},
            "bargap": 0.35,
        },
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", nticks=5, zeroline=False)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure


def confused_pairs(
    labels: npt.NDArray[np.int64], predictions: npt.NDArray[np.int64]
) -> list[tuple[int, int, int]]:
    """Mistakes by true class, predicted class and how often, the most frequent first."""
    wrong = (labels >= 0) & (predictions >= 0) & (labels != predictions)
    pairs, counts = np.unique(
        np.stack([labels[wrong], predictions[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return [(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]


def word_bars(words: Sequence[MeanWord], *, what: str = "Words", dark: bool = False) -> go.Figure:
    """Mean contribution of words over several texts, or of columns over several rows (``what``):
    orange for and blue against the answer, with the number of examples in which each occurs.
    """
    scale = signed(dark)
    shown = sorted(words, key=lambda each: each.mean)
    figure = go.Figure(
        go.Bar(
            x=[each.mean for each in shown],
            y=[f"{escaped(elided(each.word, 24))} · {each.texts}×" for each in shown],
            orientation="h",
            marker={"color": [mixed(scale, 0.85 if each.mean > 0 else 0.15) for each in shown]},
            customdata=[each.texts for each in shown],
            hovertemplate="%{y}<br>mean %{x:.3f} logits, in %{customdata} examples<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 76 + _ROW * len(shown),
            "title": {"text": f"<b>{what}</b> · mean contribution, logits"},
            "margin": {"l": 8, "r": 8, "t": 36, "b": 28},
            "bargap": 0.35,
        },
    )
    figure.update_yaxes(type="category", showgrid=False)
    return figure
