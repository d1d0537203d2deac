"""How columns of a person's table are read for a model: a table in which it can be corrected."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.data.asread import by_hand
from core.data.matching import KINDS, NOWHERE, Match
from dashboard import state

_NOWHERE = "(nowhere)"


def correct(
    matches: Sequence[Match], present: Sequence[str], said: str, key: str, *, at_once: bool = True
) -> str:
    """Draw the table, in which where from and as what can be chosen; what is ``said`` by hand then,
    as ``core.data.asread.by_hand`` reads it. Each choice counts ``at_once``, or all on a click.
    """
    st.caption("Choose where a column of the model is read from, and as what.")
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
        key=f"reading:{key}",
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
    if said and state.pressed("Read them by themselves again", "reading", type="tertiary"):
        return ""
    ready = at_once or state.pressed("Read them so", "read-so", disabled=not asked)
    return json.dumps({**by_hand(said), **asked}) if asked and ready else said
