"""One unit: the examples that it answers to most and least, and how it treats the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import NotValid
from core.results import Prediction, RelevantExamples
from core.results.activations import Capture
from core.tasks import Example, Task
from dashboard import cached, downloads, gallery, ruler, state, waiting
from dashboard.figures.oneunit import unit_histogram
from dashboard.inside import drive
from dashboard.projecting.tints import unit_activation
from dashboard.theme import is_dark
from dashboard.wording import words

_MOST = 12


def draw(
    now: state.Selection,
    data: Dataset | None,
    capture: Capture | None,
    layer: str,
    chosen: int,
    what: Example,
    prediction: Prediction,
) -> None:
    """What is known of the unit from all examples."""
    drive.draw(now, layer, chosen, what, prediction)
    if data is None or capture is None or layer not in capture.names:
        return
    if chosen >= capture.about(layer).units:
        return
    values = unit_activation(capture, layer, chosen)
    st.markdown(f"**Unit {chosen} over {len(values):,} examples**")
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    wide = ruler.width() >= 840
    left, right = st.columns([3, 2], gap="large") if wide else (st.container(), st.container())
    with left:
        st.caption(f"Answered to most, from {values[order[0]]:.3g} down")
        _examples(now, data, order[:_MOST], values, "most")
        st.caption(f"Answered to least, from {values[order[-1]]:.3g} up")
        _examples(now, data, order[::-1][:_MOST], values, "least")
        _mattered(now, data, capture, layer, chosen)
    with right:
        labels = capture.labels if capture.classes else None
        figure = unit_histogram(
            values, labels, capture.classes, dark=is_dark(st.context.theme.type)
        )
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="unit-histogram")


def _mattered(
    now: state.Selection, data: Dataset, capture: Capture, layer: str, chosen: int
) -> None:
    """Those for whose answer the unit speaks most, which need not be those it answers to most."""
    call = Call(
        "relevant_examples",
        cached.model_ref(now.model),
        (),
        {"capture": str(capture.folder), "layer": layer, "unit": chosen},
    )
    handle = cached.handle(call)
    under_way = waiting.under_way({"Relevance": handle})
    if under_way or isinstance(handle.error, NotValid) or waiting.failed("Relevance", handle):
        waiting.watch(under_way)
        return
    found: RelevantExamples = handle.result()
    values = np.zeros(len(capture), np.float32)
    values[found.rows] = found.values
    order = found.rows[np.argsort(-found.values, kind="stable")]
    st.caption(
        f"Mattered most for the answer, of {len(found.rows):,} examples, from "
        f"{values[order[0]]:.3g} {'logits' if capture.classes else 'nats'} down"
    )
    _examples(now, data, order[:_MOST], values, "mattered")


def _examples(
    now: state.Selection,
    data: Dataset,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.float32],
    key: str,
) -> None:
    def pick(name: str) -> None:
        state.change(example=name, target="top")

    if cached.model_card(now.model).task is Task.IMAGE_CLASSIFICATION:
        names = [cached.row_name(now.model, int(row)) for row in rows]
        items = [
            gallery.Thumbnail(name, f"{values[row]:.3g} · {data.ids[row]}", cached.thumbnail(name))
            for name, row in zip(names, rows, strict=True)
        ]
        gallery.strip(items, now.example, pick, key=f"unit-{key}")
        return
    for row in rows[: _MOST // 2]:
        name = cached.row_name(now.model, int(row))
        line = words(data[int(row)].data, cached.model_card(now.model).task.axis)
        label = f"`{values[row]:.3g}` {state.plain(line)}"
        if state.pressed(label, f"{key}:{row}", type="tertiary"):
            pick(name)
            st.rerun()
