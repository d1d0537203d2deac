"""The Attribution page for rows of tables: from the baseline to the answer, column by column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd
import streamlit as st

from core.attribution.registry import methods
from core.errors import FluoroscopeError
from core.results import Attribution, Prediction
from core.tasks import Columns
from dashboard import cached, counterfactual, downloads, manyrows, ruler, state
from dashboard.explaining.answer import classes
from dashboard.export import document
from dashboard.figures.columns import waterfalls
from dashboard.theme import is_dark

# The first three of these that fit are shown on the first visit.
FIRST = ("integrated_gradients", "shapley_value_sampling", "feature_ablation")
TARGETS = {
    "top": "Predicted class",
    "top3": "The three most likely",
    "top vs second": "Most likely against second",
}
_TITLES = {method.name: method.title for method in methods("columns")}
SCALE = ("Scale", "Shared: bars of one length mean the same number. Own: weak ones show too.")
_WIDE, _NARROW, _MOST = 1000, 700, 12


def text(chosen: state.Selection) -> None:
    """The table in hand, and the row in hand, to be edited: another one is another example."""
    manyrows.draw(chosen)
    row = _row(chosen.example)
    if not row:
        return
    with st.expander(f"The row in hand · {len(row)} columns · edit a value to see what changes"):
        table = pd.DataFrame({"Column": list(row), "Value": [_cell(each) for each in row.values()]})
        edited = st.data_editor(
            table,
            hide_index=True,
            disabled=["Column"],
            height=min(400, 38 + 35 * len(row)),
            key=f"row:{chosen.example}",
            column_config={"Value": st.column_config.TextColumn(help="Empty for a missing value.")},
        )
    typed = ["" if each is None else str(each).strip() for each in edited["Value"]]
    now = {name: _value(old, new) for (name, old), new in zip(row.items(), typed, strict=True)}
    if now != row:
        edit(chosen, now)


def answer(prediction: Prediction, chosen: state.Selection) -> None:
    """What the model says."""
    classes(prediction, chosen.target)
    for note in prediction.notes:
        st.caption(state.plain(note))


def view(chosen: state.Selection) -> None:
    """There is one way to draw a row."""
    st.caption(f"The {_MOST} weightiest columns of each method; the table below has the sums.")


def draw(
    chosen: state.Selection,
    shown: Sequence[Attribution | None],
    waited: Sequence[str],
    asking: Sequence[str],
    prediction: Prediction,
) -> None:
    """Steps from the baseline's score to that of the row, for each attribution that is there."""
    results = [each for each in shown if each is not None]
    original = counterfactual.prediction(chosen)
    if original is not None:
        counterfactual.answers(original, prediction, chosen)
        left, right = st.columns(2, gap="medium")
        with left:
            counterfactual.moved(original, prediction)
        with right:
            _changed(original, prediction)
    if not results:
        return
    width = ruler.width()
    figure = waterfalls(
        results,
        _TITLES,
        most=_MOST,
        across=3 if width >= _WIDE else 2 if width >= _NARROW else 1,
        shared=chosen.scale == "shared",
        dark=is_dark(st.context.theme.type),
    )
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="waterfalls")
    names = "-".join(dict.fromkeys(result.method for result in results))
    name = f"{PurePath(prediction.example).stem}.{names}"[:80]
    downloads.button(figure, results, name, document(results, prediction))


def _changed(before: Prediction, after: Prediction) -> None:
    """The values that an edit changed."""
    old, new = before.axis, after.axis
    if not isinstance(old, Columns) or not isinstance(new, Columns):
        return
    rows = [
        {"Column": name, "Before": was, "Now": now}
        for name, was, now in zip(new.names, old.values, new.values, strict=True)
        if was != now
    ]
    st.caption("What is different")
    st.dataframe(pd.DataFrame(rows, columns=["Column", "Before", "Now"]), hide_index=True)


def _row(example: str) -> dict[str, Any]:
    """The values of a row by column; none for what is no row, which the page says."""
    try:
        found = json.loads(cached.example(example).data)
    except (FluoroscopeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _value(old: Any, typed: str) -> Any:
    """What was typed, as a number where it is one; the old value where it says the same."""
    if typed == _cell(old):
        return old
    if not typed:
        return None
    try:
        return float(typed)
    except ValueError:
        return typed


def edit(chosen: state.Selection, row: dict[str, Any]) -> None:
    """Take ``row`` as an edit of the one in hand, and draw the page anew."""
    original = chosen.original or chosen.example
    if row == _row(original):
        state.change(example=original, original="")
    else:
        kept = cached.keep_upload("row.json", json.dumps(row).encode())
        state.change(example=kept, original=original)
    st.rerun()
