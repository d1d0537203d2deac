"""Attribution: which parts of an input spoke for the answer, by several methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

import pandas as pd
import streamlit as st

from core.attribution.method import AttributionMethod
from core.attribution.registry import METHODS
from core.engine.call import Call
from core.engine.executor import Handle
from core.errors import FluoroscopeError, UserError
from core.parameters import Value
from core.results import Architecture, Attribution, Prediction
from core.tasks import parse_targets
from dashboard import cached, controls, downloads, ruler, state, waiting
from dashboard.export import document
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.prediction import probability_bars
from dashboard.theme import is_dark

# The first three of these that fit are shown on the first visit.
FIRST = ("integrated_gradients", "deeplift", "occlusion", "grad_cam")
# A method whose estimate is below this many seconds runs without being asked to.
CHEAP = 6.0
_TITLES = {method.name: method.title for method in METHODS}
_UNSIGNED = [method.name for method in METHODS if not method.signed]
_UNITS = {method.name: method.unit for method in METHODS}
_SIGNS = {"both": "For and against", "positive": "For only", "negative": "Against only"}
_VIEWS = {"overlay": "Over the picture", "map": "Map alone"}
_SCALES = {"shared": "Shared", "own": "Own"}


def main() -> None:
    """Draw the page for the selection in hand."""
    st.markdown("Which parts of this input spoke for the answer, and which against it?")
    chosen = state.selection()
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
        _answer(prediction, chosen.target)
    with middle:
        methods = _toolbar(chosen, architecture, prediction)
    _explain(chosen, methods, architecture, prediction, predicting.call)


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


def _answer(prediction: Prediction, target: str) -> None:
    best = prediction.top(1)[0]
    answer, probability = prediction.classes[best], prediction.probabilities[best]
    targets = parse_targets(target, prediction.classes, prediction.logits)
    explained = dict.fromkeys(part.index for each in targets for _, part in each.parts)
    if list(explained) == [best]:
        explained = {}  # that goes without saying
    dark = is_dark(st.context.theme.type)
    figure = probability_bars(prediction, explained=explained, dark=dark)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"It says **{state.plain(answer)}** · {probability:.1%}")
        downloads.button(figure, [prediction], f"{PurePath(prediction.example).stem}.prediction")
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="probabilities")


def _explain(
    chosen: state.Selection,
    methods: Sequence[AttributionMethod],
    architecture: Architecture,
    prediction: Prediction,
    asked: Call,
) -> None:
    if not methods:
        st.info("Choose at least one method.")
        return
    estimates = {}
    for method in methods:
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
    open_calls = waiting.under_way({_TITLES[name]: handle for name, handle in handles.items()})
    shown: list[Attribution | None] = []
    waited = []
    for method in methods:
        handle = handles.get(method.name)
        if handle is not None and handle.state == "done":
            shown += handle.result()
        elif handle is None or not _ended(handle):
            shown.append(None)
            waited.append(method.title)
    results = [each for each in shown if each is not None]
    asking = [_TITLES[name] for name in dear]
    _maps(chosen, shown, waited, asking, prediction)
    for name, handle in handles.items():
        waiting.failed(_TITLES[name], handle)
    for name, (call, seconds) in dear.items():
        _offer(_TITLES[name], call, seconds)
    waiting.watch(open_calls)
    if results:
        _details(results)


def _call(
    chosen: state.Selection, method: AttributionMethod, settings: dict[str, Value], asked: Call
) -> Call:
    parameters = {"method": method.name, "target": chosen.target, "settings": settings}
    inputs = asked.inputs
    if settings.get("baseline") == "image":
        inputs = (*inputs, cached.example(_baseline(chosen)))
        parameters["baseline_example"] = len(inputs) - 1
    return Call("attribute", asked.model, inputs, parameters)


def _baseline(chosen: state.Selection) -> str:
    """The picture that stands for 'nothing there': the chosen one, else another example."""
    others = [item.name for item in cached.items(chosen.model) if item.name != chosen.example]
    return chosen.baseline or next(iter(others), chosen.example)


def _ended(handle: Handle) -> bool:
    return handle.state in ("done", "failed", "cancelled")


def _offer(title: str, call: Call, seconds: float) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Compute", key=f"compute:{call.key}"):
            state.asked().add(call.key)
            st.rerun()
        st.markdown(f"{title} · :gray[takes about {waiting.duration(seconds)} here]")


def _toolbar(
    chosen: state.Selection, architecture: Architecture, prediction: Prediction
) -> list[AttributionMethod]:
    usable = [method for method in METHODS if architecture.fits[method.name].usable]
    names = [method.name for method in usable]
    wanted = [name for name in chosen.methods if name in names] or _first(names)
    for name in chosen.methods:
        if name not in names:
            fit = architecture.fits.get(name)
            reason = fit.reason if fit else f"There is no method '{state.plain(name)}'."
            st.warning(f"{_TITLES.get(name, state.plain(name))} is not shown. {reason}")
    picked = st.multiselect(
        "Methods",
        names,
        format_func=lambda name: _TITLES[name],
        wrap=True,
        **state.bind("methods", wanted, tuple),
    )
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    options = ["top", "top3", "top vs second", *prediction.classes]
    if chosen.target not in options:
        options.append(chosen.target)
    fixed = {  # the same for every example: the browser knows a choice by its words
        "top": "Predicted class",
        "top3": "The three most likely",
        "top vs second": "Most likely against second",
    }
    row.selectbox(
        "Explain",
        options,
        format_func=lambda name: fixed.get(name, name),
        accept_new_options=True,
        width=230,
        help="A class, or the contrast of two: type 'cat vs dog'.",
        **state.bind("target", chosen.target),
    )
    row.segmented_control(
        "Colour scale",
        _SCALES,
        format_func=_SCALES.get,
        help="Shared: the same colour is the same number in every map of one unit. Own: weak maps "
        "show too.",
        **state.bind("scale", chosen.scale),
    )
    with row.popover("View"):
        _view_controls(chosen)
    layers = [layer.name for layer in architecture.layers if layer.grid is not None]
    with row.popover("Settings"):
        _settings(chosen, [m for m in usable if m.name in picked], layers, architecture)
    return [method for name in picked for method in usable if method.name == name]


def _view_controls(chosen: state.Selection) -> None:
    st.segmented_control(
        "Picture", _VIEWS, format_func=_VIEWS.get, **state.bind("view", chosen.view)
    )
    st.segmented_control("Sign", _SIGNS, format_func=_SIGNS.get, **state.bind("sign", chosen.sign))
    st.slider("Opacity (%)", 0, 100, step=5, **state.bind("opacity", chosen.opacity))


def _settings(
    chosen: state.Selection,
    methods: Sequence[AttributionMethod],
    layers: Sequence[str],
    architecture: Architecture,
) -> None:
    if any(controls.settings_of(each, chosen).get("baseline") == "image" for each in methods):
        named = _baseline(chosen)
        options = list(dict.fromkeys([item.name for item in cached.items(chosen.model)] + [named]))
        st.selectbox("Baseline image", options, **state.bind("baseline", named))
    for tab, method in zip(
        st.tabs([*(method.title for method in methods), "Not valid here"]),
        [*methods, None],
        strict=True,
    ):
        with tab:
            if method is not None:
                st.caption(method.summary)
                controls.draw_settings(method, controls.settings_of(method, chosen), layers)
                st.caption(method.reference)
                continue
            refused = [m for m in METHODS if not architecture.fits[m.name].usable]
            for other in refused:
                st.markdown(f"**{other.title}** · {architecture.fits[other.name].reason}")
            if not refused:
                st.caption("Every method is valid for this model.")


def _maps(
    chosen: state.Selection,
    shown: Sequence[Attribution | None],
    waited: Sequence[str],
    asking: Sequence[str],
    prediction: Prediction,
) -> None:
    results = [each for each in shown if each is not None]
    figure = attribution_maps(
        shown,
        picture=prediction.picture,
        pending=waited,
        asking=asking,
        mode=chosen.view,
        sign=chosen.sign,
        opacity=chosen.opacity / 100,
        shared_scale=chosen.scale == "shared",
        dark=is_dark(st.context.theme.type),
        width=ruler.width(),
        titles=_TITLES,
        unsigned=_UNSIGNED,
        units=_UNITS,
    )
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key="maps")
    if results:
        names = "-".join(dict.fromkeys(result.method for result in results))
        downloads.button(
            figure,
            results,
            f"{PurePath(prediction.example).stem}.{names}"[:80],
            document(results, prediction),
        )


def _first(names: Sequence[str]) -> list[str]:
    return [name for name in FIRST if name in names][:3]


def _details(results: Sequence[Attribution]) -> None:
    summaries = {method.name: method for method in METHODS}
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
            "Sum": number(format="%.3f", help="Sum of all values, in logits."),
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
