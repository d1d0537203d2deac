"""How curves are drawn, the same in each part: over what, how smooth, on which scale."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.results.history import History
from dashboard import state
from dashboard.figures.curves import Curve
from dashboard.runs import ShownRun

_ACROSS = {"epoch": "Epochs", "step": "Updates", "time": "Time", "examples": "Examples"}


def draw(chosen: state.Selection) -> None:
    """The controls, in one row."""
    st.segmented_control(
        "Over", _ACROSS, format_func=_ACROSS.get, **state.bind("across", chosen.across)
    )
    st.slider(
        "Smoothing (%)",
        0,
        99,
        width=180,
        help="Weight of the past in a running mean; the raw values stay faint behind it.",
        **state.bind("smoothing", chosen.smoothing),
    )
    st.toggle(
        "Log scale",
        **state.bind("logarithmic", bool(chosen.logarithmic), lambda on: "yes" if on else ""),
    )


def look(chosen: state.Selection) -> dict[str, Any]:
    """The same as arguments of ``metric_curves``."""
    return {
        "x": chosen.across,
        "smoothing": chosen.smoothing / 100,
        "log": bool(chosen.logarithmic),
    }


def curve(shown: ShownRun, history: History, colour: int = 0, label: str = "") -> Curve:
    """A run as a line of a figure."""
    return Curve(
        label or shown.name, history, colour, shown.examples_per_step, shown.steps_per_epoch
    )
