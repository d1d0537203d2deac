"""One class against the others: curves, and what happens when its threshold is moved."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.results import Evaluation
from core.results.activations import Capture
from dashboard import downloads, ruler, state
from dashboard.figures.evaluation import class_curves
from dashboard.figures.prediction import percent
from dashboard.theme import is_dark


def draw(now: state.Selection, capture: Capture, found: Evaluation) -> None:
    """Curves of every class; the one in hand with its threshold."""
    known = [curve.label for curve in found.roc]
    if not known:
        st.info("All examples are of one class, so there is nothing to tell apart.")
        return
    label = positive(now, found, known)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        st.selectbox(
            "Class",
            [found.classes[each] for each in known],
            width=260,
            **state.bind("positive", found.classes[label]),
        )
        st.slider(
            "Called so from a probability of",
            0,
            100,
            format="%d %%",
            width=320,
            **state.bind("threshold", now.threshold),
        )
    marks = _at(capture, label, now.threshold / 100)
    wide = ruler.width() >= 840
    places = st.columns(2, gap="large") if wide else (st.container(), st.container())
    dark = is_dark(st.context.theme.type)
    for place, kind in zip(places, ("roc", "pull"), strict=True):
        with place:
            figure = class_curves(found, kind=kind, picked=label, mark=marks[kind], dark=dark)
            st.plotly_chart(figure, theme=None, config=downloads.CHART, key=f"curve-{kind}")
            downloads.button(figure, [found], f"{now.model}.{kind}"[:80])
    st.caption(
        "Of an area 1 is best; guessing has 0.5 on the left and the share of the class on the "
        "right. The other classes are drawn faintly."
    )


def positive(now: state.Selection, found: Evaluation, known: list[int]) -> int:
    """The class in hand, else the one most often taken for others."""
    if now.positive in found.classes and found.classes.index(now.positive) in known:
        return found.classes.index(now.positive)
    return min(known, key=lambda each: np.nan_to_num(found.recall[each], nan=2.0))


def _at(capture: Capture, label: int, threshold: float) -> dict[str, tuple[float, float] | None]:
    """What the threshold comes to; where it lies on each curve."""
    labels = np.asarray(capture.labels)
    rows = labels >= 0
    said = capture.probabilities[rows, label] >= threshold
    there = labels[rows] == label
    named, hit, known = int(said.sum()), int((said & there).sum()), int(there.sum())
    alarms = (named - hit) / max(1, len(there) - known)
    recall = hit / max(1, known)
    numbers = {
        "Called so": (percent(named / len(there)), "Of all examples."),
        "Precision": (
            percent(hit / named) if named else "–",
            "Of those called so, how many are.",
        ),
        "Recall": (percent(recall), "Of those that are, how many are called so."),
        "F1": (f"{2 * hit / max(1, named + known):.3f}", "Their harmonic mean; 1 is best."),
        "False alarms": (percent(alarms), "Of those that are not, how many are called so."),
    }
    for place, (title, (value, about)) in zip(
        st.columns(len(numbers)), numbers.items(), strict=True
    ):
        place.metric(title, value, help=about)
    return {"roc": (alarms, recall), "pull": (recall, hit / named) if named else None}
