"""How far a map can be believed, in numbers and in words."""

from __future__ import annotations

import streamlit as st

from core.engine.executor import Handle
from core.results.projection import Projection
from dashboard import state


def draw(shown: Projection, stable: Handle | None) -> None:
    """The numbers of a map, its switch for marks, and what may be read from it."""
    trust = shown.trust
    if trust is None:
        return
    marked = int(trust.marked.sum())
    stability = stable.result().stability if stable and stable.state == "done" else None
    numbers = [
        (
            "Trustworthiness",
            f"{trust.trustworthiness:.3f}",
            "Whether neighbours on the map are neighbours in the layer: 1 is best, above 0.95 is "
            "good, 0.5 is chance (Venna and Kaski 2001).",
        ),
        (
            "Continuity",
            f"{trust.continuity:.3f}",
            "Whether neighbours in the layer stay neighbours on the map: 1 is best, above 0.95 is "
            "good.",
        ),
        (
            "Neighbours kept",
            f"{trust.kept:.0%}",
            f"Of the {trust.k} nearest in the layer, how many are among the nearest here.",
        ),
    ]
    if stability is not None:
        numbers.append(
            (
                "Stable",
                f"{stability:.0%}",
                "Of the neighbours on this map, how many a map with another seed keeps.",
            )
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        for title, value, help_ in numbers:
            st.markdown(f":gray[{title}] **{value}**", help=help_, width="content")
        st.toggle(
            f"{marked:,} with false neighbours",
            help="Points at least half of whose neighbours here are not near in the layer: their "
            "place means little. They are ringed.",
            **state.bind("rings", _rings(), lambda on: "" if on else "no"),
        )
    by = "Fluoroscope's own engine" if shown.engine == "fluoroscope" else state.plain(shown.engine)
    st.caption(f"{_verdict(shown)} {trust.sentence.capitalize()}; laid out by {by}.")
    for note in shown.notes:
        st.caption(state.plain(note))


def _rings() -> bool:
    return state.selection().rings != "no"


def _verdict(shown: Projection) -> str:
    trust = shown.trust
    if trust is None:
        return ""
    if min(trust.trustworthiness, trust.continuity) >= 0.95:
        near = "What lies close together here is close in the layer."
    elif trust.trustworthiness >= 0.95:
        near = "What lies close together here is close in the layer, but some groups are torn."
    else:
        near = "Points of different kinds lie on top of each other here: look at another map too."
    far = {
        "pca": "Distances far apart are true to the share of variance that is shown.",
        "umap": "Sizes of groups and gaps between them mean little.",
        "tsne": "Distances between groups and their sizes mean nothing.",
    }[shown.method]
    return f"{near} {far}"
