"""Importance: what the model goes by over a whole data set, not for one example alone."""

from __future__ import annotations

import streamlit as st

from dashboard import state
from dashboard.weighing import PARTS, drawn, part


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("What does the model go by over all the data, and how sure is that?")
    now = state.selection()
    st.segmented_control(
        "Part",
        list(PARTS),
        format_func=lambda name: PARTS[name][0],
        label_visibility="collapsed",
        **state.bind("weighed", part(now)),
    )
    drawn(now)


main()
