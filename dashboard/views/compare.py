"""Compare: two models, two checkpoints, or a model and what compression made of it."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.results import Comparison
from dashboard import cached, state, waiting
from dashboard.comparing import answers, depth, looks, metrics, others, reasons, writing
from dashboard.projecting import captured

_PANELS = {
    "answers": "Answers",
    "metrics": "Metrics",
    "reasons": "Reasons",
    "attention": "Attention",
    "layers": "Layers",
}


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("Where do two models differ, which is better, and for other reasons?")
    now = state.selection()
    data = captured.data_of(now)
    other = others.chosen(now)
    if data is None or other is None:
        return
    ours = captured.captured(now, data)
    theirs = captured.of(other.ref, data, f"Activations of {other.titles[1]}")
    if ours is None or theirs is None:
        return
    found: Comparison | None = None
    if ours.classes:
        asked = {"capture": str(ours.folder), "other": str(theirs.folder)}
        handle = cached.handle(Call("compare", cached.model_ref(now.model), (), asked))
        under_way = waiting.under_way({"Comparing": handle})
        if under_way or waiting.failed("Comparing", handle):
            waiting.watch(under_way)
            return
        found = handle.result()
        metrics.first(found)
        notes = " ".join(found.notes)
        st.caption(
            f"First: {state.plain(other.titles[0])}. Second: {state.plain(other.titles[1])}. Over "
            f"{found.examples:,} examples of {state.plain(found.data)}, with 95 % intervals. "
            f"{state.plain(notes)}"
        )
    panels = {
        name: each for name, each in _PANELS.items() if found is not None or name != "metrics"
    }
    panel = now.compared if now.compared in panels else "answers"
    st.segmented_control(
        "Part",
        list(panels),
        format_func=panels.get,
        label_visibility="collapsed",
        **state.bind("compared", panel),
    )
    match panel:
        case "metrics" if found is not None:
            metrics.draw(now, other, found)
        case "reasons":
            reasons.draw(now, other)
        case "attention":
            looks.draw(now, other)
        case "layers":
            depth.draw(now, other, ours, theirs)
        case _ if found is None:
            writing.draw(now, data, other, ours, theirs)
        case _:
            answers.draw(now, data, other, found)


main()
