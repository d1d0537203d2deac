"""Compression: make the model smaller, and see what that does to its answers and reasons."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.compression.methods import METHODS, CompressionMethod, settled, titled
from core.compression.source import CARD, PREFIX, named
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
Steps = list[dict[str, Any]]
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
        _compared(now, cached.model_ref(now.model), [])
        return
    way = next((each for each in METHODS if each.name == now.smaller), METHODS[0])
    chain = [way, *_after(way, now)]
    settings = [controls.settings_of(each, now) for each in chain]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        choose = st.segmented_control if ruler.width() >= _WIDE else st.selectbox
        choose("Method", list(_TITLES), format_func=_TITLES.get, **state.bind("smaller", way.name))
        if way.parameters:
            with st.popover("Settings", type="tertiary", icon=":material/tune:"):
                controls.draw_settings(way, settings[0], ())
        with st.popover("Then", type="tertiary", icon=":material/add:"):
            _then(chain, settings)
    ways = [each.name for each in chain]
    steps = list(
        settled([{"method": name, **given} for name, given in zip(ways, settings, strict=True)])
    )
    if len(chain) == 1:
        st.caption(f"{way.about} {way.reference}.")
    else:
        st.caption(f"One after the other: {', then '.join(map(titled, steps))}.")
    model = cached.model_ref(now.model)
    key = sha256_of_json([model.fingerprint, steps])
    name, folder = named(cached.place(), model, key[:16])
    if not (folder / CARD).is_file():
        making = cached.handle(Call("compress", model, (), {"steps": steps, "out": str(folder)}))
        under_way = waiting.under_way({"Compressing": making})
        if under_way or waiting.failed("Compressing", making):
            waiting.watch(under_way)
            return
    _compared(now, reference(name), steps)


def _after(first: CompressionMethod, now: state.Selection) -> list[CompressionMethod]:
    """What is done after the first; each way once."""
    others = {each.name: each for each in METHODS if each is not first}
    return [others[name] for name in now.then if name in others]


def _then(chain: list[CompressionMethod], settings: list[dict[str, Value]]) -> None:
    """Choose what is done after the first, in this order, and how."""
    later = [each.name for each in chain[1:]]
    st.multiselect(
        "Done after it, in this order",
        [name for name in _TITLES if name != chain[0].name],
        format_func=_TITLES.get,
        placeholder="Nothing more",
        **state.bind("then", later, tuple),
    )
    for each, given in zip(chain[1:], settings[1:], strict=True):
        if each.parameters:
            st.markdown(f"**{each.title}**")
            controls.draw_settings(each, given, ())


def _compared(now: state.Selection, small: ModelRef, steps: Steps) -> None:
    """Beside the original; ``steps`` can be swept where there are any."""
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
            parts = {name: title for name, title in _PARTS.items() if steps or name != "sweep"}
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
                    sweeping.draw(now, cached.model_ref(now.model), steps)
                case _:
                    changed.draw(now, data, costs, drift)
        else:
            changed.saved(now, costs)
            if writes:
                st.info(state.plain(str(comparing.error)))
                st.page_link("views/compare.py", label="Compare both by their perplexity")
    waiting.watch(under_way)


main()
