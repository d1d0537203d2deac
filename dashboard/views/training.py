"""Training: start a run, watch it learn, compare runs, and go back to any epoch."""

from __future__ import annotations

import streamlit as st

from dashboard import cached, state
from dashboard.learning import compare, logs, machine, start, watch
from dashboard.runs import shown_runs

_TABS = {
    "watch": "Watch",
    "compare": "Compare",
    "machine": "Time machine",
    "start": "Start a run",
    "logs": "Logs of other tools",
}


def main() -> None:
    """Draw the part of the page that is in hand."""
    st.markdown("How does a network learn, epoch by epoch, and which settings learn best?")
    chosen = state.selection()
    st.segmented_control(
        "Part",
        _TABS,
        format_func=_TABS.get,
        label_visibility="collapsed",
        **state.bind("tab", chosen.tab),
    )
    runs = shown_runs(cached.place())
    lost = [name for name in chosen.runs if name not in runs]
    if lost and chosen.tab != "logs":
        st.warning(f"There is no run {state.plain(', '.join(lost))} here.")
    match chosen.tab:
        case "start":
            start.draw(chosen)
        case "logs":
            logs.draw(chosen)
        case "compare":
            compare.draw(chosen, runs)
        case "machine":
            machine.draw(chosen, runs)
        case _:
            watch.draw(chosen, runs)


main()
