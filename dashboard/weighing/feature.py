"""One feature: how the answer moves with the value of a column, and together with another's."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import streamlit as st

from core.engine.call import Call
from core.results import Dependence, Importance, Interaction
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.figures.dependence import dependence_lines, interaction_map
from dashboard.projecting import captured
from dashboard.theme import is_dark
from dashboard.weighing import overall

_SCALES = {"probability": "Probability", "score": "Score"}
_SHOWN = {"": "Together", "sum": "Beyond the sum"}


def draw(now: state.Selection) -> None:
    """Partial dependence on the left, the interaction with a second column on the right."""
    about = cached.model_card(now.model)
    if about.task.axis != "columns" or not about.classes:
        st.info(
            "Only a column of a table can be set to other values. For texts and pictures see what "
            "changes on the Attribution page when a word or an example is another."
        )
        return
    data = captured.data_of(now)
    if data is None:
        return
    ranking = cached.handle(overall.request(now, about, data, "permutation"))
    under_way = waiting.under_way({"Importance": ranking})
    if under_way or waiting.failed("Importance", ranking):
        waiting.watch(under_way)
        return
    ranked: Importance = ranking.result()
    names = [ranked.features[place] for place in ranked.order]
    column = now.feature if now.feature in names else names[0]
    others = [each for each in names if each != column]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox("Column", names, width=240, **state.bind("feature", column))
        partner = now.partner if now.partner in others else (others[0] if others else "")
        if others:
            st.selectbox("Together with", others, width=240, **state.bind("partner", partner))
        st.selectbox(
            "Answer", about.classes, width=160,
            **state.bind("positive", overall.class_in_hand(now, about)),
        )  # fmt: skip
        scale = now.scored if now.scored in _SCALES else "probability"
        st.segmented_control(
            "Measured in", list(_SCALES), format_func=_SCALES.get, **state.bind("scored", scale)
        )
    asked: dict[str, Any] = {
        "data": asdict(data.ref), "target": overall.target(now, about), "scale": scale
    }  # fmt: skip
    model = cached.model_ref(now.model)
    calls = {
        "Partial dependence": Call("partial_dependence", model, (), asked | {"column": column})
    }
    if partner:
        pair = asked | {"columns": [column, partner]}
        calls["Interaction"] = Call("interaction", model, (), pair)
    handles = {title: cached.handle(call) for title, call in calls.items()}
    under_way = waiting.under_way(handles)
    wide = ruler.width() >= 840
    places = st.columns(2, gap="large") if wide else (st.container(), st.container())
    for place, (title, handle) in zip(places, handles.items(), strict=False):
        with place:
            if handle.state == "done" and title == "Interaction":
                _together(now, handle.result())
            elif handle.state == "done":
                _alone(now, handle.result())
            else:
                waiting.failed(title, handle)
    waiting.watch(under_way)


def _alone(now: state.Selection, found: Dependence) -> None:
    centred = now.centred == "yes"
    st.toggle(
        "All lines from 0",
        help="Lines that then run apart belong to rows for which the column means something else.",
        **state.bind("centred", centred, lambda on: "yes" if on else ""),
    )
    figure = dependence_lines(found, centred=centred, dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="dependence")
    st.caption(
        f"Thick: the mean over {len(found.curves):,} rows when all have this value, with its 95 % "
        "interval; thin: rows alone. Where columns move together, some of these rows cannot be."
    )
    downloads.button(figure, [found], f"{now.model}.dependence.{found.column}"[:80])


def _together(now: state.Selection, found: Interaction) -> None:
    shown = now.swarm if now.swarm in _SHOWN else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.segmented_control(
            "Shown", list(_SHOWN), format_func=_SHOWN.get, label_visibility="collapsed",
            **state.bind("swarm", shown),
        )  # fmt: skip
        st.markdown(f"**H {found.strength:.2f}** · :gray[{found.low:.2f} to {found.high:.2f}]")
    figure = interaction_map(found, excess=shown == "sum", dark=is_dark(st.context.theme.type))
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="interaction")
    st.caption(
        "Friedman's H with its 95 % interval: how much of what the two do they do only together; 0 "
        "they add up, 1 nothing is left of either alone."
    )
    downloads.button(figure, [found], f"{now.model}.interaction"[:80])
