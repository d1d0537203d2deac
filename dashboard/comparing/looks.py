"""Where two Transformers look: how far apart their heads are, and the maps of one of them."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.comparison.attention import contrasted
from core.engine.call import Call
from core.errors import FluoroscopeError, NotValid
from core.results import AttentionContrast, AttentionMaps
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.comparing.others import Other
from dashboard.figures.contrast import attention_distance, head_maps
from dashboard.theme import is_dark


def draw(now: state.Selection, other: Other) -> None:
    """Distances of all heads, then the maps of the one in hand in both models."""
    try:
        example = cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    refs = (cached.model_ref(now.model), other.ref)
    handles = [cached.handle(Call("attention", ref, (example,), urgent=True)) for ref in refs]
    under_way = waiting.under_way(dict(zip(other.titles, handles, strict=True)))
    if under_way:
        waiting.watch(under_way)
        return
    for title, handle in zip(other.titles, handles, strict=True):
        if isinstance(handle.error, NotValid):
            st.info(state.plain(str(handle.error)))
            return
        if waiting.failed(title, handle):
            return
    both: list[AttentionMaps] = [handle.result()[0] for handle in handles]
    try:
        found = contrasted(*both)
    except NotValid as error:
        st.info(state.plain(str(error)))
        return
    _draw(now, other, both, found)


def _draw(
    now: state.Selection, other: Other, both: list[AttentionMaps], found: AttentionContrast
) -> None:
    dark = is_dark(st.context.theme.type)
    layer, head = _head(now, found)
    wide = ruler.width() >= 840
    left, right = st.columns([2, 3], gap="large") if wide else (st.container(), st.container())

    def picked() -> None:
        if points := state.read("heads-apart").selection.points:
            there = points[0]["customdata"]
            state.change(layer=int(there[0]), head=int(there[1]))

    with left:
        figure = attention_distance(found, chosen=(layer, head), dark=dark)
        st.plotly_chart(
            figure,
            theme=None,
            config=downloads.CHART,
            key="heads-apart",
            on_select=picked,
            selection_mode="points",
        )
        st.caption(
            "The share of its attention that a head spends elsewhere in the other model, mean of "
            "all queries. Click a head to see both of its maps."
        )
        downloads.button(figure, [found], f"{now.model}.heads-apart"[:80])
    with right:
        st.markdown(
            f"**Layer {layer} · head {head}** · {found.distance[layer][head]:.3f} apart  \n"
            f":gray[{state.plain(found.layers[layer].name)} · queries down, keys across]"
        )
        figure = head_maps(both[0], both[1], layer, head, other.titles, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="head-maps")
        downloads.button(figure, [found], f"{now.model}.head"[:80])
        st.page_link("views/attention.py", label="All heads of the model in hand")


def _head(now: state.Selection, found: AttentionContrast) -> tuple[int, int]:
    """The head in hand, else the one that is farthest apart."""
    if 0 <= now.layer < len(found.layers) and now.head < found.layers[now.layer].heads:
        return now.layer, now.head
    layer = int(np.argmax([values.max() for values in found.distance]))
    return layer, int(np.argmax(found.distance[layer]))
