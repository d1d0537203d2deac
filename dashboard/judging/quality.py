"""The measures: a few at the top, all with their intervals and by class on a panel of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.results import Evaluation, Measure
from dashboard import downloads, ruler, state
from dashboard.figures.evaluation import measure_intervals
from dashboard.figures.prediction import class_quality
from dashboard.theme import is_dark

_FIRST = {
    "accuracy": "Accuracy",
    "f1_macro": "F1",
    "auc": "ROC area",
    "log_loss": "Log loss",
    "ece": "Miscalibrated",
    "perplexity": "Perplexity",
    "bleu": "BLEU",
    "chrf": "chrF",
}
_PERCENT = ("accuracy", "top3", "top5")


def spelt(name: str, value: float) -> str:
    """A measure as people write it."""
    if not np.isfinite(value):
        return "–"
    if name in _PERCENT:
        return f"{value:.1%}"
    if 0.9995 <= value < 1:
        return ">0.999"
    return f"{value:.1f}" if name in ("perplexity", "bleu", "chrf") else f"{value:.3f}"


def first(measures: Sequence[Measure]) -> None:
    """The measures that people ask for first."""
    shown = [each for each in measures if each.name in _FIRST]
    for place, each in zip(st.columns(max(3, len(shown))), shown, strict=False):
        about = f"{each.title}: {each.about[:1].lower()}{each.about[1:]}"
        place.metric(_FIRST[each.name], spelt(each.name, each.value), help=about)
        if np.isfinite(each.low):
            place.caption(f"from {spelt(each.name, each.low)} to {spelt(each.name, each.high)}")


def draw(now: state.Selection, found: Evaluation) -> None:
    """All of them, and precision, recall and F1 by class."""
    dark = is_dark(st.context.theme.type)
    wide = ruler.width() >= 840
    left, right = st.columns(2, gap="large") if wide else (st.container(), st.container())
    with left:
        figure = measure_intervals(found.measures, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="measures")
        downloads.button(figure, [found], f"{now.model}.measures"[:80])
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Measure": each.title,
                        "Value": spelt(each.name, each.value),
                        "95 % interval": f"{spelt(each.name, each.low)} to "
                        f"{spelt(each.name, each.high)}",
                        "Good is": each.good,
                    }
                    for each in found.measures
                ]
            ),
            hide_index=True,
            height=35 * len(found.measures) + 38,
        )
    with right:
        rows = [
            {
                "class": name,
                "precision": found.precision[place],
                "recall": found.recall[place],
                "f1": found.f1[place],
                "support": int(found.support[place]),
            }
            for place, name in enumerate(found.classes)
            if found.support[place]
        ]
        figure = class_quality(rows, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="by-class")
        downloads.button(figure, [found], f"{now.model}.classes"[:80])
