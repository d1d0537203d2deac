"""A person's own data on the pages: looked through by the worker first, then in hand."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.data.asread import by_hand, sample
from core.data.dataset import Dataset
from core.data.kept import InHand, forget_data, kept_data, suits
from core.data.matching import features_of, matched
from core.data.opening import opened
from core.errors import BadInput, FluoroscopeError
from core.results import DataSurvey
from dashboard import cached, reading, state, waiting

# What other data do not share.
FRESH = {
    "example": "",
    "original": "",
    "picked": "",
    "target": "top",
    "subset": "",
    "pair": "",
    "tint": "",
    "split": "class",
    "positive": "",
}
_MOST_SHOWN = 2_000
_FEW = 8  # rows of a table that is shown as a whole
_NONE = "None"


def look(chosen: state.Selection) -> None:
    """Have the data in hand looked through, with progress; ask for columns that are not clear."""
    found = survey_of(chosen)
    if found is not None and found.problem:
        st.warning(state.plain(f"Which column holds what? {found.problem}"))
        columns(chosen, found, at_once=False)
        reading_of(chosen, at_once=False)


def data_of(chosen: state.Selection) -> Dataset | None:
    """The person's own data; None before the worker has looked through them, or when they cannot be
    read, which ``look`` says at the top of the page.
    """
    found = cached.survey(chosen.model, chosen.data)
    if found is None or found.problem:
        return None
    try:
        return cached.dataset(chosen.model)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return None


def survey_of(chosen: state.Selection) -> DataSurvey | None:
    """What the worker found in the data in hand; None while it looks, and when it cannot read them.
    What no model has ever read is not kept then.
    """
    key = InHand.parsed(chosen.data).key
    try:
        call = cached.survey_call(chosen.model, chosen.data)
    except FluoroscopeError as error:
        st.info(state.plain(str(error)))
        return None
    handle = cached.handle(call)
    under_way = waiting.under_way({"Looking through the data": handle})
    if under_way:
        waiting.watch(under_way)
        return None
    if isinstance(handle.error, BadInput) and not kept_data(cached.place(), key).axis:
        forget_data(cached.place(), key)
        state.change(data="", **FRESH)
        state.tell(str(handle.error))
        st.rerun()
    if waiting.failed("Your data", handle):
        return None
    found: DataSurvey = handle.result()
    if not found.problem:
        suits(cached.place(), key, cached.model_card(chosen.model).task.axis)
    return found


def reading_of(chosen: state.Selection, *, at_once: bool = True) -> None:
    """How the columns of a table are read for the model in hand, to be corrected."""
    named, model = InHand.parsed(chosen.data), cached.model_card(chosen.model)
    if model.task.axis != "columns" or not features_of(model.raw):
        return
    try:
        path = kept_data(cached.place(), named.key).path
        rows = sample(opened(path, model, "", named.label))
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    matches = matched(features_of(model.raw), rows, by_hand(named.text))
    present = list(dict.fromkeys(name for row in rows for name in row))
    said = reading.correct(matches, present, named.text, str(named), at_once=at_once)
    if said != named.text:
        state.change(data=str(replace(named, text=said)), **FRESH)
        st.rerun()


def columns(chosen: state.Selection, found: DataSurvey, *, at_once: bool = True) -> None:
    """Choose which columns hold the texts or pictures, and the classes: each choice counts
    ``at_once``, or both on a click.
    """
    named = InHand.parsed(chosen.data)
    main = "Pictures" if cached.model_card(chosen.model).task.axis == "pixels" else "Texts"
    offered = list(found.columns)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        places: dict[str, str] = {}
        if cached.model_card(chosen.model).task.axis != "columns":
            places["text"] = main
        if cached.model_card(chosen.model).classes:
            places["label"] = "Classes"
        changed = named
        for name, title in places.items():
            value = getattr(named, name) or getattr(found, name)
            options = [*([] if name == "text" and value else [_NONE]), *offered]
            picked = st.selectbox(
                title,
                options,
                index=options.index(value) if value in options else 0,
                key=f"columns:{name}:{named.key}",
                width=220,
            )
            taken = "" if picked == _NONE else str(picked)
            if taken and taken != value:
                changed = replace(changed, **{name: taken})
        ready = at_once or state.pressed("Read", "read-columns", disabled=changed == named)
    if ready and changed != named:
        state.change(data=str(changed), **FRESH)
        st.rerun()


@st.dialog("What was read", width="large")
def what_was_read(chosen: state.Selection, found: DataSurvey) -> None:
    """How many examples of which class, the columns, and everything that was left out."""
    name = kept_data(cached.place(), InHand.parsed(chosen.data).key).name
    st.markdown(f"**{state.plain(name)}** · {counted(found)}")
    for note in found.notes:
        st.caption(state.plain(note))
    if found.columns:
        columns(chosen, found)
    reading_of(chosen)
    left, right = st.columns([2, 3], gap="large")
    with left:
        if found.classes:
            known = [place for place, count in enumerate(found.counts.tolist()) if count]
            names = [found.classes[place] for place in known]
            rows = {"Class": names, "Examples": found.counts[known]}
            _listed(pd.DataFrame(rows))
        else:
            st.caption("Without classes, so nothing is judged; a folder or a column names them.")
    with right:
        skipped(found)


def skipped(found: DataSurvey) -> None:
    """Every file and row that was left out, with its reason."""
    if not found.skipped:
        st.caption("Nothing was left out.")
        return
    st.markdown(f"{len(found.skipped):,} left out")
    rows = {"Left out": found.skipped[:_MOST_SHOWN], "Why": found.reasons[:_MOST_SHOWN]}
    _listed(pd.DataFrame(rows))
    whole = pd.DataFrame({"name": found.skipped, "reason": found.reasons})
    st.download_button(
        "All as CSV",
        data=lambda: whole.to_csv(index=False).encode(),  # made when it is wanted
        file_name="left-out.csv",
        mime="text/csv",
        on_click="ignore",
        type="tertiary",
    )


def _listed(frame: pd.DataFrame) -> None:
    st.dataframe(frame, hide_index=True, height="content" if len(frame) <= _FEW else 300)


def counted(found: DataSurvey) -> str:
    """How much there is, in a few words."""
    classes = sum(1 for count in found.counts if count)
    parts = [f"{found.examples:,} example{'s' * (found.examples != 1)}"]
    if classes:
        parts.append(f"{classes:,} class{'es' * (classes != 1)}")
    if classes and found.unlabelled:
        parts.append(f"{found.unlabelled:,} of no class of the model")
    if found.skipped:
        parts.append(f"{len(found.skipped):,} left out")
    return " · ".join(parts)
