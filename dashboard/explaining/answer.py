"""What the model answers, at the head of the Attribution page."""

from __future__ import annotations

from pathlib import PurePath

import streamlit as st

from core.results import Prediction
from core.tasks import parse_targets
from dashboard import downloads, state
from dashboard.figures.prediction import probability_bars
from dashboard.theme import is_dark


def classes(prediction: Prediction, target: str) -> None:
    """The predicted class, and bars of the most likely ones with those explained marked."""
    best = prediction.top(1)[0]
    name, probability = prediction.classes[best], prediction.probabilities[best]
    targets = parse_targets(target, prediction.classes, prediction.logits)
    explained = dict.fromkeys(part.index for each in targets for _, part in each.parts)
    if list(explained) == [best] or len(explained) == len(prediction.classes):
        explained = {}  # that goes without saying
    dark = is_dark(st.context.theme.type)
    figure = probability_bars(prediction, explained=explained, dark=dark)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"It says **{state.plain(name)}** · {probability:.1%}")
        downloads.button(figure, [prediction], f"{PurePath(prediction.example).stem}.prediction")
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="probabilities")
