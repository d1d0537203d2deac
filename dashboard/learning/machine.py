"""The time machine: one slider over the kept epochs moves curves, layers and explanations."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import streamlit as st

from core.attribution.registry import METHODS
from core.engine.call import Call
from core.engine.executor import Handle
from core.errors import FluoroscopeError
from core.models.reference import ModelRef
from core.results import Attribution
from core.tasks import Example, Task
from core.training.checkpoint import Checkpoint
from dashboard import cached, downloads, ruler, state, waiting
from dashboard.figures.attribution import attribution_maps
from dashboard.figures.curves import metric_curves
from dashboard.figures.layerstats import distribution
from dashboard.learning import axes
from dashboard.learning.watch import METRICS, about, last_array, layer_figures, show
from dashboard.runs import ShownRun, items_of_recipe
from dashboard.theme import is_dark

_ANSWER = "Prediction"
_PINNED, _MOST_PINNED = 2, 6
_MOST_DISTRIBUTIONS = 24
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
    if asked := next((name for name in chosen.runs if name in runs and name not in kept), ""):
        st.info(
            f"{state.plain(runs[asked].title)} has kept no epochs to go back to; this is another "
            "run. Start it with keep_every above 0 to see it here."
        )
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
    figures |= layer_figures(history, step, dark)
    with st.container(horizontal=True, horizontal_alignment="right"):
        name = f"{shown.name.replace('/', '-')}.epoch-{checkpoint.epoch}"
        downloads.several(figures, [history], name, {**about(shown), "step": step})
    if shown.recipe.task is Task.IMAGE_CLASSIFICATION:
        _explained(chosen, shown, checkpoint, dark)
    _in_columns(shown, figures)
    below = st.expander("Weights and gradients as distributions", on_change="rerun", key="then")
    if below.open:
        with below:
            tags_drawn = list(history.histograms)[:_MOST_DISTRIBUTIONS]
            drawn = {
                tag: distribution(history.histograms[tag], tag, cursor=step, dark=dark)
                for tag in tags_drawn
            }
            _in_columns(shown, drawn)


def _in_columns(shown: ShownRun, figures: Mapping[str, go.Figure]) -> None:
    columns = st.columns(2 if ruler.width() >= 700 else 1, gap="medium")
    for place, (title, figure) in enumerate(figures.items()):
        with columns[place % len(columns)]:
            show(figure, f"machine:{shown.name}:{title}")


def _explained(
    chosen: state.Selection, shown: ShownRun, checkpoint: Checkpoint, dark: bool
) -> None:
    """Why the network of that epoch answers as it does, for each of the pinned examples."""
    st.markdown("**The same examples, explained by the network of this epoch**")
    known = [item.name for item in items_of_recipe(shown.recipe.name)]
    if chosen.example.startswith(cached.UPLOAD):
        known.insert(0, chosen.example)
    if not known:
        st.caption("Upload a picture in the sidebar to see it explained.")
        return
    first = chosen.example if chosen.example in known else known[0]
    usual = [first, *(name for name in known if name != first)][:_PINNED]
    pinned = st.multiselect(
        "Pinned examples", known, usual, max_selections=_MOST_PINNED, key=f"pinned:{shown.name}"
    )
    try:
        model = cached.model_ref(f"run:{shown.name}@{checkpoint.epoch}")
        examples = {name: cached.example(name) for name in pinned}
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    handles = {name: _asked(model, example) for name, example in examples.items()}
    open_calls = waiting.under_way(
        {f"{name}: {what}": each for name, mine in handles.items() for what, each in mine.items()}
    )
    columns = st.columns(2 if ruler.width() >= 700 and len(handles) > 1 else 1, gap="medium")
    for place, (name, mine) in enumerate(handles.items()):
        with columns[place % len(columns)]:
            figure = _maps(mine, int(ruler.width() / len(columns)), dark)
            if figure is not None:
                show(figure, f"machine:{shown.name}:maps:{name}")
            for what, handle in mine.items():
                waiting.failed(f"{name}: {what}", handle)
    waiting.watch(open_calls)


def _asked(model: ModelRef, example: Example) -> dict[str, Handle]:
    """The calls whose results are shown of one example."""
    calls = {_ANSWER: Call("predict", model, (example,), urgent=True)}
    for method in _METHODS:
        parameters = {"method": method, "target": "top"}
        calls[_TITLES[method]] = Call("attribute", model, (example,), parameters)
    return {title: cached.handle(call) for title, call in calls.items()}


def _maps(handles: Mapping[str, Handle], width: int, dark: bool) -> go.Figure | None:
    """What the network says, and the maps as far as they are done; None before it has answered."""
    if handles[_ANSWER].state != "done":
        return None
    prediction = handles[_ANSWER].result()[0]
    best = prediction.top(1)[0]
    sure = f"{prediction.probabilities[best]:.1%}"
    st.markdown(f"It says **{state.plain(prediction.classes[best])}** · {sure}")
    done: list[Attribution | None] = []
    pending: list[str] = []
    for title, handle in handles.items():
        if title == _ANSWER:
            continue
        done += handle.result() if handle.state == "done" else [None]
        pending += [title] if handle.state != "done" else []
    return attribution_maps(
        done,
        picture=prediction.picture,
        pending=pending,
        width=width,
        titles=_TITLES,
        units=_UNITS,
        dark=dark,
    )
