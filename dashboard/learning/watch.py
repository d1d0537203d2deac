"""Watch one run: its curves, its layers and its confusions, redrawn while it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.engine.job import Job
from core.engine.job import submit as submit_job
from core.errors import FluoroscopeError
from core.results.history import History
from dashboard import cached, downloads, livechart, ruler, state, waiting
from dashboard.figures.curves import metric_curves
from dashboard.figures.layerstats import distribution, layer_heatmap, unit_shares
from dashboard.figures.outcomes import boundary, confusion
from dashboard.learning import axes
from dashboard.runs import ShownRun, job_of, last_words
from dashboard.theme import is_dark
from dashboard.ticking import ticking

METRICS = ("loss", "accuracy", "f1_macro", "bleu")
_STATES = {
    "new": "not begun",
    "running": "learning",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
    "died": "its process ended without a word",
}
# What is recorded at every update, and whether it is drawn by its logarithm.
_UPDATES = {
    "step/learning_rate": False,
    "step/gradient_norm": True,
    "step/examples_per_second": False,
}
_LAYERS = {
    "gradient norms": ("gradient_norm", "Gradient norm of each layer"),
    "update ratios": ("update_ratio", "Update ÷ weight of each layer"),
}
_MOST_DISTRIBUTIONS = 16
_MOST_NOTES = 200


def draw(chosen: state.Selection, runs: Mapping[str, ShownRun]) -> None:
    """The run in hand, else the newest."""
    if not runs:
        st.info("There is no run yet: start one.")
        return
    name = next((name for name in chosen.runs if name in runs), next(iter(runs)))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox(
            "Run",
            list(runs),
            format_func=lambda each: runs[each].title,
            width=320,
            **state.bind("runs", name, lambda each: (each,)),
        )
        axes.draw(chosen)
    shown = runs[name]
    st.caption(f"{shown.recipe.title} · {shown.recipe.teaches}")
    if busy(shown):
        livechart.prepare()
        with st.container(key="live"):
            _live(shown)
    else:
        _standing(shown, None)
        _page(shown, show)


def busy(shown: ShownRun) -> bool:
    """Whether it learns, or waits in line to."""
    return shown.run.state == "running" or job_of(cached.place(), shown.run) is not None


@ticking(1.0)
def _live(shown: ShownRun) -> None:
    if not busy(shown):
        st.rerun()  # it is over: once more, without the clock
    _standing(shown, job_of(cached.place(), shown.run))
    _page(shown, livechart.draw)


def _standing(shown: ShownRun, job: Job | None) -> None:
    """How far it is, and what can be done about it."""
    run, status = shown.run, shown.run.status
    waits = job is not None and job.state == "waiting"
    words = ["**waits in line**" if waits else f"**{_STATES.get(run.state, run.state)}**"]
    words.append(f"epoch {status.epoch} of {run.config.epochs}")
    if status.best is not None:
        words.append(f"lowest loss {status.best:.4g}, in epoch {status.best_epoch}")
    left = job.progress.remaining if job is not None else None
    past = waiting.duration(status.seconds)
    words.append(past if left is None else f"{waiting.duration(left)} left")
    if status.stage:
        words.append(state.plain(status.stage))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(" · ".join(words))
        if job is not None and st.button("Cancel", key=f"cancel:{job.id}", type="tertiary"):
            job.cancel()
        if job is None and not shown.sample and run.state in ("stopped", "failed", "died", "new"):
            _resume_button(shown)
    if job is not None:
        st.progress(job.progress.fraction)
    if status.message and run.state != "running":
        (st.error if run.state == "failed" else st.caption)(state.plain(status.message))
    if run.state == "died" and (said := last_words(cached.place(), run)):
        with st.expander("The last that its process said"):
            st.text(said)


def _resume_button(shown: ShownRun) -> None:
    if not state.pressed("Resume", f"resume:{shown.name}"):
        return
    try:
        submit_job(cached.place(), "train", {"run": str(shown.run.folder)}, shown.run.config.device)
    except FluoroscopeError as error:
        st.error(state.plain(str(error)))
        return
    st.rerun(scope="app")


def _page(shown: ShownRun, draw_figure: Callable[[go.Figure, str], None]) -> None:
    """All figures of a run."""
    history, dark = cached.history(shown.run.folder), is_dark(st.context.theme.type)
    curves = _curves(shown, history, dark)
    layers = _layers(shown, history, dark)
    with st.container(horizontal=True, horizontal_alignment="right"):
        name = shown.name.replace("/", "-")
        downloads.several({**curves, **layers}, [history], name, about(shown))
    columns = st.columns(3 if ruler.width() >= 840 else 2, gap="medium")
    for place, (title, figure) in enumerate(curves.items()):
        with columns[place % len(columns)]:
            draw_figure(figure, f"{shown.name}:{title}")
    left, right = st.columns(2, gap="medium")
    for place, (title, figure) in enumerate(layers.items()):
        with (left, right)[place % 2]:
            draw_figure(figure, f"{shown.name}:{title}")
    below = st.expander("Weights and gradients as distributions", on_change="rerun", key="below")
    if below.open:
        with below:
            _distributions(shown, history, dark, draw_figure)
    for note in history.notes:
        st.caption(state.plain(note))
    _left_out(shown)


def _left_out(shown: ShownRun) -> None:
    """What was left out of the data, or assumed of them."""
    if notes := shown.run.left_out:
        with st.expander(f"Notes on the data · {len(notes):,}"):
            st.text("\n".join(notes[:_MOST_NOTES]))
            if len(notes) > _MOST_NOTES:
                st.caption(f"The first {_MOST_NOTES} of {len(notes):,}; all are in data.json.")


def _curves(shown: ShownRun, history: History, dark: bool) -> dict[str, go.Figure]:
    look = axes.look(state.selection())
    curve = axes.curve(shown, history)
    tags = history.scalars
    named = [name for name in METRICS if f"val/{name}" in tags or f"train/{name}" in tags]
    found = {name: metric_curves([curve], name, **look, dark=dark) for name in named}
    for tag, log in _UPDATES.items():
        if tag in tags:
            found[tag] = metric_curves([curve], tag, **{**look, "log": log}, dark=dark)
    return found


def _layers(shown: ShownRun, history: History, dark: bool) -> dict[str, go.Figure]:
    found = layer_figures(history, None, dark)
    if (last := last_array(shown, history, None, dark)) is not None:
        found["outcome"] = last
    return found


def layer_figures(history: History, step: int | None, dark: bool) -> dict[str, go.Figure]:
    """What the layers did, with ``step`` marked: gradients, updates, dead and saturated units."""
    found = {
        what: layer_heatmap(history, f"step/{tag}", title, cursor=step, dark=dark)
        for what, (tag, title) in _LAYERS.items()
    }
    if any(tag.startswith(("dead/", "saturated/")) for tag in history.scalars):
        found["units"] = unit_shares(history, cursor=step, dark=dark)
    return found


def last_array(shown: ShownRun, history: History, step: int | None, dark: bool) -> go.Figure | None:
    """The boundary of two features, or the confusions, as of ``step`` or the last there are."""
    titles = {"boundary": "", "val/confusion": "validation", "train/confusion": "training"}
    for tag, split in titles.items():
        series = history.arrays.get(tag)
        if series is None or not len(series.steps):
            continue
        place = (
            -1 if step is None else max(int(np.searchsorted(series.steps, step, "right")) - 1, 0)
        )
        values = np.asarray(series.items[place])
        if tag == "boundary":
            return boundary(values, dark=dark)
        classes = [str(name) for name in shown.run.facts.get("classes", ())]
        title = f"Confusions, {split} · update {int(series.steps[place]):,}"
        return confusion(values, classes, title=title, dark=dark)
    return None


def _distributions(
    shown: ShownRun,
    history: History,
    dark: bool,
    draw_figure: Callable[[go.Figure, str], None],
) -> None:
    tags = list(history.histograms)
    if not tags:
        st.caption("None were recorded.")
    columns = st.columns(2, gap="medium")
    for place, tag in enumerate(tags[:_MOST_DISTRIBUTIONS]):
        with columns[place % 2]:
            figure = distribution(history.histograms[tag], tag, dark=dark)
            draw_figure(figure, f"{shown.name}:{tag}")


def about(shown: ShownRun) -> dict[str, Any]:
    """What an export says of a run."""
    return {"run": shown.name, **shown.run.about, **shown.run.facts}


def show(figure: go.Figure, key: str) -> None:
    """A figure in its place."""
    st.plotly_chart(figure, theme=None, config=downloads.CHART, key=key)
