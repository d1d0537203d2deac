"""Rows of tables: an uploaded table to pick from, and the row to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath

import pandas as pd
import streamlit as st

from core.data.asread import by_hand
from core.data.matching import as_read, features_of, matched, told
from core.errors import FluoroscopeError
from dashboard import cached, manytexts, reading, state

_KEY = "rows:table"
_HEIGHT = 220


def draw(chosen: state.Selection) -> None:
    """The table in hand, if any: a row that is picked becomes the row in hand, as it is read."""
    if not chosen.table:
        return
    try:
        name = cached.example(chosen.table).name
        texts, notes = cached.row_list(chosen.table)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        manytexts.close()
        return
    given = [json.loads(text) for text in texts]
    matches = matched(
        features_of(cached.model_card(chosen.model).raw), given, by_hand(chosen.column)
    )
    rows = [json.dumps(row) for row in as_read(matches, given)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{state.plain(name)}** · {len(rows):,} rows · pick one")
        answers = manytexts.answers(chosen, name, rows)
        with st.popover("How columns are read", type="tertiary"):
            key = f"{chosen.table}:{chosen.column}"
            said = reading.correct(matches, names_of(given), chosen.column, key)
            if said != chosen.column:
                state.change(column=said)
                st.rerun()
        manytexts.close()
    if said := [*notes, *told(matches, given)]:
        st.caption(state.plain("  \n".join(said)))

    def picked() -> None:
        chosen_rows = state.read(_KEY).selection.rows
        if chosen_rows and chosen_rows[0] < len(rows):
            stem, row = PurePath(name).stem, chosen_rows[0]
            kept = cached.keep_upload(f"{stem}-{row + 1}.json", rows[row].encode())
            state.change(example=kept, original="", picked="")

    frame = pd.DataFrame(given)
    st.dataframe(
        pd.concat([pd.DataFrame(answers), frame], axis=1).set_axis(range(1, len(rows) + 1)),
        height=_HEIGHT,
        column_config={"Probability": st.column_config.NumberColumn(format="percent")},
        key=_KEY,
        on_select=picked,
        selection_mode="single-row",
    )


def names_of(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns that the first rows have."""
    return list(dict.fromkeys(name for row in rows[:1_000] for name in row))


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
