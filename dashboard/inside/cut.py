"""Without it: units and layers switched off, what the model answers then, and back again."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Prediction, WithoutUnits
from core.results.activations import Capture
from core.tasks import WHOLE_OUTPUT
from dashboard import cached, downloads, state, waiting
from dashboard.figures.oneunit import class_changes
from dashboard.figures.prediction import percent
from dashboard.theme import is_dark

_WITH = {"zero": "Zero", "mean": "Their mean over the data"}


def name_of(layer: str, unit: int | None) -> str:
    """How a unit, or a whole layer, stands in the address."""
    return f"{layer}:{'' if unit is None else unit}"


def switch(now: state.Selection, layer: str, unit: int | None) -> None:
    """A button that switches a unit, or a whole layer, off or on again."""
    name = name_of(layer, unit)
    what = "this unit" if unit is not None else "this layer"
    if name in now.cut:
        if state.pressed(f"Switch {what} on again", f"on:{name}"):
            state.change(cut=tuple(each for each in now.cut if each != name))
            st.rerun()
    elif state.pressed(f"Switch {what} off", f"off:{name}", help="What is answered without it?"):
        state.change(cut=(*now.cut, name), panel="cut")
        st.rerun()


def draw(now: state.Selection, data: Dataset | None, capture: Capture | None, layer: str) -> None:
    """What is switched off, and what that does to the example in hand and to all."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if now.unit >= 0:
            switch(now, layer, now.unit)
        switch(now, layer, None)
        if now.cut and state.pressed("Undo all", "cut-nothing", type="tertiary"):
            state.change(cut=())
            st.rerun()
        st.selectbox(
            "In their place",
            list(_WITH) if capture is not None else ["zero"],
            format_func=_WITH.get,
            width=240,
            **state.bind("instead", now.instead if capture is not None else "zero"),
        )
    cuts = _cuts(now)
    if not cuts:
        st.caption("Nothing is switched off. Choose a layer above, and a unit under This example.")
        return
    named = ", ".join(
        f"{layer} unit {unit}" if unit is not None else f"all of {layer}" for layer, unit in cuts
    )
    st.markdown(f"Switched off: **{state.plain(named)}**")
    asked = {
        "cut": [list(each) for each in cuts],
        "with": now.instead if capture is not None else "zero",
        "capture": "" if capture is None else str(capture.folder),
    }
    _one(now, asked)
    if data is not None and capture is not None and capture.labels is not None and capture.classes:
        _all(now, asked)


def _cuts(now: state.Selection) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    for each in now.cut:
        layer, _, unit = each.rpartition(":")
        if layer and (not unit or (unit.isdecimal() and len(unit) < 8)):
            found.append((layer, int(unit) if unit else None))
    return found


def _one(now: state.Selection, asked: dict[str, object]) -> None:
    """The example in hand, before and after."""
    try:
        what = cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    model = cached.model_ref(now.model)
    handles = {
        "Prediction": cached.handle(Call("predict", model, (what,), urgent=True)),
        "Without it": cached.handle(Call("ablate_units", model, (what,), asked, urgent=True)),
    }
    under_way = waiting.under_way(handles)
    failed = [waiting.failed(title, handle) for title, handle in handles.items()]
    if under_way or any(failed):
        waiting.watch(under_way)
        return
    before: Prediction = handles["Prediction"].result()[0]
    after: Prediction = handles["Without it"].result()[0]
    if WHOLE_OUTPUT in before.classes:
        place = before.classes.index(WHOLE_OUTPUT)
        shares = [percent(float(each.probabilities[place])) for each in (before, after)]
        st.markdown(
            f"What it writes to {state.plain(what.name)} has probability **{shares[0]}** with "
            f"everything and **{shares[1]}** without."
        )
        return
    first, then = before.top(1)[0], after.top(1)[0]
    line = (
        f"{state.plain(what.name)}: **{state.plain(before.classes[first])}** "
        f"{percent(float(before.probabilities[first]))} with everything, "
        f"**{state.plain(after.classes[then])}** {percent(float(after.probabilities[then]))} "
        "without"
    )
    if then != first:
        line += (
            f" (where {state.plain(before.classes[first])} has "
            f"{percent(float(after.probabilities[first]))})"
        )
    st.markdown(f"{line}.")


def _all(now: state.Selection, asked: dict[str, object]) -> None:
    """All examples: how often the model is right, by class."""
    handle = cached.handle(Call("ablated_metrics", cached.model_ref(now.model), (), asked))
    under_way = waiting.under_way({"Over the data": handle})
    if under_way or waiting.failed("Over the data", handle):
        waiting.watch(under_way)
        return
    found: WithoutUnits = handle.result()
    columns = st.columns(3)
    columns[0].metric("Right with everything", f"{found.before:.1%}")
    columns[1].metric(
        "Right without", f"{found.after:.1%}", f"{100 * (found.after - found.before):+.1f} points"
    )
    columns[2].metric("Get another answer", f"{found.changed:.1%}", help="Right or wrong.")
    known = np.isfinite(found.classes_before) & np.isfinite(found.classes_after)
    figure = class_changes(
        [name for name, there in zip(found.classes, known, strict=True) if there],
        found.classes_before[known],
        found.classes_after[known],
        dark=is_dark(st.context.theme.type),
    )
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="without")
    st.caption(f"Over {found.examples:,} examples of {state.plain(found.data)}.")
    downloads.button(figure, [found], f"{now.model}.without")
