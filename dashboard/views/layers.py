"""Layers: what every layer does, for one example and over the data, and what happens without it."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.results import Architecture, Behaviour
from dashboard import cached, state, waiting
from dashboard.inside import alike, cut, example, lens, part, statistics, whole
from dashboard.projecting import captured

_PANELS = {
    "example": "This example",
    "data": "Over the data",
    "part": "Where classes part",
    "alike": "Which layers are alike",
    "lens": "Answer on the way",
    "cut": "Without it",
}


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("What does each layer do, and where does the answer take shape?")
    now = state.selection()
    if cached.model_card(now.model).raw["parameters"] is None:
        st.info(
            "This model is only asked and answers: it has no layers that could be looked into. "
            "Its columns are on the Overview, what they add to an answer on the Attribution page."
        )
        return
    model = cached.model_ref(now.model)
    describing = cached.handle(Call("describe", model))
    under_way = waiting.under_way({"Architecture": describing})
    if under_way or waiting.failed("Architecture", describing):
        waiting.watch(under_way)
        return
    architecture: Architecture = describing.result()
    data = captured.data_of(now)
    capture = None if data is None else captured.captured(now, data)
    behaviour: Behaviour | None = None
    if capture is not None:
        looking = cached.handle(
            Call("layer_behaviour", model, (), {"capture": str(capture.folder)})
        )
        under_way = waiting.under_way({"Statistics of layers": looking})
        if looking.state == "done":
            behaviour = looking.result()
        waiting.failed("Statistics of layers", looking)
        waiting.watch(under_way)
    waits = behaviour is None and data is not None and not captured.given_up()
    layer = whole.draw(now, architecture, behaviour, capture, waits)
    left_out = {
        "lens": not lens.fits(now),
        "part": capture is not None and not part.fits(capture),
    }
    panels = [name for name in _PANELS if not left_out.get(name)]
    panel = now.panel if now.panel in panels else panels[0]
    st.segmented_control(
        "Part",
        panels,
        format_func=_PANELS.get,
        label_visibility="collapsed",
        **state.bind("panel", panel),
    )
    match panel:
        case "data":
            statistics.draw(now, data, capture, behaviour, layer)
        case "part":
            part.draw(now, capture)
        case "alike":
            alike.draw(now, capture, behaviour)
        case "lens":
            lens.draw(now)
        case "cut":
            cut.draw(now, data, capture, layer)
        case _:
            example.draw(now, data, capture, layer)


main()
