"""The time machine: one slider over the kept epochs moves curves, layers and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.attribution.registry import METHODS
from core.engine.call import Call
from core.errors import FluoroscopeError
from core.results import Attribution
from core.tasks import Task
from core.training.checkpoint import Checkpoint
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.curves import metric_curves
from dashboard.figures.layerstats import distribution
from dashboard.learning import axes
from dashboard.learning.watch import METRICS, about, last_array, show
from dashboard.runs import ShownRun
from dashboard.theme import is_dark

_METHODS = ("integrated_gradients", "grad_cam")
_TITLES = {method.name: method.title for method in METHODS}
_UNITS = {method.name: method.unit for method in METHODS}


def draw(chosen: state.Selection, runs: Mapping[str, ShownRun]) -> None:
    """The run in hand if it kept epochs, else the first that did."""
    kept = {name: shown for name, shown in runs.items() if len(shown.checkpoints) > 1}
    if not kept:
        st.info("No run has kept several epochs: start one with keep_every above 0.")
        return
    name = next((name for name in chosen.runs if name in kept), next(iter(kept)))
    shown = kept[name]
    epochs = {each.epoch: each for each in shown.checkpoints}
    epoch = min(epochs, key=lambda each: abs(each - (chosen.epoch or max(epochs))))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox(
            "Run",
            list(kept),
            format_func=lambda each: kept[each].title,
            width=320,
            **state.bind("runs", name, lambda each: (each,)),
        )
        st.select_slider("Epoch", sorted(epochs), width="stretch", **state.bind("epoch", epoch))
    _at(chosen, shown, epochs[epoch])


def _at(chosen: state.Selection, shown: ShownRun, checkpoint: Checkpoint) -> None:
    history, dark = cached.history(shown.run.folder), is_dark(st.context.theme.type)
    curve, look = axes.curve(shown, history), axes.look(chosen)
    tags = history.scalars
    named = [name for name in METRICS if f"val/{name}" in tags or f"train/{name}" in tags][:2]
    step = checkpoint.step
    figures = {name: metric_curves([curve], name, **look, cursor=step, dark=dark) for name in named}
    if (then := last_array(shown, history, step, dark)) is not None:
        figures["outcome"] = then
    for tag in [tag for tag in history.histograms if tag.startswith("weights/")][:2]:
        figures[tag] = distribution(history.histograms[tag], tag, cursor=step, dark=dark)
    with st.container(horizontal=True, horizontal_alignment="right"):
        name = f"{shown.name.replace('/', '-')}.epoch-{checkpoint.epoch}"
        downloads.several(figures, [history], name, {**about(shown), "step": step})
    columns = st.columns(2 if ruler.width() >= 700 else 1, gap="medium")
    for place, (title, figure) in enumerate(figures.items()):
        with columns[place % len(columns)]:
            show(figure, f"machine:{shown.name}:{title}")
    if shown.recipe.task is Task.IMAGE_CLASSIFICATION:
        _explained(chosen, shown, checkpoint, dark)


def _explained(
    chosen: state.Selection, shown: ShownRun, checkpoint: Checkpoint, dark: bool
) -> None:
    """Why the network of that epoch answers as it does, for a pinned example."""
    st.markdown("**The same example, explained by the network of this epoch**")
    pinned = [item.name for item in cached.items_of_recipe(shown.recipe.name)]
    if chosen.example.startswith(cached.UPLOAD):
        pinned.insert(0, chosen.example)
    if not pinned:
        st.caption("Upload a picture in the sidebar to see it explained.")
        return
    name = chosen.example if chosen.example in pinned else pinned[0]
    try:
        model = cached.model_ref(f"run:{shown.name}@{checkpoint.epoch}")
        example = cached.example(name)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    predicting = cached.handle(Call("predict", model, (example,), urgent=True))
    calls = {
        method: Call("attribute", model, (example,), {"method": method, "target": "top"})
        for method in _METHODS
    }
    handles = {_TITLES[method]: cached.handle(call) for method, call in calls.items()}
    open_calls = waiting.under_way({"Prediction": predicting, **handles})
    if predicting.state == "done":
        prediction = predicting.result()[0]
        best = prediction.top(1)[0]
        sure = f"{prediction.probabilities[best]:.1%}"
        st.markdown(f"It says **{state.plain(prediction.classes[best])}** · {sure}")
        done: list[Attribution | None] = []
        for handle in handles.values():
            done += handle.result() if handle.state == "done" else [None]
        pending: Sequence[str] = [t for t, h in handles.items() if h.state != "done"]
        figure = attribution_maps(
            done,
            picture=prediction.picture,
            pending=pending,
            width=ruler.width(),
            titles=_TITLES,
            units=_UNITS,
            dark=dark,
        )
        show(figure, f"machine:{shown.name}:maps")
    for title, handle in {"Prediction": predicting, **handles}.items():
        waiting.failed(title, handle)
    waiting.watch(open_calls)
