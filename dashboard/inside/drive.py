"""Which units drive the answer to the example in hand, and what in it drives the unit in hand."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.errors import NotValid
from core.results import Attribution, Prediction, UnitAttribution
from core.tasks import Columns, Example
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.columns import waterfalls
from dashboard.figures.oneunit import strongest_units
from dashboard.figures.tokens import token_bars
from dashboard.inside import cut
from dashboard.theme import is_dark

_METHODS = {
    "layer_conductance": "Layer conductance",
    "internal_influence": "Internal influence",
    "layer_gradient_x_activation": "Layer gradient × activation",
}


def draw(
    now: state.Selection, layer: str, chosen: int, what: Example, prediction: Prediction
) -> None:
    """Both, side by side."""
    left, right = (
        st.columns([1, 1], gap="large")
        if ruler.width() >= 800
        else (
            st.container(),
            st.container(),
        )
    )
    with left:
        _units(now, layer, chosen, what)
    with right:
        _unit(now, layer, chosen, what, prediction)


def _units(now: state.Selection, layer: str, chosen: int, what: Example) -> None:
    method = now.drive if now.drive in _METHODS else next(iter(_METHODS))
    st.markdown("**Units that drive the answer**")
    st.selectbox(
        "By",
        list(_METHODS),
        format_func=_METHODS.get,
        width=280,
        **state.bind("drive", method),
    )
    call = Call(
        "unit_attribution",
        cached.model_ref(now.model),
        (what,),
        {"layer": layer, "method": method},
    )
    handle = cached.handle(call)
    under_way = waiting.under_way({_METHODS[method]: handle})
    if isinstance(handle.error, NotValid):
        st.info(state.plain(str(handle.error)))
        return
    if under_way or waiting.failed(_METHODS[method], handle):
        waiting.watch(under_way)
        return
    found: UnitAttribution = handle.result()[0]
    figure = strongest_units(
        found.values,
        title=f"What units of {layer} add to {found.target.title} ({found.unit})",
        picked=chosen,
        dark=is_dark(st.context.theme.type),
    )

    def clicked() -> None:
        if points := state.read("drivers").selection.points:
            state.change(unit=int(points[0]["customdata"]))

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="drivers",
        on_select=clicked,
        selection_mode="points",
    )
    downloads.button(figure, [found], f"{found.example}.{layer}.units"[:80])


def _unit(
    now: state.Selection, layer: str, chosen: int, what: Example, prediction: Prediction
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f"**What drives unit {chosen} here**")
        cut.switch(now, layer, chosen)
    call = Call(
        "neuron_attribution",
        cached.model_ref(now.model),
        (what,),
        {"layer": layer, "unit": chosen},
    )
    handle = cached.handle(call)
    under_way = waiting.under_way({"What drives it": handle})
    if isinstance(handle.error, NotValid):
        st.info(state.plain(str(handle.error)))
        return
    if under_way or waiting.failed("What drives it", handle):
        waiting.watch(under_way)
        return
    found: Attribution = handle.result()[0]
    dark = is_dark(st.context.theme.type)
    if found.picture is not None:
        width = int(ruler.width() * (0.46 if ruler.width() >= 800 else 0.95))
        titles, units = {found.method: "What drives it"}, {found.method: found.unit}
        figure = attribution_maps(
            [found], dark=dark, width=width, columns=2, titles=titles, units=units
        )
    elif isinstance(found.axis, Columns):
        figure = waterfalls([found], {found.method: "What drives it"}, dark=dark)
    else:
        figure = token_bars([found], {found.method: "What drives it"}, dark=dark)
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="driven")
    downloads.button(figure, [found], f"{found.example}.{layer}.unit-{chosen}"[:80])
