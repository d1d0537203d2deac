"""Evaluation: how good the model is, for whom, and which examples it gets wrong."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.results import Evaluation
from dashboard import cached, downloads, pickedrows, state, waiting
from dashboard.figures.evaluation import reliability_diagram
from dashboard.judging import confusions, parity, quality, ranking, writing
from dashboard.projecting import captured
from dashboard.theme import is_dark

_PANELS = {
    "confusions": "Mistakes",
    "curves": "One class against the others",
    "calibration": "How sure",
    "groups": "For whom",
    "measures": "All measures",
}


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("How good is the model, for whom, and what does it get wrong?")
    now = state.selection()
    data = captured.data_of(now)
    capture = None if data is None else captured.captured(now, data)
    if data is None or capture is None:
        return
    if not capture.classes:
        writing.draw(now, data, capture)
        return
    call = Call("evaluate", cached.model_ref(now.model), (), {"capture": str(capture.folder)})
    handle = cached.handle(call)
    under_way = waiting.under_way({"Evaluation": handle})
    if under_way or waiting.failed("Evaluation", handle):
        waiting.watch(under_way)
        return
    found: Evaluation = handle.result()
    quality.first(found.measures)
    notes = " ".join(
        [*found.notes, *(f"{each[:1].upper()}{each[1:].rstrip('.')}." for each in data.notes)]
    )
    st.caption(
        f"Over {found.examples:,} labelled examples of {state.plain(found.data)}, with 95 % "
        f"intervals by bootstrap. {state.plain(notes)}"
    )
    panel = now.judged
    st.segmented_control(
        "Part",
        list(_PANELS),
        format_func=_PANELS.get,
        label_visibility="collapsed",
        **state.bind("judged", panel),
    )
    picked = pickedrows.subset(now.subset, now.model)
    match panel:
        case "curves":
            ranking.draw(now, capture, found)
        case "calibration":
            figure = reliability_diagram(found.reliability, dark=is_dark(st.context.theme.type))
            st.plotly_chart(figure, theme=None, config=downloads.CHART, key="reliability")
            downloads.button(figure, [found], f"{now.model}.calibration"[:80])
        case "groups":
            parity.draw(now, capture, found, picked)
        case "measures":
            quality.draw(now, found)
        case _:
            confusions.draw(now, data, capture, found, picked)


main()
