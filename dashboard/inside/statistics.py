"""What the layer in hand does over the data: numbers beside what is healthy, and the proof."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.data.dataset import Dataset
from core.results import Behaviour, LayerBehaviour
from core.results.activations import Capture
from dashboard import downloads, ruler, state
from dashboard.figures.depth import activation_histogram, selective_units
from dashboard.inside.statistic import STATISTICS
from dashboard.theme import is_dark

_SIGNS = {"healthy": ":green[healthy]", "low": ":orange[low]", "high": ":orange[high]"}
_MOST = 12


def draw(
    now: state.Selection,
    data: Dataset | None,
    capture: Capture | None,
    behaviour: Behaviour | None,
    layer: str,
) -> None:
    """Numbers, distribution, and units that are dead, saturated, copies or selective."""
    if behaviour is None or capture is None:
        return
    found = next((each for each in behaviour.layers if each.name == layer), None)
    if found is None:
        st.info(f"The layer '{state.plain(layer)}' is not among those that were captured.")
        return
    dark = is_dark(st.context.theme.type)
    wide = ruler.width() >= 900
    left, right = st.columns([1, 1], gap="large") if wide else (st.container(), st.container())
    with left:
        st.markdown(
            f"**{state.plain(layer)}** · {state.plain(found.kind)} · {found.units:,} units over "
            f"{behaviour.examples:,} examples"
        )
        for each in STATISTICS.values():
            value = each.of(found)
            standing = _SIGNS.get(each.judge(found), "")
            st.markdown(f"{each.title} **{value:{each.form}}** {standing}", help=each.why)
        if found.nonfinite:
            st.warning(f"{found.nonfinite:,} activations are NaN or infinite and do not count.")
    with right:
        figure = activation_histogram(found, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="distribution")
        downloads.button(figure, [behaviour], f"{now.model}.layers")
    _named(now, found, capture)
    if found.selectivity.size and np.isfinite(found.selectivity).any():
        best = np.argsort(-np.nan_to_num(found.selectivity, nan=-1))[:_MOST]
        figure = selective_units(best, found.selectivity[best], dark=dark)

        def clicked() -> None:
            if points := state.read("selective").selection.points:
                state.change(unit=int(best[int(points[0]["point_index"])]), panel="example")

        st.plotly_chart(
            figure,
            theme=None,
            config=downloads.CHART,
            key="selective",
            on_select=clicked,
            selection_mode="points",
        )


def _named(now: state.Selection, found: LayerBehaviour, capture: Capture) -> None:
    """Units to look at, with the numbers that prove what is said of them."""
    groups = {
        "Dead": [(unit, _proof(capture, found.name, unit)) for unit in found.dead[:_MOST]],
        "Saturated": [(unit, "at its end for 95 % of places") for unit in found.saturated[:_MOST]],
        "Copies": [(second, f"follows unit {first}") for first, second in found.duplicates[:_MOST]],
    }
    for title, units in groups.items():
        if not units:
            continue
        total = {"Dead": found.dead, "Saturated": found.saturated, "Copies": found.duplicates}
        st.markdown(f"**{title}** · {len(total[title]):,}")
        with st.container(horizontal=True, gap="small"):
            for unit, proof in units:
                if state.pressed(
                    f"unit {unit}", f"{title}:{found.name}:{unit}", type="tertiary", help=proof
                ):
                    state.change(unit=unit, panel="example")
                    st.rerun()


def _proof(capture: Capture, layer: str, unit: int) -> str:
    values = np.asarray(capture.layer(layer)[:, unit], np.float32)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return f"from {low:.3g} to {high:.3g} over all {len(values):,} examples"
