"""Projection: the map of what a model takes for alike, and what is picked on it."""

from __future__ import annotations

import streamlit as st

from core.data import subset as subsets
from core.errors import FluoroscopeError
from dashboard import cached, pickedrows, ruler, state
from dashboard.projecting import beside, captured, chosen, own, plane, tints


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("Which examples does the model take for alike, and where does it mix them up?")
    now = state.selection()
    own.choose(now)
    if now.vectors:
        own.draw(now)
        return
    data = captured.data_of(now)
    if data is None:
        return
    capture = captured.captured(now, data)
    if capture is None:
        return
    picked = pickedrows.subset(now.subset, now.model)
    if now.subset and picked is None:
        st.info("The examples of this link were picked out of other data, or are gone.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        layer = captured.show_layer(now, capture)
        known = tints.choices(capture, now.unit if layer in capture.names else -1)
        offered = (known or {"": "One colour"}) | {tints.GROUP: "Groups found"}
        tint = now.tint if now.tint in offered else next(iter(offered))
        plane.controls_of(now)
        st.selectbox(
            "Colour",
            list(offered),
            format_func=offered.get,
            width=180,
            **state.bind("tint", tint),
        )
    wide = ruler.width() >= 840
    left, right = st.columns([7, 3], gap="medium") if wide else (st.container(), st.container())
    with left:
        meanwhile = tint if tint in known else next(iter(known), "")  # until groups are found
        colours = tints.tint(capture, layer, meanwhile) if meanwhile else None
        shown, colours = plane.draw(now, data, capture, layer, colours, picked)
        if shown is not None:
            beside.draw(now, data, capture, layer, shown, colours, picked)
    with right:
        if picked is None:
            _hints(now, data.fingerprint)
        else:
            chosen.draw(now, data, capture, picked)
    if picked is not None:
        chosen.table(now, data, capture, picked)


def _hints(now: state.Selection, fingerprint: str) -> None:
    """What can be done, and what was kept."""
    st.caption("Draw around points to see which examples they are and what sets them apart.")
    with st.container():
        try:
            kept = subsets.named(cached.place(), fingerprint)
        except FluoroscopeError as error:
            st.error(state.plain(str(error)))
            return
        for key, each in list(kept.items())[:12]:
            if state.pressed(state.plain(each.title), f"subset:{key}", type="tertiary"):
                state.change(subset=key)
                st.rerun()


main()
