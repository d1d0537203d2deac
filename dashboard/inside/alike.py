"""Which layers hold the same: their similarity within a model, and with those of another one."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Behaviour, CrossSimilarity
from core.results.activations import Capture
from dashboard import cached, downloads, state, waiting
from dashboard.figures.probes import similarity_map
from dashboard.projecting import captured
from dashboard.theme import is_dark

_MEANING = (
    "Linear CKA (Kornblith et al. 2019): 1 where two layers hold the same up to a rotation and a "
    "scale, 0 where they have nothing in common."
)


def draw(now: state.Selection, capture: Capture | None, behaviour: Behaviour | None) -> None:
    """The similarity of every layer to every other."""
    if capture is None or behaviour is None:
        return
    others = _others(now)
    other = now.other if now.other in others else ""
    if others:
        st.selectbox(
            "Compared with",
            ["", *others],
            format_func=lambda name: others.get(name, "itself"),
            width=320,
            **state.bind("other", other),
        )
    dark = is_dark(st.context.theme.type)
    if not other:
        names = [each.name for each in behaviour.layers]
        result: Behaviour | CrossSimilarity = behaviour
        figure = similarity_map(behaviour.similarity, names, names, dark=dark)
    else:
        theirs = captured.of(
            cached.model_ref(other), cached.dataset(now.model), f"Activations of {others[other]}"
        )
        if theirs is None:
            return
        call = Call(
            "compare_layers",
            cached.model_ref(now.model),
            (),
            {"capture": str(capture.folder), "other": str(theirs.folder)},
        )
        handle = cached.handle(call)
        under_way = waiting.under_way({"Similarity": handle})
        if under_way or waiting.failed("Similarity", handle):
            waiting.watch(under_way)
            return
        cross: CrossSimilarity = handle.result()
        result = cross
        titles = (cached.model_card(now.model).title, others[other])
        figure = similarity_map(
            cross.similarity, cross.rows, cross.columns, titles=titles, dark=dark
        )
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="alike", width="content")
    st.caption(_MEANING)
    downloads.button(figure, [result], f"{now.model}.similarity")


def _others(now: state.Selection) -> dict[str, str]:
    """Models, among them trained runs, that read the same kind of input."""
    own = cached.model_card(now.model)
    found = {}
    for name, card in cached.models().items():
        if name == now.model or card.task is not own.task:
            continue
        try:
            cached.model_ref(name)
        except FluoroscopeError:
            continue  # a package or its weights are not there
        found[name] = card.title
    return found
