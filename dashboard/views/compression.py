"""Compression: make the model smaller, and see what that does to its answers and reasons."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.compression.methods import METHODS, settled
from core.compression.source import CARD, PREFIX
from core.data.kept import asked
from core.engine.call import Call
from core.errors import NotValid
from core.models.catalogue import reference
from core.models.reference import ModelRef
from core.parameters import Value
from core.provenance import sha256_of_json
from core.results import Costs, Drift
from dashboard import cached, controls, ruler, state, waiting
from dashboard.compressing import changed, reasons, sweeping, who
from dashboard.projecting import captured

_TITLES = {each.name: each.title for each in METHODS}
_WIDE = 840
_PARTS = {
    "saved": "What is saved and changed",
    "reasons": "Changed reasons",
    "who": "Who pays",
    "sweep": "Trade-off",
}


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("What does a smaller model save, and are its reasons still the same?")
    now = state.selection()
    if now.model.startswith(PREFIX):
        about = cached.model_card(now.model).raw
        st.caption(f"Beside {state.plain(str(about['of']))}, which it was made of.")
        _compared(now, cached.model_ref(now.model), None, {})
        return
    way = next((each for each in METHODS if each.name == now.smaller), METHODS[0])
    settings = controls.settings_of(way, now)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        choose = st.segmented_control if ruler.width() >= _WIDE else st.selectbox
        choose("Method", list(_TITLES), format_func=_TITLES.get, **state.bind("smaller", way.name))
        if way.parameters:
            with st.popover("Settings", type="tertiary", icon=":material/tune:"):
                controls.draw_settings(way, settings, ())
    st.caption(f"{way.about} {way.reference}.")
    model = cached.model_ref(now.model)
    steps = list(settled([{"method": way.name, **settings}]))
    folder = cached.place().compressed / sha256_of_json([model.fingerprint, steps])[:16]
    if not (folder / CARD).is_file():
        making = cached.handle(Call("compress", model, (), {"steps": steps, "out": str(folder)}))
        under_way = waiting.under_way({"Compressing": making})
        if under_way or waiting.failed("Compressing", making):
            waiting.watch(under_way)
            return
    _compared(now, reference(f"{PREFIX}{folder}"), way, settings)


def _compared(now: state.Selection, small: ModelRef, way: Any, settings: dict[str, Value]) -> None:
    timing = cached.handle(Call("compression_costs", small, urgent=True))
    data = captured.data_of(now) if now.data else None
    if now.data and data is None:
        return
    comparing = cached.handle(Call("compression_drift", small, (), asked(cached.place(), now.data)))
    handles = {"Timing": timing, "Answers and reasons": comparing}
    under_way = waiting.under_way(handles)
    writes = isinstance(comparing.error, NotValid)
    if waiting.failed("Timing", timing) or (
        not writes and waiting.failed("Answers and reasons", comparing)
    ):
        return
    costs: Costs | None = timing.result() if timing.state == "done" else None
    drift: Drift | None = comparing.result() if comparing.state == "done" else None
    if costs is not None:
        if costs.notes:
            st.caption(" ".join(map(state.plain, costs.notes)))
        changed.first(costs, drift)
        data = data or captured.data_of(now)
        if drift is not None and data is not None:
            parts = {name: title for name, title in _PARTS.items() if way or name != "sweep"}
            part = now.shrunk if now.shrunk in parts else "saved"
            st.segmented_control(
                "Part",
                list(parts),
                format_func=parts.get,
                label_visibility="collapsed",
                **state.bind("shrunk", part),
            )
            match part:
                case "reasons":
                    reasons.draw(now, data, drift)
                case "who":
                    who.draw(now, drift)
                case "sweep":
                    sweeping.draw(now, cached.model_ref(now.model), way, settings)
                case _:
                    changed.draw(now, data, costs, drift)
        else:
            changed.saved(now, costs)
            if writes:
                st.info(state.plain(str(comparing.error)))
                st.page_link("views/compare.py", label="Compare both by their perplexity")
    waiting.watch(under_way)


main()
