"""Maps of several layers side by side: where do the classes come apart."""

from __future__ import annotations

import streamlit as st

from core.data.dataset import Dataset
from core.data.subset import Subset
from core.projection.align import aligned
from core.results.activations import Capture
from core.results.projection import Projection
from dashboard import controls, ruler, state, waiting
from dashboard.projecting import plane
from dashboard.projecting.tints import Tint

_MOST_BESIDE = 6


def draw(
    now: state.Selection,
    data: Dataset,
    capture: Capture,
    layer: str,
    shown: Projection,
    tint: Tint | None,
    picked: Subset | None,
) -> None:
    """Maps of other layers, turned to lie as this one does, with the same points picked."""
    way = plane.reducer_of(now)
    if shown.method != way.name:
        return
    names = [name for name in capture.names if name != layer]
    chosen = [name for name in now.beside if name in names][:_MOST_BESIDE]
    st.multiselect(
        "Beside it, the maps of",
        names,
        max_selections=_MOST_BESIDE,
        placeholder="Other layers",
        **state.bind("beside", chosen, tuple),
    )
    settings = controls.settings_of(way, now)
    handles = {name: plane.handle_of(now, capture, name, way, settings) for name in chosen}
    under_way = waiting.under_way(handles)
    ready = {name: handle.result() for name, handle in handles.items() if handle.state == "done"}
    for name, handle in handles.items():
        waiting.failed(name, handle)
    if not ready:
        waiting.watch(under_way)
        return
    mask = None if picked is None else picked.mask(data)
    turned, apart = aligned([shown.points, *(each.points for each in ready.values())])
    across = min(len(ready), 3 if ruler.width() >= 1000 else 2)
    for start in range(0, len(ready), across):
        columns = st.columns(across)
        for column, place in zip(
            columns, range(start, min(start + across, len(ready))), strict=False
        ):
            name, each = list(ready.items())[place]
            with column:
                trust = "" if each.trust is None else f" · trust {each.trust.trustworthiness:.3f}"
                st.caption(f"**{state.plain(name)}**{trust} · apart {apart[place + 1]:.0%}")
                plane.plot(
                    now,
                    data,
                    capture,
                    name,
                    each,
                    tint,
                    mask,
                    plane.pins_of(now),
                    points=turned[place + 1],
                    key=f"beside:{place}",
                    high=300,
                )
    st.caption(
        "Turned, mirrored and scaled as a whole to lie as the first one does (Procrustes); what is "
        "left apart is 0 % for the same shape."
    )
    waiting.watch(under_way)
