"""Attention: where a Transformer looked, from all heads at once down to one token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from core.engine.call import Call
from core.engine.executor import Handle
from core.errors import FluoroscopeError, NotValid
from core.results import AttentionMaps, AttentionOverview, Prediction
from core.tasks import WHOLE_OUTPUT
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.explaining.kinds import of
from dashboard.figures.attention import (
    flow_map,
    head_lines,
    head_map,
    overview,
    token_rows,
)
from dashboard.figures.patches import flow_over_picture, over_picture
from dashboard.figures.prediction import percent
from dashboard.theme import is_dark

CAVEAT = "Attention shows where the model looked, not why it answered."
_ORDERS = {"layer": "As they stand", "type": "By type", "entropy": "By entropy"}
_SHOWS = {
    "picture": "Over the picture",
    "map": "Map",
    "lines": "Lines",
    "token": "One token",
    "rollout": "Rollout",
    "flow": "Flow",
    "mean": "Mean",
}
_TOGETHER = ("rollout", "flow", "mean")
_ROLES = {"encoder": "the input", "decoder": "what is written", "cross": "the input"}
_BESIDE = 6  # heads of a layer, for which all heads stand beside the one


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("Where did the model look?")
    chosen = state.selection()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(CAVEAT)
        st.page_link("views/attribution.py", label="Attributions of this example", width="content")
    of(chosen).text(chosen)
    try:
        model, example = cached.model_ref(chosen.model), cached.example(chosen.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    predicting = cached.handle(Call("predict", model, (example,), urgent=True))
    looking = cached.handle(Call("attention_overview", model, (example,), urgent=True))
    handles = {"Prediction": predicting, "Attention": looking}
    waiting.under_way(handles)  # a moment, in which it may be known that there is none
    if isinstance(looking.error, NotValid):
        st.info(state.plain(str(looking.error)))
        return
    if not _ready(handles):
        return
    prediction: Prediction = predicting.result()[0]
    found: AttentionOverview = looking.result()[0]
    layer = min(chosen.layer, len(found.layers) - 1) if chosen.layer >= 0 else _first(found)
    head = min(chosen.head, found.layers[layer].heads - 1)
    width = ruler.width()
    beside = max(each.heads for each in found.layers) <= _BESIDE and width >= 900
    everything, one = (st.container(), st.container())
    if beside:
        everything, one = st.columns([2, 5], gap="large")
        width = width * 2 // 7 - 30
    with everything:
        _all_heads(chosen, found, layer, head, width)
    with one:
        _standing(chosen, found, layer, head)
        _answers(chosen, found, prediction, predicting.call)
        _one_head(chosen, found, layer, head, predicting.call)
    _numbers(found)


def _first(found: AttentionOverview) -> int:
    """The layer to begin with: the last that aligns output and input, else the first."""
    cross = [place for place, each in enumerate(found.layers) if each.role == "cross"]
    return cross[-1] if cross else 0


def _ready(handles: dict[str, Handle]) -> bool:
    """Whether all of these are done; else the page says how far they are, or what went wrong."""
    open_calls = waiting.under_way(handles)
    if open_calls:
        waiting.watch(open_calls)
        return False
    failures = [waiting.failed(title, handle) for title, handle in handles.items()]
    return not any(failures)


def _all_heads(
    chosen: state.Selection, found: AttentionOverview, layer: int, head: int, width: int
) -> None:
    heads = sum(each.heads for each in found.layers)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control(
            f"All {heads} heads",
            _ORDERS,
            format_func=_ORDERS.get,
            help="Every map to its own largest value. Click one to see it below.",
            **state.bind("order", chosen.order),
        )
    dark = is_dark(st.context.theme.type)
    figure = overview(
        found,
        order=chosen.order,
        chosen=(layer, head),
        off=_off(chosen, found),
        width=width,
        dark=dark,
    )

    def picked() -> None:
        points = state.read("overview").selection.points
        if points:
            there = points[0]["customdata"]
            state.change(layer=int(there[0]), head=int(there[1]))

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="overview",
        width="content",
        on_select=picked,
        selection_mode="points",
    )
    downloads.button(figure, [found], f"{PurePath(found.example).stem}.attention")


def _standing(chosen: state.Selection, found: AttentionOverview, layer: int, head: int) -> None:
    """What is known of the head in hand, and the switch for it."""
    about = found.layers[layer]
    name = f"{layer}:{head}"
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(
            f"**Layer {layer} · head {head}** · {state.plain(about.name)} · {about.role}  \n"
            f"{_type(found, layer, head)} · "
            f"entropy {found.entropy[layer][head]:.2f} nats · "
            f"mean distance {found.distance[layer][head]:.1f}"
        )
        if name in chosen.off:
            off = tuple(each for each in chosen.off if each != name)
            if state.pressed("Switch it on again", "head-on"):
                state.change(off=off)
                st.rerun()
        elif state.pressed(
            "Switch this head off", "head-off", help="What does the model answer without it?"
        ):
            state.change(off=(*chosen.off, name))
            st.rerun()
        if chosen.off and state.pressed("Undo all", "heads-on", type="tertiary"):
            state.change(off=())
            st.rerun()


def _type(found: AttentionOverview, layer: int, head: int) -> str:
    kind = found.head_types[layer][head]
    return kind if kind == "mixed" else f"{kind} {found.type_scores[layer][head]:.0%}"


def _off(chosen: state.Selection, found: AttentionOverview) -> list[tuple[int, int]]:
    """Layer and head of those that are switched off, as far as there are such layers."""
    heads = []
    for each in chosen.off:
        layer, _, head = each.partition(":")
        if layer.isdecimal() and head.isdecimal() and int(layer[:5]) < len(found.layers):
            heads.append((int(layer[:5]), int(head[:5])))
    return heads


def _answers(
    chosen: state.Selection, found: AttentionOverview, prediction: Prediction, asked: Call
) -> None:
    """The answer with and without the heads that are switched off."""
    heads = [(found.layers[layer].name, head) for layer, head in _off(chosen, found)]
    if not heads:
        return
    parameters = {"heads": tuple(heads)}
    handle = cached.handle(Call("ablate_heads", asked.model, asked.inputs, parameters, urgent=True))
    if not _ready({"Without these heads": handle}):
        return
    without: Prediction = handle.result()[0]
    if WHOLE_OUTPUT in prediction.classes:
        whole = prediction.classes.index(WHOLE_OUTPUT)  # of the same output in both
        before, after = (float(each.probabilities[whole]) for each in (prediction, without))
        st.markdown(
            f"What it writes has probability **{_percent(before)}** with all heads and "
            f"**{_percent(after)}** without {len(heads)} of them."
        )
        return
    first, then = prediction.top(1)[0], without.top(1)[0]
    line = (
        f"With all heads: **{state.plain(prediction.classes[first])}** "
        f"{_percent(prediction.probabilities[first])}.  \n"
        f"Without {len(heads)} of them: **{state.plain(without.classes[then])}** "
        f"{_percent(without.probabilities[then])}"
    )
    if then != first:
        share = _percent(without.probabilities[first])
        line += f", and {state.plain(prediction.classes[first])} has {share}"
    st.markdown(f"{line}.")


def _percent(share: Any) -> str:
    return percent(float(share)).replace("<", "less than ")


def _one_head(
    chosen: state.Selection, found: AttentionOverview, layer: int, head: int, asked: Call
) -> None:
    about = found.layers[layer]
    key = found.keys[about.role]
    pictured = key.grid is not None and found.picture is not None
    shows = [name for name in _SHOWS if name != "picture" or pictured]
    show = chosen.show if chosen.show in shows else shows[0]
    query = found.queries[about.role]
    place = min(chosen.place, len(query.labels) - 1)
    laid = pictured and show in ("picture", *_TOGETHER)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control("Show", shows, format_func=_SHOWS.get, **state.bind("show", show))
        if laid or show in ("lines", "token", "flow"):
            everywhere = [-1] if show == "lines" or (show == "flow" and not laid) else []
            place = place if everywhere else max(0, place)
            st.selectbox(
                "Looking from",
                [*everywhere, *range(len(query.labels))],
                format_func=lambda i: "every token" if i < 0 else f"{i} · {query.labels[i]}",
                width=240,
                help="Or click a patch or a token on the left."
                if laid or show == "lines"
                else "Of a long text only one token's takes a bearable time."
                if show == "flow"
                else None,
                **state.bind("place", place),
            )
    dark = is_dark(st.context.theme.type)
    parameters: dict[str, Any]
    if show in _TOGETHER:
        parameters = {"kind": show, "role": about.role}
        if laid or (show == "flow" and place >= 0):
            parameters["query"] = place
        call = Call("attention_flow", asked.model, asked.inputs, parameters)
        draw: Callable[[Any], go.Figure] = lambda result: (  # noqa: E731  # one of several
            flow_over_picture(result, 0, query=place, dark=dark)
            if laid
            else flow_map(result, dark=dark)
        )
    else:
        parameters = {"layers": (about.name,)}
        if show == "token":
            same = tuple(each.name for each in found.layers if each.role == about.role)
            parameters = {"layers": same, "query": place}
        call = Call("attention", asked.model, asked.inputs, parameters, urgent=True)

        def draw(result: AttentionMaps) -> go.Figure:
            at = [each.name for each in result.layers].index(about.name)
            if show == "picture":
                return over_picture(result, at, head, place, dark=dark)
            if show == "token":
                titles = {each.name: f"{each.role} {i}" for i, each in enumerate(found.layers)}
                return token_rows(result, about.role, 0, titles=titles, dark=dark)
            if show == "lines":
                only = None if place < 0 else place
                return head_lines(result, at, head, query=only, dark=dark)
            return head_map(result, at, head, dark=dark)

    handle = cached.handle(call)
    if not _ready({_SHOWS[show]: handle}):
        return
    result = handle.result()[0]
    figure = draw(result)

    def picked() -> None:
        points = state.read("head").selection.points
        if points and points[0].get("customdata"):
            there = int(points[0]["customdata"][0])
            state.change(place=-1 if show == "lines" and there == place else there)

    choosing: dict[str, Any] = {}
    if laid or show == "lines":
        choosing = {"on_select": picked, "selection_mode": "points"}
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="head", **choosing)
    st.caption(CAVEAT)
    downloads.button(figure, [result], f"{PurePath(found.example).stem}.attention-{show}")


def _numbers(found: AttentionOverview) -> None:
    rows = [
        {
            "Layer": layer,
            "Head": head,
            "Looks at": found.head_types[layer][head],
            "Share": float(found.type_scores[layer][head]),
            "Entropy": float(found.entropy[layer][head]),
            "Distance": float(found.distance[layer][head]),
            "Attention": about.role,
            "Module": about.name,
        }
        for layer, about in enumerate(found.layers)
        for head in range(about.heads)
    ]
    number = st.column_config.NumberColumn
    with st.expander("Numbers of every head"):
        st.dataframe(
            rows,
            hide_index=True,
            column_config={
                "Share": number(format="percent", help="How much of its attention goes there."),
                "Entropy": number(format="%.2f", help="In nats, mean over queries: 0 is one key."),
                "Distance": number(format="%.1f", help="Mean |query − key| in positions."),
            },
        )


main()
