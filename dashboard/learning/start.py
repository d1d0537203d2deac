"""Start a run: a recipe, its data, the few settings that matter, and what it will cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from core.engine.job import UNFINISHED
from core.engine.job import submit as submit_job
from core.errors import FluoroscopeError
from core.parameters import Parameter, Value
from core.training import sweep
from core.training.recipe import Recipe, recipes
from dashboard import cached, state, waiting
from dashboard.runs import training_jobs
from dashboard.ticking import ticking

_DEVICES = ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "mps")
_DATA = {
    "images": "A folder of class folders, perhaps with train/ and val/.",
    "table": "A CSV, TSV, Parquet or JSONL file with a column 'label'.",
    "texts": "A CSV, TSV, Parquet or JSONL file with columns 'text' and 'label'.",
    "sentence pairs": "Two text files with a sentence on each line, as a folder.",
    "points": "A table with two columns of numbers and a column 'label' of two values.",
}


def draw(chosen: state.Selection) -> None:
    """The form, and the jobs that are under way."""
    known = recipes()
    name = chosen.recipe if chosen.recipe in known else next(iter(known))
    recipe = known[name]
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.selectbox(
            "Recipe",
            list(known),
            format_func=lambda each: known[each].title,
            **state.bind("recipe", name),
        )
        st.markdown(recipe.summary)
        st.caption(f"{recipe.teaches} Aim: {recipe.reaches}.")
        given = _settings(recipe)
        data = st.text_input(
            "Your own data (a path on this machine; empty for the recipe's own)",
            key=f"data:{name}",
            help=f"{_DATA[recipe.data_kind]} Or a zip of it.",
        )
        first, second = st.columns(2)
        seed = first.number_input("Seed", 0, 2**31 - 1, 0, key=f"seed:{name}")
        device = second.selectbox(
            "Device",
            _DEVICES,
            key=f"device:{name}",
            help="The best there is, unless you say otherwise; one run at a time on each.",
        )
        if recipe.sweep and st.toggle(_sweep(recipe), key=f"sweep:{name}"):
            given = {key: value for key, value in given.items() if key not in recipe.sweep}
        _button(recipe, given, data, int(seed), device)
    with right:
        _line()


def _sweep(recipe: Recipe) -> str:
    """What the sweep is over, in words."""
    titles = {parameter.name: parameter.title for parameter in recipe.declared}
    grids = (
        f"{titles[key].lower()} {', '.join(_spelt(value) for value in values)}"
        for key, values in recipe.sweep.items()
    )
    count = math.prod(len(values) for values in recipe.sweep.values())
    return f"The whole sweep, {count} runs: {' × '.join(grids)}"


def _spelt(value: Value) -> str:
    return str(value).lower() if isinstance(value, (bool, str)) else f"{value:g}"


def _settings(recipe: Recipe) -> dict[str, object]:
    """A widget for each parameter; the advanced ones under More."""
    plain = [each for each in recipe.declared if not each.advanced]
    more = [each for each in recipe.declared if each.advanced]
    given = _widgets(recipe, plain)
    with st.expander("More"):
        given |= _widgets(recipe, more)
    return given


def _widgets(recipe: Recipe, parameters: Sequence[Parameter]) -> dict[str, object]:
    given: dict[str, object] = {}
    ordered = sorted(parameters, key=lambda each: each.kind == "bool")  # toggles are less high
    for at in range(0, len(ordered), 3):
        columns = st.columns(3, vertical_alignment="center")
        for column, parameter in zip(columns, ordered[at : at + 3], strict=False):
            with column:
                given[parameter.name] = _widget(recipe, parameter)
    return given


def _widget(recipe: Recipe, parameter: Parameter) -> object:
    key = f"start:{recipe.name}:{parameter.name}"
    label = f"{parameter.title} ({parameter.unit})" if parameter.unit else parameter.title
    default = parameter.default
    if parameter.kind == "bool":
        return st.toggle(label, bool(default), help=parameter.help, key=key)
    if parameter.kind == "choice":
        place = parameter.choices.index(str(default))
        return st.selectbox(label, parameter.choices, place, help=parameter.help, key=key)
    if parameter.kind == "int":
        return st.number_input(label, value=int(default), step=1, help=parameter.help, key=key)
    return st.text_input(label, f"{default:g}", help=parameter.help, key=key)


def _button(recipe: Recipe, given: dict[str, object], data: str, seed: int, device: str) -> None:
    """Start is asked last, and nothing is drawn between its press and the run: whatever draws may
    give way to another run of the page, which would not know of the press. The button is the same
    for every recipe: while the page changes to another one, that of the last one still stands there
    and takes the press.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        first, second = st.container(width="content"), st.container(width="content")
    below = st.container()
    try:
        configs = sweep.configs(
            recipe.name, given, data=data.strip() or None, seed=seed, device=device
        )
    except FluoroscopeError as error:
        below.error(state.plain(str(error)))
        with first:
            state.pressed("Start", "go", type="primary")  # and nothing begins
        return
    config = next(iter(configs.values()))
    place = cached.place()
    with second:
        asked = state.pressed("Estimate time and memory", "estimate")
    try:
        if asked:
            state.estimates()[recipe.name] = submit_job(
                place, "estimate", {"config": config.as_json()}, config.device
            )
    except FluoroscopeError as error:
        below.error(state.plain(str(error)))
    if recipe.name in state.estimates():
        with below:
            _estimate(recipe.name)
    try:
        with first:
            if not state.pressed("Start", "go", type="primary"):
                return
            runs = sweep.create(place.runs, configs)
            for run in runs:
                submit_job(place, "train", {"run": str(run.folder)}, config.device)
    except FluoroscopeError as error:
        below.error(state.plain(str(error)))
        return
    names = tuple(run.folder.relative_to(place.runs).as_posix() for run in runs)
    state.change(tab="watch" if len(names) == 1 else "compare", runs=names)
    st.rerun()


@ticking(1.0)
def _estimate(name: str) -> None:
    """What a run with the settings of the last click will cost."""
    job = state.estimates()[name]
    if job.state in UNFINISHED:
        st.caption(
            "Estimating: a few updates are made and thrown away."
            if job.state == "running"
            else "The estimate waits in line behind what trains at this moment."
        )
    elif job.state == "done":
        found = job.result
        memory = found["bytes"] / 1024**2
        st.markdown(
            f"About **{waiting.duration(found['seconds'])}** and **{memory:,.0f} MiB** beside the "
            "data."
        )
    else:
        st.error(state.plain(f"No estimate: {job.message}"))


@ticking(2.0)
def _line() -> None:
    """What trains now and what waits for its turn."""
    st.markdown("**Under way**")
    any_job = False
    for job in training_jobs(cached.place()):
        any_job = True
        name = Path(job.parameters["run"]).name
        words, stop = st.columns([4, 1], vertical_alignment="center")
        left = job.progress.remaining
        note = job.state if left is None else f"{waiting.duration(left)} left"
        words.progress(job.progress.fraction, f"{name} · {note}")
        if stop.button("Cancel", key=f"line:{job.id}", type="tertiary"):
            job.cancel()
    if not any_job:
        st.caption("Nothing trains at this moment. One run trains on a device at a time.")
