"""What would change the answer to the row in hand: few columns, small steps, several ways."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Counterfactual, Prediction, RowChange
from core.tasks import Columns
from dashboard import cached, counterfactual, ruler, state, waiting
from dashboard.explaining.columns import edit
from dashboard.projecting import captured

_WIDE = 840
_ANY = "Any other"
_MOST_ROWS, _TALL = 8, 300


def draw(now: state.Selection) -> None:
    """Ways to another answer for the row in hand, as tables."""
    card = cached.model_card(now.model)
    if card.task.axis != "columns":
        st.info(
            "Only rows of tables are changed here. Of a text, `fluoroscope flip` finds the fewest "
            "words whose removal changes the answer."
        )
        return
    data = captured.data_of(now)
    if data is None:
        return
    try:
        model, row = cached.model_ref(now.model), cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    predicting = cached.handle(Call("predict", model, (row,), urgent=True))
    under_way = waiting.under_way({"Prediction": predicting})
    if under_way or waiting.failed("Prediction", predicting):
        waiting.watch(under_way)
        return
    prediction: Prediction = predicting.result()[0]
    original = counterfactual.prediction(now)
    if original is not None:
        counterfactual.answers(original, prediction, now)
    asked = {**_controls(now, prediction, card.classes), "data": asdict(data.ref)}
    handle = cached.handle(Call("counterfactual", model, (row,), asked))
    under_way = waiting.under_way({"Changes": handle})
    if under_way or waiting.failed("Changes", handle):
        waiting.watch(under_way)
        return
    _ways(now, handle.result())


def _controls(
    now: state.Selection, prediction: Prediction, classes: tuple[str, ...]
) -> dict[str, Any]:
    """The columns that may not change, and the class to reach."""
    names = list(prediction.axis.names) if isinstance(prediction.axis, Columns) else []
    keep = [name for name in _kept(now.fixed) if name in names]
    said = classes[prediction.top(1)[0]]
    others = [name for name in classes if name != said]
    to = now.settings.get("change.to", "")
    to = to if to in others else ""
    several = len(others) > 1
    left, right = st.columns([5, 2], gap="medium") if several else (st.container(), None)
    left.multiselect(
        "Columns that may not change",
        names,
        placeholder="All may change",
        **state.bind("fixed", keep, convert=lambda new: json.dumps(new) if new else ""),
    )
    if right is not None:
        right.selectbox(
            "To which answer",
            ["", *others],
            format_func=lambda name: name or _ANY,
            **state.bind_setting("change", "to", to, ""),
        )
    return {"keep": keep, "to": to}


def _kept(text: str) -> list[str]:
    """Names of columns in an address; none in a senseless one."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return [str(each) for each in found] if isinstance(found, list) else []


def _ways(now: state.Selection, found: Counterfactual) -> None:
    """Each way with what it changes, and a click to take it in hand."""
    classes, before = found.before.classes, found.before
    said = before.top(1)[0]
    st.markdown(
        f"**{state.plain(found.example)}** is answered **{state.plain(classes[said])}** "
        f":gray[{before.probabilities[said]:.1%}]. The smallest changes that were found for "
        "another answer:",
        help=f"Among {found.tried:,} rows that the model was asked for, with values within those "
        "of the data. σ is the standard deviation of the training rows; a switch counts as 1. "
        "There may be smaller ones, and not every change is one that can happen.",
    )
    if found.reason:
        st.info(state.plain(found.reason))
        return
    across = 2 if ruler.width() >= _WIDE else 1
    for start in range(0, len(found.found), across):
        places = st.columns(across, gap="large")
        for place, each in zip(places, found.found[start : start + across], strict=False):
            with place:
                _way(now, classes, each, start + places.index(place))
    frame = pd.concat([_frame(each).assign(way=n + 1) for n, each in enumerate(found.found)])
    st.download_button(
        "Save the changes",
        data=lambda: frame.to_csv(index=False).encode(),
        file_name=f"{now.model}.changes.csv"[-80:],
        mime="text/csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def _way(now: state.Selection, classes: tuple[str, ...], each: RowChange, number: int) -> None:
    count = len(each.columns)
    after = each.probabilities
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{state.plain(classes[each.answer])}** {after[each.answer]:.1%} :gray[· "
            f"{count} column{'s' * (count > 1)} · {each.distance:.3g} σ in all]"
        )
        if state.pressed(
            "Take in hand", f"way:{number}", type="tertiary", help="As an edit of the row."
        ):
            edit(now, json.loads(each.row))
    st.dataframe(
        _frame(each),
        hide_index=True,
        height="content" if count <= _MOST_ROWS else _TALL,
        column_config={
            "Change": st.column_config.NumberColumn("Change (σ)", format="%+.3f"),
        },
    )


def _frame(each: RowChange) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Column": each.columns,
            "Is": each.was,
            "Would be": each.now,
            "Change": np.where(np.isfinite(each.step), each.step, np.nan),
        }
    )
