"""Many texts of one file as a table to pick from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import pandas as pd
import streamlit as st

from core.data.text import decode
from core.data.textlist import TABLES
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Prediction
from core.tasks import Example
from dashboard import cached, state, waiting

_KEY = "texts:table"
_HEIGHT = 220
_MOST_ASKED = 2_000


def is_table(file_name: str) -> bool:
    """Whether a file is a table of texts, by its name; what is in it decides whether it opens."""
    return PurePath(file_name).suffix.lower() in TABLES


def many_lines(name: str) -> bool:
    """Whether an upload is a text of several lines, each of which may be meant as one."""
    try:
        file = cached.example(name)
        if PurePath(file.name).suffix.lower() != ".txt":
            return False
        return sum(1 for line in decode(file).splitlines() if line.strip()) > 1
    except FluoroscopeError:
        return False


def draw(chosen: state.Selection) -> None:
    """The table in hand, if any: a row that is picked becomes the text in hand."""
    if not chosen.table:
        return
    try:
        name = cached.example(chosen.table).name
        texts, notes = cached.text_list(chosen.table, chosen.column)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input("Column with the texts", **state.bind("column", chosen.column, str.strip))
            close()
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{state.plain(name)}** · {len(texts):,} texts · pick one")
        said = answers(chosen, name, texts)
        close()
    for note in notes:
        st.caption(state.plain(note))

    def picked() -> None:
        rows = state.read(_KEY).selection.rows
        if rows and rows[0] < len(texts):
            take(PurePath(name).stem, rows[0], texts[rows[0]])

    st.dataframe(
        pd.DataFrame({"Text": texts, **said}, index=range(1, len(texts) + 1)),
        height=_HEIGHT,
        column_config={
            "Text": st.column_config.TextColumn(width="large"),
            "Probability": st.column_config.NumberColumn(format="percent"),
        },
        key=_KEY,
        on_select=picked,
        selection_mode="single-row",
    )


def take(stem: str, row: int, text: str) -> None:
    """Make the text of a row, counted from 0, the one in hand."""
    try:
        kept = cached.keep_upload(f"{stem}-{row + 1}.txt", text.encode("utf-8", "replace"))
    except FluoroscopeError as error:
        state.tell(str(error))
        return
    state.change(example=kept, original="", picked="")


def close() -> None:
    """A button that puts the table away."""
    if state.pressed("Close the table", "close-table", type="tertiary"):
        state.change(table="", column="")
        st.rerun()


def answers(
    chosen: state.Selection, name: str, texts: Sequence[str]
) -> dict[str, Sequence[object]]:
    """Columns with what a classifier says about each text or row, on a click."""
    if not cached.model_card(chosen.model).classes or len(texts) > _MOST_ASKED:
        return {}
    call = _asking(chosen.model, PurePath(name).stem, texts)
    if call.key not in state.asked() and not cached.stored(call):
        if state.pressed("Ask the model about all", "ask-all"):
            state.asked().add(call.key)
            st.rerun()
        return {}
    handle = cached.handle(call)
    if handle.state != "done":
        waiting.watch(waiting.under_way({"Asking about all": handle}))
        waiting.failed("Asking about all", handle)
        return {}
    found: Sequence[Prediction] = handle.result()
    best = [each.top(1)[0] for each in found]
    return {
        "Answer": [each.classes[index] for each, index in zip(found, best, strict=True)],
        "Probability": [
            float(each.probabilities[index]) for each, index in zip(found, best, strict=True)
        ],
    }


def _asking(model: str, stem: str, texts: Sequence[str]) -> Call:
    inputs = tuple(
        Example(f"{stem}-{row}.txt", text.encode("utf-8", "replace"))
        for row, text in enumerate(texts, start=1)
    )
    return Call("predict", cached.model_ref(model), inputs)
