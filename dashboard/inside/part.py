"""In which layer the classes can be told apart: linear probes over the depth."""

from __future__ import annotations

import streamlit as st

from core.engine.call import Call
from core.results import Probes
from core.results.activations import Capture
from dashboard import cached, downloads, state, waiting
from dashboard.figures.picked import confused_pairs
from dashboard.figures.probes import probe_curve
from dashboard.theme import is_dark

_ALL = ""
_MOST_PAIRS = 40


def fits(capture: Capture | None) -> bool:
    """Whether there are labelled examples of at least two classes."""
    return capture is not None and capture.labels is not None and len(capture.classes) > 1


def draw(now: state.Selection, capture: Capture | None) -> None:
    """The accuracy of a linear classifier on each layer's activations, of all classes or of two."""
    if capture is None or not fits(capture):
        return
    pair = _pair(now, capture)
    shown = pair and f"{pair[0]}-{pair[1]}"
    options = list(dict.fromkeys([_ALL, *([shown] if shown else []), *_confused(capture)]))
    st.selectbox(
        "Classes",
        options,
        format_func=lambda key: _spelt(key, capture),
        width=320,
        help="All of them, or two that the model confuses.",
        **state.bind("pair", shown or _ALL),
    )
    parameters = {"capture": str(capture.folder), "classes": list(pair)}
    handle = cached.handle(Call("layer_probes", cached.model_ref(now.model), (), parameters))
    under_way = waiting.under_way({"Probes": handle})
    if under_way or waiting.failed("Probes", handle):
        waiting.watch(under_way)
        return
    found: Probes = handle.result()
    figure = probe_curve(found, dark=is_dark(st.context.theme.type))

    def clicked() -> None:
        if points := state.read("probes").selection.points:
            state.change(module=found.layers[int(points[0]["point_index"])])

    st.plotly_chart(
        figure,
        theme=None,
        config=downloads.CHART,
        key="probes",
        on_select=clicked,
        selection_mode="points",
    )
    st.caption(
        f"A linear classifier on the mean activations of each layer, {found.folds}-fold "
        f"cross-validated over {found.examples:,} examples. Always naming the most frequent class "
        f"reaches {found.majority:.0%}; the model itself {found.own:.0%}."
    )
    downloads.button(figure, [found], f"{now.model}.probes")


def _pair(now: state.Selection, capture: Capture) -> tuple[int, ...]:
    """The two classes in hand, none for all."""
    ends = [text for text in now.pair.split("-") if text.isdecimal() and len(text) < 7]
    found = sorted({int(text) for text in ends if int(text) < len(capture.classes)})
    return tuple(found) if len(found) == 2 else ()


def _confused(capture: Capture) -> list[str]:
    """Pairs of classes that the model takes for each other, the most frequent first."""
    labels = capture.labels
    if labels is None:
        return []
    found: dict[str, int] = {}
    for true, said, count in confused_pairs(labels, capture.predictions):
        key = f"{min(true, said)}-{max(true, said)}"
        found[key] = found.get(key, 0) + count
    return sorted(found, key=lambda key: -found[key])[:_MOST_PAIRS]


def _spelt(key: str, capture: Capture) -> str:
    if not key:
        return "all classes"
    one, other = (capture.classes[int(end)] for end in key.split("-"))
    return f"{one} against {other}"
