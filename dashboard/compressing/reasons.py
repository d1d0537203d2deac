"""Examples whose answer stayed while their reasons changed: before, after, and the difference."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from core.comparison.reasons import contrasted
from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import UnknownName
from core.models.catalogue import reference
from core.results import Attribution, Drift
from core.tasks import Task
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.compressing.changed import NOTHING_KEPT, examples, rows_of
from dashboard.figures.caption import method_title
from dashboard.figures.contrast import reasons
from dashboard.theme import is_dark
from dashboard.wording import words

_MOST = 24


def draw(now: state.Selection, data: Dataset, drift: Drift) -> None:
    """The most changed first; the one in hand explained in both models on one scale."""
    if not len(drift.kept):
        st.info(state.plain(drift.note) or NOTHING_KEPT)
        return
    full = rows_of(drift, len(data))[drift.kept]
    st.markdown("**The same answer for other reasons**, the most changed first")
    row = int(full[0])
    with suppress(UnknownName):
        chosen = cached.row_of(now.example)[1]
        row = chosen if chosen in full else row
    name = cached.row_name(now.model, row)
    task = cached.model_card(now.model).task
    if task is Task.IMAGE_CLASSIFICATION:
        examples(now, data, full[:_MOST], "kept", drift.spearman[:_MOST], name)
    else:
        titles = {
            cached.row_name(now.model, int(each)): f"{alike:.2f} · "
            f"{words(data[int(each)].data, task.axis)}"
            for each, alike in zip(full[:_MOST], drift.spearman[:_MOST], strict=True)
        }
        options = list(dict.fromkeys([*titles, name]))
        picked = st.selectbox(
            "Example, after the rank correlation",
            options,
            index=options.index(name),
            format_func=lambda each: titles.get(each, each),
            label_visibility="collapsed",
        )
        if picked != name:
            state.change(example=picked, target="top")
            st.rerun()
    asked = {"method": drift.method, "target": "top", "settings": {}}
    handles = {
        title: cached.handle(Call("attribute", reference(name), (data[row],), asked, urgent=True))
        for title, name in (("Original", drift.of), ("Compressed", drift.model))
    }
    under_way = waiting.under_way(handles)
    if any(waiting.failed(title, handle) for title, handle in handles.items()):
        return
    if not under_way:
        first, second = (_first(handle.result()) for handle in handles.values())
        found = contrasted(first, second)
        figure = reasons(
            found,
            ("Original", "Compressed"),
            difference="Original − compressed",
            width=ruler.width(),
            dark=is_dark(st.context.theme.type),
        )
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="contrast")
        st.caption(
            f"{method_title(drift.method)} of {state.plain(data.ids[row])}, on one scale: rank "
            f"correlation {found.spearman:.3f}, {found.overlap:.0%} of the strongest tenth of "
            "inputs the same. The difference is the original less the compressed."
        )
        downloads.button(figure, [first, second], f"{now.model}.difference"[:80])
    waiting.watch(under_way)


def _first(found: tuple[Attribution, ...]) -> Attribution:
    return found[0]
