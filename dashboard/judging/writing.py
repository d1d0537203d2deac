"""A model that writes: its measures, and the texts that it finds least likely."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.data.dataset import Dataset
from core.engine.call import Call
from core.results import Written
from core.results.activations import Capture
from dashboard import cached, state, waiting
from dashboard.judging import quality


def draw(now: state.Selection, data: Dataset, capture: Capture) -> None:
    """Perplexity, BLEU and chrF, then the texts; a click takes one in hand."""
    parameters = {"capture": str(capture.folder)}
    handle = cached.handle(Call("evaluate_written", cached.model_ref(now.model), (), parameters))
    under_way = waiting.under_way({"Evaluation": handle})
    if under_way or waiting.failed("Evaluation", handle):
        waiting.watch(under_way)
        return
    found: Written = handle.result()
    quality.first(found.measures)
    st.caption(
        f"Over {found.examples:,} texts of {state.plain(found.data)}, with 95 % intervals by "
        "bootstrap."
    )
    rows = found.rows.tolist()
    frame: dict[str, object] = {
        "Text": [data[row].data.decode("utf-8", "replace") for row in rows],
        "Expected": found.expected,
    }
    if found.said:
        frame["Written"] = found.said
    frame["Nats per token"] = found.loss
    st.markdown("**What it finds least likely**")

    def clicked() -> None:
        if places := state.read("written").selection.rows:
            state.change(example=cached.row_name(now.model, rows[places[0]]), target="top")

    st.dataframe(
        pd.DataFrame(frame),
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        key="written",
        column_config={"Nats per token": st.column_config.NumberColumn(format="%.2f")},
    )
    st.page_link("views/attribution.py", label="Why? Attributions of the example in hand")
