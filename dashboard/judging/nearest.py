"""Beside mistakes: the examples nearest to them that were answered rightly."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.data.subset import Subset
from core.evaluation.nearest import nearest_right
from core.results.activations import Capture
from core.tasks import Task
from dashboard import cached, gallery, state
from dashboard.projecting.captured import layer_in_hand
from dashboard.wording import words

_MOST = 8


def draw(now: state.Selection, capture: Capture, picked: Subset) -> None:
    """For the picked examples that are wrong, the nearest right ones of their true class."""
    place = {int(row): index for index, row in enumerate(capture.data_rows)}
    rows = np.array([place[row] for row in picked.rows if row in place], np.int64)
    labels = np.asarray(capture.labels)
    rows = rows[(labels[rows] >= 0) & (capture.predictions[rows] != labels[rows])]
    if not len(rows):
        return
    layer = layer_in_hand(now, capture)
    found = nearest_right(capture, layer, rows)[:_MOST]
    if not len(found):
        return
    st.caption(
        f"The right ones nearest to them, of their true class, in {state.plain(layer)}",
        help="By the angle between activations.",
    )
    names = [cached.row_name(now.model, int(capture.data_rows[row])) for row in found]

    def pick(name: str) -> None:
        state.change(example=name, target="top")

    if cached.model_card(now.model).task is Task.IMAGE_CLASSIFICATION:
        items = [gallery.Thumbnail(name, name, cached.thumbnail(name)) for name in names]
        gallery.strip(items, now.example, pick, key="nearest")
        return
    for name in names:
        line = words(cached.example(name).data, cached.model_card(now.model).task.axis, 120)
        if state.pressed(state.plain(line), f"near:{name}", type="tertiary"):
            pick(name)
            st.rerun()
