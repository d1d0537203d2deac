"""Training examples: which of them moved an answer, and which were the hardest to learn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pandas as pd
import streamlit as st

from core.engine.call import Call
from core.errors import FluoroscopeError
from core.influence.origin import Origin, origin
from core.results import Influence
from core.results.activations import Capture
from core.training.checkpoint import checkpoints
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.explaining.kinds import of
from dashboard.figures.influence import influence_by_class
from dashboard.projecting import captured
from dashboard.runs import shown_runs
from dashboard.theme import is_dark
from dashboard.weighing.conceptsets import address
from dashboard.wording import words

_WAYS = {
    "training": "What training did",
    "alike": "Alike in a layer",
    "self": "Hardest to learn",
}
_SHOWN = 8


def draw(now: state.Selection) -> None:
    """The ways that there are for this model, and the examples that one of them finds."""
    about = cached.model_card(now.model)
    if not about.classes:
        st.info(
            "Influence is on the loss of a class, and this model writes. Choose one that sorts "
            "examples into classes."
        )
        return
    behind, why = _origin(now)
    ways = list(_WAYS) if behind is not None else ["alike"]
    usual = "training" if behind is not None and behind.quick and behind.whole else "alike"
    way = now.moved if now.moved in ways else usual
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if len(ways) > 1:
            st.segmented_control(
                "By",
                ways,
                format_func=_WAYS.get,
                label_visibility="collapsed",
                **state.bind("moved", way),
            )
        layer = st.container(width=300)
    if why:
        _elsewhere(now, why)
    if way == "alike":
        with layer:
            call = _alike(now)
    else:
        call = _traced(now, way, behind)
    if call is None:
        return
    title = _WAYS[way]
    handle = cached.handle(call)
    under_way = waiting.under_way({title: handle})
    if under_way or waiting.failed(title, handle):
        waiting.watch(under_way)
        return
    _show(now, handle.result())


def _origin(now: state.Selection) -> tuple[Origin | None, str]:
    """The run behind the model, or why there is none."""
    try:
        return origin(cached.model_card(now.model)), ""
    except FluoroscopeError as error:
        return None, error.message


def _elsewhere(now: state.Selection, why: str) -> None:
    """Why training cannot be looked into, and a run of the same recipe where it can."""
    st.caption(f"{state.plain(why)} What is left are examples that a layer answers to alike.")
    with suppress(FluoroscopeError):
        shown = shown_runs(cached.place()).get(now.model)
        if shown is None or not checkpoints(shown.run) or f"run:{now.model}" not in cached.models():
            return
        label = f"A run of the same recipe is kept: look at run {state.plain(now.model)}"
        if state.pressed(label, "same-recipe", type="tertiary"):
            state.change(model=f"run:{now.model}", moved="training")
            st.rerun()


def _traced(now: state.Selection, way: str, behind: Origin | None) -> Call | None:
    """TracIn; what may have to fetch its examples waits for a click."""
    if behind is None:
        return None
    inputs: tuple[Any, ...] = ()
    if way == "training":
        of(now).text(now)
        try:
            inputs = (cached.example(now.example),)
        except FluoroscopeError as error:
            st.error(state.plain(str(error)))
            return None
    parameters = {"how": "tracin" if inputs else "self", "most": _SHOWN}
    call = Call("influence", cached.model_ref(now.model), inputs, parameters)
    if behind.quick or call.key in state.asked() or cached.stored(call):
        return call
    st.caption(
        f"The training examples of '{state.plain(behind.run.name)}' are read for this. Where they "
        "are not on this machine, its recipe may fetch them."
    )
    if state.pressed("Look at the training examples", "trace", type="primary"):
        state.asked().add(call.key)
        st.rerun()
    return None


def _alike(now: state.Selection) -> Call | None:
    data = captured.data_of(now)
    capture: Capture | None = None if data is None else captured.captured(now, data)
    if capture is None:
        return None
    name = captured.layer_in_hand(now, capture)
    st.selectbox("Layer", capture.names, label_visibility="collapsed", **state.bind("module", name))
    try:
        example = cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return None
    parameters = {
        "how": "similar",
        "most": _SHOWN,
        "capture": str(capture.folder),
        "layer": name,
    }
    return Call("influence", cached.model_ref(now.model), (example,), parameters)


def _show(now: state.Selection, found: Influence) -> None:
    figure = influence_by_class(found, dark=is_dark(st.context.theme.type))
    wide = ruler.width() >= 900
    left, right = st.columns([5, 6], gap="large") if wide else (st.container(), st.container())
    with left:
        st.caption(_about(found))
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="influence")
        downloads.button(figure, [found], f"{now.model}.influence"[:80])
        for note in found.notes:
            st.caption(state.plain(note))
    with right:
        count = len(found.most)
        titles = {
            "tracin": ("Speak most for the answer", "Speak most against it"),
            "similar": ("Most alike", "Least alike"),
            "self": ("Hardest to learn, perhaps mislabelled", ""),
        }[found.how]
        _list(now, found, found.most.tolist(), found.shown[:count], titles[0], "most")
        if len(found.least):
            _list(now, found, found.least.tolist(), found.shown[count:], titles[1], "least")


def _about(found: Influence) -> str:
    data = state.plain(found.data)
    if found.how == "similar":
        return f"{len(found.rows):,} examples of {data}, by their angle to the one in hand."
    at = f"{len(found.steps)} checkpoint{'s' * (len(found.steps) != 1)}"
    weights = f"gradients of the {found.layer}" if "layer" in found.layer else "all gradients"
    if found.how == "self" or found.target is None:
        return f"TracIn of {len(found.rows):,} training examples on themselves; {at}, {weights}."
    return (
        f"TracIn: what learning from each of {len(found.rows):,} training examples did to the loss "
        f"of '{state.plain(found.target.label)}' for the example in hand; {at}, {weights}."
    )


def _list(
    now: state.Selection,
    found: Influence,
    places: Sequence[int],
    examples: Sequence[Any],
    title: str,
    key: str,
) -> None:
    """Examples with what they are; a click takes one in hand."""
    classes = [*found.classes, ""]
    rows = []
    for place, example in zip(places, examples, strict=True):
        row: dict[str, object] = {}
        what: dict[str, object] = {}
        if found.axis == "pixels":
            row["Picture"] = (
                cached.thumbnail(cached.row_name(now.model, int(found.rows[place])))
                if found.how == "similar"
                else address(example)
            )
        else:
            what["Row" if found.axis == "columns" else "Text"] = words(
                example.data, found.axis, 300
            )
        row["Class"] = classes[int(found.labels[place])]
        row["Model says"] = classes[int(found.answers[place])]
        row["Score"] = float(found.scores[place])
        rows.append(row | what)

    def clicked() -> None:
        if picked := state.read(f"influence:{key}").selection.rows:
            example = examples[picked[0]]
            if found.how == "similar":
                name = cached.row_name(now.model, int(found.rows[places[picked[0]]]))
            else:
                try:
                    suffix = {"pixels": "", "columns": ".json", "tokens": ".txt"}[found.axis]
                    name = cached.keep_upload(example.name + suffix, example.data)
                except FluoroscopeError as error:
                    state.tell(str(error))
                    return
            state.change(example=name, original="", picked="", target="top")

    st.markdown(f"**{title}**", help="Click a row to take it in hand.")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        key=f"influence:{key}",
        height=38 + 35 * min(6, len(rows)),
        column_config={
            "Picture": st.column_config.ImageColumn(width="small"),
            "Score": st.column_config.NumberColumn(format="%.3g"),
            "Text": st.column_config.TextColumn(width="large"),
            "Row": st.column_config.TextColumn(width="large"),
        },
    )
