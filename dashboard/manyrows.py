"""Rows of tables: an uploaded table to pick from, and the row to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePath

import pandas as pd
import streamlit as st

from core.data.matching import KINDS, NOWHERE, Match, as_read, features_of, matched, told
from core.errors import FluoroscopeError
from dashboard import cached, manytexts, state

_KEY = "rows:table"
_NOWHERE = "(nowhere)"
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
        features_of(cached.model_card(chosen.model).raw), given, _by_hand(chosen.column)
    )
    rows = [json.dumps(row) for row in as_read(matches, given)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{state.plain(name)}** · {len(rows):,} rows · pick one")
        answers = manytexts.answers(chosen, name, rows)
        with st.popover("How columns are read", type="tertiary"):
            _correct(chosen, matches, given)
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


def _correct(
    chosen: state.Selection, matches: Sequence[Match], given: Sequence[Mapping[str, object]]
) -> None:
    """A table of how columns are read, in which where from and as what can be corrected."""
    st.caption("Choose where a column of the model is read from, and as what.")
    present = list(dict.fromkeys(name for row in given[:1_000] for name in row))
    matches = sorted(matches, key=lambda each: each.plain)  # what may want a correction first
    table = pd.DataFrame(
        {
            "Column of the model": [each.name for each in matches],
            "Read from": [each.source or _NOWHERE for each in matches],
            "Read as": [each.kind for each in matches],
            "Missing": [each.missing for each in matches],
            "Unknown": [each.unknown for each in matches],
            "Why": [each.why for each in matches],
        }
    )
    choice = st.column_config.SelectboxColumn
    edited = st.data_editor(
        table,
        hide_index=True,
        disabled=["Column of the model", "Missing", "Unknown", "Why"],
        height=min(400, 38 + 35 * len(matches)),
        width=760,
        key=f"reading:{chosen.table}:{chosen.column}",
        column_config={
            "Read from": choice(options=[_NOWHERE, *present], required=True),
            "Read as": choice(options=list(KINDS), required=True),
            "Unknown": st.column_config.NumberColumn(
                help="Values that are no numbers where one is read, or no categories of the model."
            ),
            "Why": st.column_config.TextColumn(width="medium"),
        },
    )
    asked = {
        each.name: (NOWHERE if source == _NOWHERE else source, kind)
        for each, source, kind in zip(matches, edited["Read from"], edited["Read as"], strict=True)
        if (source, kind) != (each.source or _NOWHERE, each.kind)
    }
    if asked:
        state.change(column=json.dumps({**_by_hand(chosen.column), **asked}))
        st.rerun()
    if chosen.column and state.pressed("Read them by themselves again", "reading", type="tertiary"):
        state.change(column="")
        st.rerun()


def _by_hand(column: str) -> dict[str, tuple[str, str]]:
    """What a person said of columns, from the address; nothing for what makes no sense."""
    try:
        found = json.loads(column)
        return {str(name): (str(source), str(kind)) for name, (source, kind) in found.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}


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
