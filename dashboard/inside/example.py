"""What the layer in hand answers to the example in hand, and what one of its units is about."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.data.dataset import Dataset
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Filters, Insides, Prediction
from core.results.activations import Capture
from core.tasks import Example, Tokens
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.explaining.kinds import of
from dashboard.figures.inside import (
    MOST,
    Values,
    filter_grid,
    one_unit,
    one_unit_over_positions,
    unit_grid,
    units_over_positions,
)
from dashboard.inside import unit
from dashboard.theme import is_dark


def draw(now: state.Selection, data: Dataset | None, capture: Capture | None, layer: str) -> None:
    """The units of the layer; a click takes one in hand."""
    of(now).text(now)
    try:
        what = cached.example(now.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    model = cached.model_ref(now.model)
    answering = cached.handle(Call("predict", model, (what,), urgent=True))
    looking = cached.handle(Call("insides", model, (what,), {"layers": [layer]}, urgent=True))
    handles = {"Prediction": answering, "Activations": looking}
    under_way = waiting.under_way(handles)
    failed = [waiting.failed(title, handle) for title, handle in handles.items()]
    if under_way or any(failed):
        waiting.watch(under_way)
        return
    prediction: Prediction = answering.result()[0]
    found: Insides = looking.result()[0]
    values = found.values[0]
    if values.shape[1:] == (1, 1):  # pooled to a number for each unit: no maps to be looked at
        values = values[:, 0, 0]
    strength = np.nan_to_num(np.abs(values.reshape(len(values), -1)).mean(axis=1))
    chosen = now.unit if 0 <= now.unit < len(values) else int(strength.argmax())
    wide = ruler.width() >= 900
    left, right = st.columns([3, 2], gap="large") if wide else (st.container(), st.container())
    with left:
        width = int(ruler.width() * (0.55 if wide else 0.95))
        _units(found, values, layer, chosen, prediction, width)
    with right:
        _one(what, prediction, layer, values, chosen)
    if "Conv2d" in found.kinds[0]:
        _filters(now, layer, chosen)
    unit.draw(now, data, capture, layer, chosen, what, prediction)


def _units(
    found: Insides,
    values: Values,
    layer: str,
    chosen: int,
    prediction: Prediction,
    width: int,
) -> None:
    count, dark = len(values), is_dark(st.context.theme.type)
    if values.ndim == 2:
        labels = _labels(prediction, values.shape[1])
        figure = units_over_positions(values, labels, picked=chosen, dark=dark)
        shape = f"{count:,} units × {values.shape[1]} positions"
    elif values.ndim in (1, 3):
        figure = unit_grid(values, picked=chosen, width=width, dark=dark)
        size = "" if values.ndim == 1 else f", each a map of {values.shape[1]} × {values.shape[2]}"
        shape = f"{count:,} unit{'s' * (count != 1)}{size}"
    else:
        st.info(f"Activations of shape {values.shape} have no picture; their numbers can be saved.")
        downloads.button(one_unit(values.reshape(count, -1)), [found], f"{layer}.activations")
        return
    some = f", the {MOST} strongest are shown" if count > MOST else ""
    st.caption(f"{shape}{some}. Click one.")

    def clicked() -> None:
        if points := state.read("units").selection.points:
            state.change(unit=int(points[0]["customdata"][0]))

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="units",
        width="content" if values.ndim != 2 else "stretch",
        on_select=clicked,
        selection_mode="points",
    )
    downloads.button(figure, [found], f"{found.example}.{layer}"[:80])


def _labels(prediction: Prediction, count: int) -> tuple[str, ...]:
    """The tokens at ``count`` positions: all that was read, the input or the output alone; none
    where that is not clear.
    """
    axis = prediction.axis
    if not isinstance(axis, Tokens):
        return ()
    parts = [
        tuple(piece for piece, part in zip(axis.pieces, axis.parts, strict=True) if part == which)
        for which in (0, 1)
    ]
    fitting = {labels for labels in (axis.pieces, *parts) if len(labels) == count}
    return fitting.pop() if len(fitting) == 1 else ()


def _filters(now: state.Selection, layer: str, chosen: int) -> None:
    """The weights of a convolution, on demand."""
    if not st.toggle("Filters of this layer", key=f"filters:{layer}"):
        return
    call = Call("filters", cached.model_ref(now.model), (), {"layer": layer}, urgent=True)
    handle = cached.handle(call)
    under_way = waiting.under_way({"Filters": handle})
    if under_way or waiting.failed("Filters", handle):
        waiting.watch(under_way)
        return
    found: Filters = handle.result()
    dark, width = is_dark(st.context.theme.type), int(ruler.width() * 0.9)
    figure = filter_grid(found.weight, picked=chosen, width=width, dark=dark)
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="filters", width="content")
    channels, rows, columns = found.weight.shape[1:]
    mean = "" if channels == 1 else f", the mean over {channels} channels"
    st.caption(f"{len(found.weight):,} filters of {rows} × {columns}{mean}.")
    downloads.button(figure, [found], f"{now.model}.{layer}.filters"[:80])


def _one(
    what: Example,
    prediction: Prediction,
    layer: str,
    values: Values,
    chosen: int,
) -> None:
    """The unit in hand, full size, beside what the network saw."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input("Unit", 0, len(values) - 1, width=140, **state.bind("unit", chosen))
        mean = float(np.nanmean(values[chosen]))
        st.markdown(f"mean **{mean:.3g}** · largest **{float(np.nanmax(values[chosen])):.3g}**")
    dark, title = is_dark(st.context.theme.type), f"{layer} · unit {chosen}"
    if values.ndim == 3:
        figure = one_unit(values[chosen], title=title, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="one-unit")
    elif values.ndim == 2:
        labels = _labels(prediction, values.shape[1])
        figure = one_unit_over_positions(values[chosen], labels, title=title, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="one-unit")
    if prediction.picture is not None:
        picture = prediction.picture
        times = max(1, 140 // max(picture.shape[:2]))
        big = picture.repeat(times, axis=0).repeat(times, axis=1)
        st.image(big, caption=state.plain(f"{what.name}: what the network sees"))
