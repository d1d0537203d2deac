"""The activations behind the pages: those of the data in hand, which are a person's own or ship
with the model.
"""

from __future__ import annotations

import streamlit as st

from core.activations.shelf import request, shelved
from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.models.reference import ModelRef
from core.projection.reducers import ATTRIBUTIONS
from core.results.activations import Capture, open_capture
from dashboard import cached, state, waiting
from dashboard.keeping import inhand


def data_of(chosen: state.Selection) -> Dataset | None:
    """The data in hand of the model in hand; None when there are none, or they are still looked
    through, which the page then says.
    """
    if chosen.data:
        return inhand.data_of(chosen)
    try:
        return cached.dataset(chosen.model)
    except FluoroscopeError as error:
        st.info(state.plain(str(error)))
        return None


def captured(chosen: state.Selection, data: Dataset) -> Capture | None:
    """The mean activations of every layer with weights, for all of the data; None while they are
    computed, or when that failed: the page says so.
    """
    return of(cached.model_ref(chosen.model), data)


def of(model: ModelRef, data: Dataset, title: str = "Activations") -> Capture | None:
    """The same of any model."""
    parameters = request(cached.place(), model, data)
    if (found := shelved(parameters)) is not None:
        return found
    handle = cached.handle(Call("capture", model, (), parameters))
    under_way = waiting.under_way({title: handle})
    if handle.state == "done":
        handle.result()
        return open_capture(parameters["out"])  # where it was asked for, whatever was answered
    waiting.failed(title, handle)
    waiting.watch(under_way)
    return None


def given_up() -> bool:
    """Whether activations, or what is told of their layers, cannot be had on this page."""
    shown = [each for key, each in state.handles().items() if key in state.wanted()]
    lost = [each for each in shown if each.state in ("failed", "cancelled")]
    return any(each.call.verb in ("capture", "layer_behaviour") for each in lost)


def layer_in_hand(chosen: state.Selection, capture: Capture) -> str:
    """The layer that was chosen, if it is captured; else the last one before the answer."""
    return chosen.module if chosen.module in capture.names else capture.last


def show_layer(chosen: state.Selection, capture: Capture) -> str:
    """Draw the choice of a layer, or of attributions; the one in hand."""
    name = chosen.module if chosen.module == ATTRIBUTIONS else layer_in_hand(chosen, capture)
    if chosen.module and chosen.module != name:
        st.info(f"There is no captured layer '{state.plain(chosen.module)}'; this is another one.")
    units = {each.name: each.units for each in capture.layers}
    st.selectbox(
        "Layer",
        [*capture.names, ATTRIBUTIONS],
        format_func=lambda each: _spelt(each, units.get(each, 0)),
        width=260,
        **state.bind("module", name),
    )
    return name


def _spelt(name: str, units: int) -> str:
    if name == ATTRIBUTIONS:
        return "Attributions · gradient × input"
    return f"{name} · {units:,} unit{'s' * (units != 1)}"
