"""Over the data: what the model goes by, how sure that is, and what it does in each example."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.attribution.registry import methods
from core.data.dataset import Dataset
from core.engine.call import Call
from core.importance.ways import CORRELATED, seconds, settled, usual_method, usual_target, way, ways
from core.models.card import ModelCard
from core.results import Architecture, Importance
from dashboard import cached, controls, downloads, ruler, state, waiting
from dashboard.figures import importance as figures
from dashboard.figures.importancemaps import class_maps, region_map
from dashboard.projecting import captured
from dashboard.theme import is_dark

CHEAP = 6.0  # seconds from which a click is asked for; the first view runs by itself
_WORDS = 12
_FEW = 16  # examples of the first view where the usual number would take long
_GROUPED = {"": "Columns", "yes": "Groups that move together"}
_VIEWS = {"swarm": "Each example", "class": "By class", "value": "By value"}


def draw(now: state.Selection) -> None:
    """Controls, then bars beside one more view."""
    about = cached.model_card(now.model)
    if not about.classes:
        st.info(
            "This model writes: what it goes by is asked for each text. See its Attribution page, "
            "or pick texts on its Projection."
        )
        return
    data = captured.data_of(now)
    if data is None:
        return
    describing = cached.handle(Call("describe", cached.model_ref(now.model), urgent=True))
    under_way = waiting.under_way({"The model": describing})
    if under_way or waiting.failed("The model", describing):
        waiting.watch(under_way)
        return
    call, title, dear = _asked(now, about, data, describing.result())
    if dear > CHEAP and not _wanted(call, title, dear):
        return
    handle = cached.handle(call)
    under_way = waiting.under_way({title: handle})
    if under_way or waiting.failed(title, handle):
        waiting.watch(under_way)
        return
    _drawn(now, about, handle.result())


def request(
    now: state.Selection, about: ModelCard, data: Dataset, name: str = "", by: str = ""
) -> Call:
    """The call for importance by the way ``name``, by default the one in hand, and ``by`` which
    attribution method.
    """
    axis = about.task.axis
    known = {each.name for each in ways(axis)}
    chosen = way(name or (now.weigh if now.weigh in known else "attribution"), axis)
    parameters: dict[str, Any] = {
        "data": asdict(data.ref),
        "way": chosen.name,
        "settings": settled(chosen, controls.settings_of(chosen, now)),
    }
    if chosen.name != "permutation":
        parameters["target"] = target(now, about)
    if chosen.name == "attribution":
        parameters["attribution"] = by
    if axis == "columns" and now.grouped and not name:
        parameters["groups"] = CORRELATED
    return Call("importance", cached.model_ref(now.model), (), parameters)


def explainer(now: state.Selection, about: ModelCard, architecture: Architecture) -> str:
    """The attribution method in hand, of those that fit."""
    axis = about.task.axis
    known = {each.name for each in methods(axis) if architecture.fits[each.name].usable}
    return now.explainer if now.explainer in known else usual_method(axis, architecture)


def target(now: state.Selection, about: ModelCard) -> str:
    """What is explained: for tables the class in hand, of two against the other."""
    return usual_target(about.classes, about.task.axis, now.positive)


def class_in_hand(now: state.Selection, about: ModelCard) -> str:
    """The class that signs are about."""
    if now.positive in about.classes:
        return now.positive
    return about.classes[1] if len(about.classes) == 2 else about.classes[0]


def _asked(
    now: state.Selection, about: ModelCard, data: Dataset, architecture: Architecture
) -> tuple[Call, str, float]:
    """Draw the controls; the call, its title, and the seconds it is estimated to take."""
    axis = about.task.axis
    known = {each.name: each for each in ways(axis)}
    chosen = known.get(now.weigh, known["attribution"])
    settings = controls.settings_of(chosen, now)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control(
            "Way",
            list(known),
            format_func=lambda each: known[each].title,
            **state.bind("weigh", chosen.name),
        )
        if axis == "columns":
            st.segmented_control(
                "By", list(_GROUPED), format_func=_GROUPED.get, **state.bind("grouped", now.grouped)
            )
            if chosen.name != "permutation":
                st.selectbox(
                    "Towards", about.classes, width=160,
                    **state.bind("positive", class_in_hand(now, about)),
                )  # fmt: skip
        with st.popover("Settings", type="tertiary", icon=":material/tune:"):
            if chosen.name == "attribution":
                titles = {
                    each.name: each.title
                    for each in methods(axis)
                    if architecture.fits[each.name].usable
                }
                st.selectbox(
                    "Method", list(titles), format_func=titles.get,
                    **state.bind("explainer", explainer(now, about, architecture)),
                )  # fmt: skip
            controls.draw_settings(chosen, settings, ())
    count = min(len(data), int(settings["limit"]))
    features = {
        "columns": len(about.raw.get("preprocessing", {}).get("features", ())) or 1,
        "pixels": int(settings.get("regions", 1)),
        "tokens": _WORDS,
    }[axis]
    dear = seconds(chosen.name, settings, architecture, axis, features, count)
    by = explainer(now, about, architecture)
    usual = chosen.name == "attribution" and by == usual_method(axis, architecture)
    call = request(now, about, data, by=by)
    if usual and dear > CHEAP and "attribution.limit" not in now.settings:
        fewer = {**call.parameters["settings"], "limit": min(count, _FEW)}
        call = replace(call, parameters={**call.parameters, "settings": fewer})
    return replace(call, urgent=dear <= CHEAP), chosen.title, 0.0 if usual else dear


def _wanted(call: Call, title: str, dear: float) -> bool:
    """Whether a long call was asked for, is under way or done; else a button that asks."""
    if cached.under_way(call) or cached.stored(call) or call.key in state.asked():
        state.asked().add(call.key)
        return True
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.pressed("Compute", f"compute:{call.key}"):
            state.asked().add(call.key)
            st.rerun()
        st.markdown(f"{title} · :gray[takes about {waiting.duration(dear)} here]")
    return False


def _drawn(now: state.Selection, about: ModelCard, found: Importance) -> None:
    chosen = way(found.way, about.task.axis)
    notes = " ".join(found.notes) or f"Over all {len(found.rows):,} examples."
    if found.grid != (0, 0):
        notes += " Regions are a fixed grid, the same in all pictures; maps are means by class."
    seeds = (
        f"Lines are 95 % intervals over examples, rings the {len(found.seeds)} seeds."
        if len(found.seeds) > 1
        else "Lines are 95 % intervals over examples; nothing in it is random."
    )
    if found.grid != (0, 0):
        seeds = "Intervals stand on hover."
    st.caption(f"{chosen.about} {state.plain(notes)} {seeds}")
    dark = is_dark(st.context.theme.type)
    wide = ruler.width() >= 840
    split = [2, 3] if found.grid != (0, 0) else 2
    places = st.columns(split, gap="large") if wide else (st.container(), st.container())
    if found.grid != (0, 0):
        _pictures(now, found, places, dark)
        return
    with places[0]:
        if wide:
            st.container(height=30, border=False)  # beside the choice of a view
        figure = figures.importance_bars(found, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="bars")
        downloads.button(figure, [found], f"{now.model}.importance.{found.way}"[:80])
    with places[1]:
        _beside(now, found, dark)
    if about.task.axis == "columns" and not now.grouped:
        st.caption(
            "Columns that say the same share what they matter for, or seem to matter little each: "
            "look at groups too."
        )
    with st.expander("All features as a table"):
        st.dataframe(_table(found), hide_index=True)


def _beside(now: state.Selection, found: Importance, dark: bool) -> None:
    valued = [int(place) for place in found.order if np.isfinite(found.levels[:, place]).any()]
    views = {name: title for name, title in _VIEWS.items() if name != "value" or valued}
    view = now.swarm if now.swarm in views else "swarm"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control(
            "View", list(views), format_func=views.get, label_visibility="collapsed",
            **state.bind("swarm", view),
        )  # fmt: skip
        feature = valued[0] if valued else -1
        if view == "value":
            names = [found.features[place] for place in valued]
            picked = now.feature if now.feature in names else names[0]
            st.selectbox(
                "Column", names, label_visibility="collapsed", width=230,
                **state.bind("feature", picked),
            )  # fmt: skip
            feature = found.features.index(picked)
    if view == "class":
        figure = figures.class_heat(found, dark=dark)
    elif view == "value":
        partner = next((place for place in valued if place != feature), -1)
        figure = figures.dependence_scatter(found, feature, partner, dark=dark)
    else:
        figure = figures.beeswarm(found, dark=dark)
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key=f"beside-{view}")
    downloads.button(figure, [found], f"{now.model}.importance.{found.way}.{view}"[:80])


def _pictures(now: state.Selection, found: Importance, places: Any, dark: bool) -> None:
    with places[0]:
        figure = region_map(found, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="regions", width="content")
        downloads.button(figure, [found], f"{now.model}.regions.{found.way}"[:80])
    with places[1]:
        wide = ruler.width() >= 840
        width = round((ruler.width() - 60) * 0.6) if wide else ruler.width()
        figure = class_maps(found, columns=5 if width > 560 else 4, width=width, dark=dark)
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="maps")
        downloads.button(figure, [found], f"{now.model}.mean-maps.{found.way}"[:80])


def _table(found: Importance) -> pd.DataFrame:
    order = found.order
    frame = {
        "Feature": [found.features[place] for place in order],
        "Importance": found.values[order],
        "± over examples": found.error[order],
        "Lowest seed": found.seeds.min(axis=0)[order],
        "Highest seed": found.seeds.max(axis=0)[order],
        "Examples": found.counts[order],
    }
    return pd.DataFrame(frame)
