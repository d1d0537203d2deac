"""Why two models answer as they do: the example in hand explained in both, on one scale."""

from __future__ import annotations

from pathlib import PurePath

import numpy as np
import streamlit as st

from core.attribution.method import AttributionMethod
from core.attribution.registry import methods
from core.comparison.fit import common
from core.comparison.reasons import contrasted
from core.engine.call import Call
from core.results import Architecture, AttributionContrast, Prediction
from dashboard import cached, downloads, ruler, state, texts, waiting
from dashboard.comparing import answers
from dashboard.comparing.others import Other
from dashboard.figures.contrast import named, reason_bars, reason_maps
from dashboard.theme import is_dark

_FIRST = ("integrated_gradients", "input_x_gradient", "saliency", "feature_ablation")
_CHEAP = 6.0  # seconds that are waited for without being asked
_SAID = "top"


def draw(now: state.Selection, other: Other) -> None:
    """Which method and which class, then both attributions and their difference."""
    if not other.card.classes:
        st.info(
            "Models that write choose their own words, so each has other words to explain. The "
            "Attribution page explains what the model in hand writes."
        )
        return
    both = answers.predictions(now, other)
    if both is None:
        return
    refs = (cached.model_ref(now.model), other.ref)
    looking = [cached.handle(Call("describe", ref, urgent=True)) for ref in refs]
    under_way = waiting.under_way(
        {f"Inspecting {title}": each for title, each in zip(other.titles, looking, strict=True)}
    )
    failed = [waiting.failed("Inspecting the model", each) for each in looking]
    if under_way or any(failed):
        waiting.watch(under_way)
        return
    about: list[Architecture] = [each.result() for each in looking]
    way, targets = _toolbar(now, other, both, about)
    if way is None:
        st.info("There is no method that is valid for both models.")
        return
    example = cached.example(now.example)
    calls = [
        Call(
            "attribute",
            ref,
            (example,),
            {"method": way.name, "target": f"#{target}", "settings": {}},
        )
        for ref, target in zip(refs, targets, strict=True)
    ]
    seconds = sum(
        way.cost(_usual(way), each.axis).seconds(known)
        for each, known in zip(both, about, strict=True)
    )
    ready = all(cached.stored(call) or call.key in state.asked() for call in calls)
    if seconds > _CHEAP and not ready:
        st.markdown(f"{way.title} · :gray[takes about {waiting.duration(seconds)} here]")
        if state.pressed("Compute", f"compute:{calls[0].key}"):
            state.asked().update(call.key for call in calls)
            st.rerun()
        return
    handles = [cached.handle(call) for call in calls]
    under_way = waiting.under_way(dict(zip(other.titles, handles, strict=True)))
    failed = [
        waiting.failed(title, handle) for title, handle in zip(other.titles, handles, strict=True)
    ]
    if under_way or any(failed):
        waiting.watch(under_way)
        return
    _draw(now, other, way, contrasted(handles[0].result()[0], handles[1].result()[0]))


def _toolbar(
    now: state.Selection,
    other: Other,
    both: tuple[Prediction, Prediction],
    about: list[Architecture],
) -> tuple[AttributionMethod | None, tuple[int, int]]:
    """The method in hand, and the place of the class explained in each model."""
    known = [
        each
        for each in methods(both[0].axis.kind)
        if all(one.fits[each.name].usable for one in about)
    ]
    if not known:
        return None, (0, 0)
    titles = {each.name: each.title for each in known}
    first = next((name for name in _FIRST if name in titles), known[0].name)
    name = now.reasoned if now.reasoned in titles else first
    shared = common(now.model, both[0].classes, other.ref.name, both[1].classes)
    said = both[0].classes[both[0].top(1)[0]]
    target = now.target if now.target in shared else _SAID
    if target == _SAID and said not in shared:
        target = next(iter(shared))
    options = [_SAID, *shared] if said in shared else list(shared)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox(
            "Explained by", list(titles), format_func=titles.get, width=250,
            **state.bind("reasoned", name),
        )  # fmt: skip
        st.selectbox(
            "Explain",
            options,
            format_func=lambda each: f"What the first says: {said}" if each == _SAID else each,
            width=250,
            **state.bind("target", target),
        )
    way = next(each for each in known if each.name == name)
    return way, shared[said if target == _SAID else target]


def _draw(
    now: state.Selection, other: Other, way: AttributionMethod, found: AttributionContrast
) -> None:
    dark = is_dark(st.context.theme.type)
    standing = [
        f"{state.plain(title)} gives it **{each.score:.2f}**"
        for title, each in zip(other.titles, (found.first, found.second), strict=True)
    ]
    st.markdown(f"{standing[0]}, {standing[1]} ({state.plain(found.first.unit)}).")
    if found.difference is None:
        st.info(f"{state.plain(found.why)} So both are shown, but not their difference.")
    elif np.isfinite(found.spearman):
        st.caption(
            f"Rank correlation **{found.spearman:.3f}**, where 1 is the same order of all inputs; "
            f"**{found.overlap:.0%}** of the strongest tenth is the same."
            + (" Compared word by word: their tokens differ." if found.level == "word" else "")
        )
    name = f"{PurePath(found.first.example).stem}.{way.name}.compared"[:80]
    if found.first.axis.kind == "pixels":
        figure = reason_maps(
            found, other.titles, unsigned=not way.signed, width=ruler.width(), dark=dark
        )
        st.plotly_chart(figure, theme=None, config=downloads.CHART, key="reason-maps")
        downloads.button(figure, [found.first, found.second], name)
        return
    if found.first.axis.kind == "tokens":
        parts, titles = named(found, other.titles)
        texts.draw(
            texts.rows(parts, titles, level="word", dark=dark),
            texts.scales(parts, "word", True, True, dark),
            dark=dark,
            key="reason-texts",
        )
    figure = reason_bars(found, other.titles, width=ruler.width(), dark=dark)
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="reason-bars")
    downloads.button(figure, [found.first, found.second], name)


def _usual(way: AttributionMethod) -> dict[str, object]:
    return {each.name: each.default for each in way.parameters}
