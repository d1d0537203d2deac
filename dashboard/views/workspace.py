"""Workspace: what is kept on this machine, how large it is, and the limits in force."""

from __future__ import annotations

import json

import streamlit as st

from core.inventory import KINDS, inventory
from dashboard import cached, state
from dashboard.keeping import limits, things


def main() -> None:
    """Draw the page."""
    st.markdown("What is kept on this machine, how much room it takes, and what may go?")
    busy = [
        json.dumps(dict(handle.call.parameters))
        for handle in state.handles().values()
        if handle.state in ("waiting", "running")
    ]
    found = inventory(cached.place(), busy)
    things.first(found)
    offered = [kind for kind in KINDS if any(each.kind == kind for each in found)]
    if not offered:
        st.info("Nothing is kept yet. What you bring, train and compute will be listed here.")
    else:
        now = state.selection()
        kind = now.kind if now.kind in offered else offered[0]
        st.segmented_control(
            "Kind",
            offered,
            format_func=KINDS.get,
            label_visibility="collapsed",
            **state.bind("kind", kind),
        )
        things.draw([each for each in found if each.kind == kind])
    limits.draw()


main()
