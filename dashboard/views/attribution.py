"""Attribution: which parts of an input spoke for the answer, by several methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from core.attribution.method import AttributionMethod
from core.attribution.registry import methods
from core.engine.call import Call
from core.engine.executor import Handle
from core.errors import FluoroscopeError, UserError
from core.parameters import Value
from core.results import Architecture, Attribution, Prediction
from core.tasks import parse_targets
from dashboard import cached, controls, state, waiting
from dashboard.explaining import kinds, pixels

# A method whose estimate is below this many seconds runs without being asked to.
CHEAP = 6.0
_SCALES = {"shared": "Shared", "own": "Own"}
_SCALE = (
    "Colour scale",
    "Shared: the same colour is the same number for all of one unit. Own: weak ones show too.",
)


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("Which parts of this input spoke for the answer, and which against it?")
    chosen = state.selection()
    kind = kinds.of(chosen)
    kind.text(chosen)
    try:
        model, example = cached.model_ref(chosen.model), cached.example(chosen.example)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    predicting = cached.handle(Call("predict", model, (example,), urgent=True))
    inspecting = cached.handle(Call("describe", model, urgent=True))
    open_calls = waiting.under_way({"Prediction": predicting, "Inspecting the model": inspecting})
    if open_calls:
        waiting.watch(open_calls)
        return
    failures = [
        waiting.failed("Prediction", predicting),
        waiting.failed("Inspecting the model", inspecting),
    ]
    if any(failures):
        return
    prediction: Prediction = predicting.result()[0]
    architecture: Architecture = inspecting.result()
    _mend(chosen, prediction)
    beside, middle = st.columns([3, 5], gap="medium")
    with beside:
        kind.answer(prediction, chosen)
    with middle:
        wanted = _toolbar(chosen, kind, architecture, prediction)
    _explain(chosen, kind, wanted, architecture, prediction, predicting.call)


def _mend(chosen: state.Selection, prediction: Prediction) -> None:
    """Replace what an address asks for but this model or machine does not have, and say so."""
    try:
        parse_targets(chosen.target, prediction.classes, prediction.logits)
        lost, wrong = {}, ""
    except UserError as error:
        lost, wrong = {"target": "top"}, f"{error} The predicted class is explained."
    if not lost and chosen.baseline:
        try:
            cached.example(chosen.baseline)
        except UserError as error:
            lost, wrong = {"baseline": ""}, f"{error} Another example is the baseline image."
    if lost:
        state.change(**lost)
        state.tell(wrong)
        st.rerun()


def _explain(
    chosen: state.Selection,
    kind: Any,
    wanted: Sequence[AttributionMethod],
    architecture: Architecture,
    prediction: Prediction,
    asked: Call,
) -> None:
    if not wanted:
        st.info("Choose at least one method.")
        return
    titles = {method.name: method.title for method in wanted}
    estimates = {}
    for method in wanted:
        settings = controls.settings_of(method, chosen)
        seconds = method.cost(settings, prediction.axis).seconds(architecture)
        call = _call(chosen, method, settings, asked)
        # Nobody who only looks shall wait behind what somebody else asked for and knows is long.
        estimates[method.name] = (seconds, replace(call, urgent=seconds <= CHEAP))
    handles, dear = {}, {}
    for name, (seconds, call) in sorted(estimates.items(), key=lambda item: item[1][0]):
        if cached.under_way(call):
            state.asked().add(call.key)
        if seconds <= CHEAP or call.key in state.asked() or cached.stored(call):
            handles[name] = cached.handle(call)
        else:
            dear[name] = (call, seconds)
    open_calls = waiting.under_way({titles[name]: handle for name, handle in handles.items()})
    shown: list[Attribution | None] = []
    waited = []
    for method in wanted:
        handle = handles.get(method.name)
        if handle is not None and handle.state == "done":
            shown += handle.result()
        elif handle is None or not _ended(handle):
            shown.append(None)
            waited.append(method.title)
    results = [each for each in shown if each is not None]
    asking = [titles[name] for name in dear]
    kind.draw(chosen, shown, waited, asking, prediction)
    for name, handle in handles.items():
        waiting.failed(titles[name], handle)
    for name, (call, seconds) in dear.items():
        _offer(titles[name], call, seconds)
    waiting.watch(open_calls)
    if results:
        _details(results, wanted)


def _call(
    chosen: state.Selection, method: AttributionMethod, settings: dict[str, Value], asked: Call
) -> Call:
    parameters = {"method": method.name, "target": chosen.target, "settings": settings}
    inputs = asked.inputs
    if pixels.needs_image(settings):
        inputs = (*inputs, cached.example(pixels.other_image(chosen)))
        parameters["baseline_example"] = len(inputs) - 1
    return Call("attribute", asked.model, inputs, parameters)


def _ended(handle: Handle) -> bool:
    return handle.state in ("done", "failed", "cancelled")


def _offer(title: str, call: Call, seconds: float) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.pressed("Compute", f"compute:{call.key}"):
            state.asked().add(call.key)
            st.rerun()
        st.markdown(f"{title} · :gray[takes about {waiting.duration(seconds)} here]")


def _toolbar(
    chosen: state.Selection, kind: Any, architecture: Architecture, prediction: Prediction
) -> list[AttributionMethod]:
    known = methods(prediction.axis.kind)
    titles = {method.name: method.title for method in known}
    usable = [method for method in known if architecture.fits[method.name].usable]
    names = [method.name for method in usable]
    wanted = [name for name in chosen.methods if name in names]
    wanted = wanted or [name for name in kind.FIRST if name in names][:3]
    for name in chosen.methods:
        if name not in names:
            fit = architecture.fits.get(name)
            reason = fit.reason if fit else f"There is no method '{name}' here."
            title = titles.get(name) or state.plain(name)
            st.warning(f"{title} is not shown. {state.plain(reason)}")
    picked = st.multiselect(
        "Methods",
        names,
        format_func=lambda name: titles[name],
        wrap=True,
        **state.bind("methods", wanted, tuple),
    )
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    # The fixed ones are the same for every example: the browser knows a choice by its words.
    options = [*kind.TARGETS, *prediction.classes]
    if chosen.target not in options:
        options.append(chosen.target)
    row.selectbox(
        "Explain",
        options,
        format_func=lambda name: kind.TARGETS.get(name, name),
        accept_new_options=True,
        width=230,
        help="A class, or the contrast of two: type 'cat vs dog'.",
        **state.bind("target", chosen.target),
    )
    title, meaning = getattr(kind, "SCALE", _SCALE)
    row.segmented_control(
        title,
        _SCALES,
        format_func=_SCALES.get,
        help=meaning,
        **state.bind("scale", chosen.scale),
    )
    with row.popover("View"):
        kind.view(chosen)
    layers = [layer.name for layer in architecture.layers if layer.grid is not None]
    with row.popover("Settings"):
        _settings(chosen, known, [m for m in usable if m.name in picked], layers, architecture)
    return [method for name in picked for method in usable if method.name == name]


def _settings(
    chosen: state.Selection,
    known: Sequence[AttributionMethod],
    picked: Sequence[AttributionMethod],
    layers: Sequence[str],
    architecture: Architecture,
) -> None:
    pixels.baseline_image(chosen, [controls.settings_of(each, chosen) for each in picked])
    for tab, method in zip(
        st.tabs([*(method.title for method in picked), "Not valid here"]),
        [*picked, None],
        strict=True,
    ):
        with tab:
            if method is not None:
                st.caption(method.summary)
                controls.draw_settings(method, controls.settings_of(method, chosen), layers)
                st.caption(method.reference)
                continue
            refused = [m for m in known if not architecture.fits[m.name].usable]
            for other in refused:
                reason = state.plain(architecture.fits[other.name].reason)
                st.markdown(f"**{other.title}** · {reason}")
            if not refused:
                st.caption("Every method is valid for this model.")


def _details(results: Sequence[Attribution], wanted: Sequence[AttributionMethod]) -> None:
    summaries = {method.name: method for method in wanted}
    rows = [
        {
            "Method": summaries[result.method].title,
            "Target": result.target.title,
            "Fit": result.fit.level,
            "Sum": float(result.values.sum(dtype="float64")),
            "Score": result.score,
            "Delta": "–" if result.delta is None else f"{result.delta:+.4f}",
            "Seconds": result.provenance.seconds,
            "How to read it": " ".join(
                filter(None, [summaries[result.method].summary, result.fit.reason])
            ),
        }
        for result in results
    ]
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Sum": number(
                format="%.3f",
                help="Sum of all values, in logits (log-probabilities where the model writes).",
            ),
            "Score": number(format="%.3f", help="The explained output f(x), a logit."),
            "Delta": st.column_config.TextColumn(
                help="Sum minus (f(x) − f(baseline)), in logits; near 0 is good. "
                "A dash where the theory promises no completeness.",
            ),
            "Seconds": number(format="%.2f", help="Time of the computation."),
            "How to read it": st.column_config.TextColumn(width="large"),
        },
    )


main()
