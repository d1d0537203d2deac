"""Rows of tables: an uploaded table to pick from, and the row to begin with."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import PurePath

import pandas as pd
import streamlit as st

from core.errors import FluoroscopeError
from dashboard import cached, manytexts, state

_KEY = "rows:table"
_HEIGHT = 220


def draw(chosen: state.Selection) -> None:
    """The table in hand, if any: a row that is picked becomes the row in hand."""
    if not chosen.table:
        return
    try:
        name = cached.example(chosen.table).name
        rows, notes = cached.row_list(chosen.table)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        manytexts.close()
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{state.plain(name)}** · {len(rows):,} rows · pick one")
        answers = manytexts.answers(chosen, name, rows)
        manytexts.close()
    for note in notes:
        st.caption(state.plain(note))

    def picked() -> None:
        chosen_rows = state.read(_KEY).selection.rows
        if chosen_rows and chosen_rows[0] < len(rows):
            stem, row = PurePath(name).stem, chosen_rows[0]
            kept = cached.keep_upload(f"{stem}-{row + 1}.json", rows[row].encode())
            state.change(example=kept, original="", picked="")

    frame = pd.DataFrame([json.loads(row) for row in rows])
    st.dataframe(
        pd.concat([pd.DataFrame(answers), frame], axis=1).set_axis(range(1, len(rows) + 1)),
        height=_HEIGHT,
        column_config={"Probability": st.column_config.NumberColumn(format="percent")},
        key=_KEY,
        on_select=picked,
        selection_mode="single-row",
    )


def first_example(model: str) -> str:
    """What to begin with for a model of tables without bundled examples: the first of its data, or
    else its usual row.
    """
    about = cached.model_card(model)
    if about.task.axis != "columns":
        return ""
    with suppress(FluoroscopeError):
        if len(cached.dataset(model)):
            return cached.row_name(model, 0)
    row = {}
    prepared = about.raw.get("preprocessing") or {}
    for each in prepared.get("features", ()):
        first = each["categories"][0] if each["categories"] else each.get("mean") or 0.0
        row[each["name"]] = prepared.get("usual", {}).get(each["name"], first)
    return cached.keep_upload("usual row.json", json.dumps(row).encode())
