"""Compare runs: the same metric of each, coloured by a parameter, and what they came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import cached, downloads, ruler, state
from dashboard.figures.curves import metric_curves, metrics_of
from dashboard.figures.outcomes import parameter_lines
from dashboard.learning import axes
from dashboard.learning.watch import METRICS, about, busy, show
from dashboard.runs import ShownRun
from dashboard.theme import is_dark
from dashboard.ticking import ticking

_GAP = "gap"
_RUN = "run"
_FEW = 4  # runs that can be told apart by a colour each
_OUTCOMES = ("accuracy", "f1_macro", "bleu", "loss")


def draw(chosen: state.Selection, runs: Mapping[str, ShownRun]) -> None:
    """The runs in hand, else those of the newest run's recipe."""
    if not runs:
        st.info("There is no run yet: start one.")
        return
    names = [name for name in chosen.runs if name in runs]
    if len(names) < 2:
        names = _family(runs, names)
    st.multiselect(
        "Runs",
        list(runs),
        format_func=lambda name: runs[name].title,
        **state.bind("runs", names, tuple),
    )
    picked = [runs[name] for name in names]
    histories = [cached.history(shown.run.folder) for shown in picked]
    parameters = _varied(picked)
    by = chosen.by if chosen.by in (*parameters, _RUN) else _told_apart_by(picked, parameters)
    known = metrics_of(histories)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.selectbox(
            "Metric",
            ["", *known],
            format_func=lambda name: name or "The usual ones",
            width=220,
            **state.bind("metric", chosen.metric if chosen.metric in known else ""),
        )
        st.selectbox(
            "Colour by",
            [_RUN, *parameters],
            format_func=lambda name: name.replace("_", " ").capitalize(),
            width=180,
            **state.bind("by", by),
        )
        axes.draw(chosen)
    dark = is_dark(st.context.theme.type)
    colours = _colours(picked, by)
    curves = [
        axes.curve(shown, history, colour, _label(shown, by, parameters))
        for shown, history, colour in zip(picked, histories, colours, strict=True)
    ]
    usual = [name for name in METRICS if name in known]
    wanted = [chosen.metric] if chosen.metric in known else usual or known[:4]
    look = axes.look(chosen)
    figures = {name: metric_curves(curves, name, **look, dark=dark) for name in wanted}
    rows = [_row(shown) for shown in picked]
    outcome = next((name for name in _OUTCOMES if all(name in row for row in rows)), "")
    if len(rows) > 2 and outcome and parameters:
        compared = [
            {**{name: shown.run.config.settings[name] for name in parameters}, outcome: found}
            for shown, found in zip(picked, (row[outcome] for row in rows), strict=True)
        ]
        figures["parameters"] = parameter_lines(compared, outcome, dark=dark)
    if any(busy(shown) for shown in picked):
        _growing(picked, _progress(picked))
    if not figures:
        st.info("These runs have not measured an epoch yet: their curves appear as they learn.")
        return
    with st.container(horizontal=True, horizontal_alignment="right"):
        told = {"runs": [about(shown) for shown in picked]}
        downloads.several(figures, histories, "runs", told)
    wide = len(figures) == 1 or ruler.width() < 700
    columns = st.columns(1 if wide else 2, gap="medium")
    for place, (title, figure) in enumerate(figures.items()):
        with columns[place % len(columns)]:
            show(figure, f"compare:{title}")
    _table(picked, rows, parameters)


def _progress(picked: Sequence[ShownRun]) -> list[tuple[str, int]]:
    return [(shown.run.state, shown.run.status.epoch) for shown in picked]


@ticking(2.0)
def _growing(picked: Sequence[ShownRun], drawn: list[tuple[str, int]]) -> None:
    """How many of the runs are at work; draws the page anew when one is an epoch further."""
    now = _progress(picked)
    if now != drawn:
        st.rerun()
    over = sum(shown.run.state not in ("new", "running") for shown in picked)
    st.caption(f"{over} of {len(picked)} runs are over; the others are learning or wait in line.")


def _family(runs: Mapping[str, ShownRun], names: Sequence[str]) -> list[str]:
    """Runs of the same recipe as the first in hand, else of the recipe with the most runs."""
    counts: dict[str, list[str]] = {}
    for name, shown in runs.items():
        counts.setdefault(shown.run.config.recipe, []).append(name)
    if names:
        return counts[runs[names[0]].run.config.recipe][:12]
    return max(counts.values(), key=len)[:12]


def _varied(picked: Sequence[ShownRun]) -> list[str]:
    """Parameters in which the runs differ."""
    names = dict.fromkeys(name for shown in picked for name in shown.run.config.settings)
    every = [shown.run.config.settings for shown in picked]
    return [name for name in names if len({str(each.get(name)) for each in every}) > 1]


def _told_apart_by(picked: Sequence[ShownRun], parameters: Sequence[str]) -> str:
    """What colours mean unless somebody says so: the run, or for many what their sweep is over."""
    swept = [name for name in picked[0].recipe.sweep if name in parameters]
    return swept[0] if swept and len(picked) > _FEW else _RUN


def _colours(picked: Sequence[ShownRun], by: str) -> list[int]:
    if by == _RUN:
        return list(range(len(picked)))
    values = [str(shown.run.config.settings.get(by)) for shown in picked]
    order = list(dict.fromkeys(sorted(values)))
    return [order.index(value) for value in values]


def _label(shown: ShownRun, by: str, parameters: Sequence[str]) -> str:
    """What tells a run apart: the parameter it is coloured by, else all that differ."""
    settings = shown.run.config.settings
    named = list(parameters)[:2] if by == _RUN else [by]
    return ", ".join(f"{name} {settings.get(name)}" for name in named) or shown.name


def _row(shown: ShownRun) -> dict[str, Any]:
    """The metrics of the best epoch."""
    history = cached.history(shown.run.folder)
    found: dict[str, Any] = {}
    epochs = history.scalars.get("epoch")
    best = shown.run.status.best_epoch
    steps = epochs.steps[epochs.values == best] if epochs is not None else ()
    if not len(steps):
        return found
    for tag, series in history.scalars.items():
        split, _, name = tag.partition("/")
        if split in ("train", "val") and "/" not in name:
            here = series.values[series.steps == steps[-1]]
            if len(here):
                found[name if split == "val" else f"train {name}"] = float(here[-1])
    if "loss" in found and "train loss" in found:
        found[_GAP] = found["loss"] - found["train loss"]
    return found


def _table(
    picked: Sequence[ShownRun], rows: Sequence[Mapping[str, Any]], parameters: Sequence[str]
) -> None:
    shown_first = ("loss", "accuracy", "f1_macro", "bleu", "train loss", "train accuracy", _GAP)
    table = [
        {
            "Run": shown.title,
            "State": shown.run.state,
            "Best epoch": shown.run.status.best_epoch,
            **{name.replace("_", " "): shown.run.config.settings.get(name) for name in parameters},
            **{name.replace("_", " "): row[name] for name in shown_first if name in row},
            "Seconds": shown.run.status.seconds,
        }
        for shown, row in zip(picked, rows, strict=True)
    ]
    numbers = {
        name.replace("_", " "): st.column_config.NumberColumn(format="%.4f") for name in shown_first
    }
    numbers[_GAP] = st.column_config.NumberColumn(
        "Gap", format="%.4f", help="Validation loss minus training loss, in the best epoch."
    )
    numbers["Seconds"] = st.column_config.NumberColumn(format="%.1f")
    st.dataframe(pd.DataFrame(table), hide_index=True, column_config=numbers)
