"""A decision tree that answers as the model does, and how far it can be believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.data import subset as subsets
from core.data.dataset import Dataset
from core.engine.call import Call
from core.engine.executor import Handle
from core.errors import FluoroscopeError, UserError
from core.results import Measure, Surrogate
from core.results.activations import Capture
from core.surrogate.declared import DEPTH, GRID, LAYER, MIN_LEAF, ON, REGIONS, SURROGATE, check
from core.surrogate.declared import USUAL as USUALLY
from core.surrogate.rules import rules, way
from core.tasks import Example
from dashboard import cached, controls, downloads, pickedrows, ruler, state, waiting
from dashboard.figures.surrogate import surrogate_tree
from dashboard.projecting import captured, chosen
from dashboard.theme import is_dark

_WIDE = 840
_ABOUT = {
    "columns": "Columns of the table",
    "words": "Words in the text",
    "regions": "Brightness of regions",
}
_FIRST = ("fidelity", "tree_accuracy", "model_accuracy")


def draw(now: state.Selection) -> None:
    """The tree of the model in hand over its data, with the way of the example in hand."""
    card = cached.model_card(now.model)
    try:
        check(card.name, card.classes)
    except UserError as error:
        st.info(state.plain(str(error)))
        return
    data = captured.data_of(now)
    capture = None if data is None else captured.captured(now, data)
    if data is None or capture is None:
        return
    asked = _controls(now, capture, USUALLY[card.task.axis])
    asked["capture"] = str(capture.folder)
    handle = _fitted(now, asked)
    under_way = waiting.under_way({"Surrogate tree": handle})
    if under_way or waiting.failed("Surrogate tree", handle):
        waiting.watch(under_way)
        return
    found: Surrogate = handle.result()
    _told(found)
    dark = is_dark(st.context.theme.type)
    figure = surrogate_tree(found, width=ruler.width(), dark=dark)

    def clicked() -> None:
        if points := state.read("tree").selection.points:
            _pick(data, found, int(points[0]["customdata"][1]))

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="tree",
        on_select=clicked,
        selection_mode="points",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        downloads.button(figure, [found], f"{now.model}.surrogate"[:80])
        _file(now, found)
        st.caption("Click a bar to see its examples.")
    _below(now, data, capture)


def _controls(now: state.Selection, capture: Capture, usual: str) -> dict[str, Any]:
    """What the tree is fitted on and how large it may be."""
    settings = controls.settings_of(SURROGATE, now)
    options = [usual, *(f"{LAYER}{name}" for name in reversed(capture.names))]
    on = settings["on"] if settings["on"] in options else usual
    across = st.columns([4, 4, 2], gap="medium", vertical_alignment="bottom")
    bound = state.bind_setting("surrogate", "on", on, usual)
    across[0].selectbox(ON.title, options, format_func=_basis, help=ON.help, **bound)
    low, high = int(DEPTH.minimum or 1), int(DEPTH.maximum or 8)
    bound = state.bind_setting("surrogate", "depth", settings["depth"], DEPTH.default)
    across[1].slider("Depth", low, high, help=DEPTH.help, **bound)
    most = max(1, len(capture) // 3)
    fewest = min(int(settings["min_leaf"]), most)
    with across[2].popover("Settings", type="tertiary", icon=":material/tune:"):
        bound = state.bind_setting("surrogate", "min_leaf", fewest, MIN_LEAF.default)
        st.number_input(MIN_LEAF.title, 1, most, step=1, help=MIN_LEAF.help, **bound)
        if on == REGIONS:
            low, high = int(GRID.minimum or 2), int(GRID.maximum or 16)
            bound = state.bind_setting("surrogate", "grid", settings["grid"], GRID.default)
            st.number_input("Regions across", low, high, step=1, help=GRID.help, **bound)
    return {**settings, "on": on, "min_leaf": fewest}


def _basis(on: str) -> str:
    return _ABOUT.get(on) or f"Units of {on.removeprefix(LAYER)}"


def _fitted(now: state.Selection, asked: dict[str, Any]) -> Handle:
    """The tree with the example in hand; without it where that cannot be read."""
    model = cached.model_ref(now.model)
    one: tuple[Example, ...] = ()
    try:
        one = (cached.example(now.example),) if now.example else ()
    except FluoroscopeError as error:
        st.warning(state.plain(str(error)))
    handle = cached.handle(Call("surrogate", model, one, asked))
    if one and isinstance(handle.error, UserError):
        alone = cached.handle(Call("surrogate", model, (), asked))
        if alone.error is None:
            st.warning(f"{state.plain(one[0].name)}: {state.plain(str(handle.error))}")
            return alone
    return handle


def _told(found: Surrogate) -> None:
    """How far the tree can be believed, and what it says of the example in hand."""
    shown = [each for name in _FIRST if (each := found.measure(name)) is not None]
    line = " · ".join(
        f"{each.title} **{each.value:.1%}** :gray[{_interval(each)}]" for each in shown
    )
    common = found.measure("commonest")
    about = "How often the tree answers as the model"
    if common is not None:
        about += f"; the model's most frequent answer alone would reach {common.value:.1%}"
    st.markdown(
        line,
        help=f"{about}. Right is by the labels. Over {int(found.tested.sum()):,} examples that the "
        f"tree was not fitted to, with 95 % intervals.",
    )
    if len(found.path):
        said = found.classes[found.said]
        same = found.said == found.answer[found.path[-1]]
        model = "The model says so too" if same else f"But here the model says {said}"
        st.caption(
            f"**{state.plain(found.example)}**: {state.plain(way(found))}. {state.plain(model)}."
        )
    for note in found.notes:
        st.caption(state.plain(note))


def _interval(each: Measure) -> str:
    return f"({100 * each.low:.1f} to {100 * each.high:.1f})" if np.isfinite(each.low) else ""


def _file(now: state.Selection, found: Surrogate) -> None:
    """The tree in words, and for scikit-learn."""
    with st.popover("As text", type="tertiary", icon=":material/notes:"):
        st.code(rules(found), language=None)
    if found.file:
        st.download_button(
            "For scikit-learn",
            data=found.file,
            file_name=f"{now.model}.surrogate.skops"[-80:],
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
            help="A skops file: `skops.io.load(path, trusted=['sklearn.tree._tree.Tree'])`.",
        )


def _below(now: state.Selection, data: Dataset, capture: Capture) -> None:
    """The examples in hand, if any were picked."""
    picked = pickedrows.subset(now.subset, now.model)
    if picked is None:
        return
    wide = ruler.width() >= _WIDE
    left, right = st.columns([3, 2], gap="large") if wide else (st.container(), st.container())
    with left:
        chosen.table(now, data, capture, picked)
    with right:
        chosen.draw(now, data, capture, picked)


def _pick(data: Dataset, found: Surrogate, node: int) -> None:
    """Take the examples of a node in hand."""
    below, ahead = [], [node]
    while ahead:
        each = ahead.pop()
        below.append(each)
        if found.feature[each] >= 0:
            ahead += found.branches(each)
    rows = found.rows[np.isin(found.leaf, below)]
    try:
        state.change(subset=subsets.keep(cached.place(), subsets.picked(data, rows)))
    except FluoroscopeError as error:
        state.tell(str(error))
