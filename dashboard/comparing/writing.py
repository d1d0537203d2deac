"""Two models that write: how likely each finds the same texts, and what each says."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.comparison.written import contrasted
from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import BadInput
from core.results.activations import Capture
from dashboard import cached, state, waiting
from dashboard.comparing.others import Other
from dashboard.judging.quality import spelt
from dashboard.wording import words


def draw(now: state.Selection, data: Dataset, other: Other, ours: Capture, theirs: Capture) -> None:
    """Measures of both with intervals, a paired test, then the texts."""
    several = {
        title: cached.handle(Call("evaluate_written", ref, (), {"capture": str(each.folder)}))
        for title, ref, each in (
            (other.titles[0], cached.model_ref(now.model), ours),
            (other.titles[1], other.ref, theirs),
        )
    }
    under_way = waiting.under_way(several)
    failed = [waiting.failed(title, handle) for title, handle in several.items()]
    if under_way or any(failed):
        waiting.watch(under_way)
        return
    try:
        found = contrasted(*(handle.result() for handle in several.values()))
    except BadInput as error:
        st.error(state.plain(str(error)))
        return
    places = iter(st.columns(max(4, 2 * len(found.first.measures) + 1)))
    for one, two in zip(found.first.measures, found.second.measures, strict=True):
        for title, each in (("first", one), ("second", two)):
            place = next(places)
            place.metric(f"{each.title}, {title}", spelt(each.name, each.value), help=each.about)
            place.caption(f"from {spelt(each.name, each.low)} to {spelt(each.name, each.high)}")
    value, low, high = (round(float(each), 3) + 0.0 for each in found.difference)
    place = next(places)
    place.metric(
        "Nats per token",
        f"{value:+.3f}",
        help="The first less the second, mean of the texts, with its 95 % interval by bootstrap; "
        "below 0 the first finds them likelier. Only comparable between models with the same "
        "tokens. p is of Wilcoxon's signed-rank test.",
    )
    place.caption(f"from {low:+.3f} to {high:+.3f} · p {found.p:.2g}")
    st.caption(
        f"First: {state.plain(other.titles[0])}. Second: {state.plain(other.titles[1])}. Over "
        f"{found.first.examples:,} texts of {state.plain(found.first.data)}, with 95 % intervals."
    )
    rows = found.rows.tolist()
    frame: dict[str, object] = {
        "Text": [words(data[row].data, "tokens") for row in rows],
        "Expected": found.expected,
    }
    for title, said, loss in zip(("First", "Second"), found.said, found.loss.T, strict=True):
        if said:
            frame[f"{title} writes"] = said
        frame[title] = loss
    frame["Difference"] = found.loss[:, 0] - found.loss[:, 1]
    st.markdown("**Where they differ most**, in nats per token of what was expected")

    def clicked() -> None:
        if chosen := state.read("written-apart").selection.rows:
            state.change(example=cached.row_name(now.model, rows[chosen[0]]), target="top")

    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(frame),
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        key="written-apart",
        column_config={
            "First": number(format="%.2f"),
            "Second": number(format="%.2f"),
            "Difference": number(format="%+.2f"),
        },
    )
    st.page_link("views/attribution.py", label="Why? Attributions of the example in hand")
