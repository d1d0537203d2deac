"""Curves of training: one metric of one or several runs over steps, epochs, time or examples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results.history import Floats, History, Series
from dashboard.figures.caption import escaped
from dashboard.theme import class_colour, greys, template

Axis = Literal["step", "epoch", "time", "examples"]

HEIGHT = 320
_MOST_POINTS = 2_000
_LEGEND_LINE = 20  # pixels
_DASHES = {"train": "dot", "val": "solid", "test": "dash"}
_SPLITS = {"train": "training", "val": "validation", "test": "test"}
_LOWER_IS_BETTER = ("loss", "error", "perplexity")
_HIGHER_IS_BETTER = ("accuracy", "f1_macro", "precision_macro", "recall_macro", "bleu", "chrf")
_AXES = {"step": "updates", "epoch": "epoch", "time": "minutes", "examples": "examples seen"}


@dataclass(frozen=True)
class Curve:
    """One run in a figure: its name, what it recorded, the place of its colour, and how many
    examples make an update and how many updates an epoch (0 where that is not known).
    """

    name: str
    history: History
    colour: int = 0
    examples_per_step: int = 0
    steps_per_epoch: float = 0.0


def metric_curves(
    runs: Sequence[Curve],
    metric: str,
    *,
    x: Axis = "epoch",
    smoothing: float = 0.0,
    log: bool = False,
    cursor: int | None = None,
    dark: bool = False,
) -> go.Figure:
    """``metric`` of every run: training dotted, validation solid, and its best value marked.

    ``metric`` is the end of a tag (``loss`` for ``train/loss`` and ``val/loss``) or a whole tag of
    any event file. ``smoothing`` from 0 to below 1 is the weight of the past in an exponential
    mean, whose raw values stand faint behind it. ``cursor`` is a step to mark. NaN and infinite
    values are gaps, and counted in the title.
    """
    tone = greys(dark)
    several, missing = len(runs) > 1, 0
    listed: set[str] = set()
    if x == "epoch" and not any(r.steps_per_epoch or "epoch" in r.history.scalars for r in runs):
        x = "step"  # other tools' logs may know no epochs
    figure = go.Figure(layout=_layout(metric, x, log, dark))
    for run in runs:
        found = _series(run.history, metric)
        for place, (split, series) in enumerate(found.items()):
            across = _across(run, series, x)
            missing += int((~np.isfinite(series.values)).sum())
            colour = class_colour(run.colour if several else 0 if split == "train" else 1)
            words = _SPLITS.get(split, split)
            label = f"{run.name} · {words}" if several else words
            look = {"color": colour, "dash": _DASHES.get(split, "solid"), "width": 2}
            values = np.where(np.isfinite(series.values), series.values, np.nan)
            if smoothing > 0:
                faint = {**look, "width": 1}
                figure.add_trace(_line(across, values, label, faint, legend=False, opacity=0.25))
                values = smoothed(values, smoothing)
            line = _line(across, values, label, look, legend=True)
            if several:  # one entry for each run; training is dotted everywhere
                line.update(name=escaped(run.name), legendgroup=escaped(run.name))
                line.showlegend = place == len(found) - 1 and run.name not in listed
                listed |= {run.name} if line.showlegend else set()
            figure.add_trace(line)
            if split != "train" and (best := _best(metric, series.values)) is not None:
                mark = _mark(across[best], series.values[best], label, colour, tone.page)
                figure.add_trace(mark.update(legendgroup=line.legendgroup))
    if cursor is not None and runs:
        marked = _across_steps(runs[0], np.array([cursor]), x)
        figure.add_vline(x=float(marked[0]), line={"color": tone.quiet, "width": 1, "dash": "dash"})
    if missing:
        figure.layout.title.text += f" · {missing:,} values are not numbers"
    figure.layout.showlegend = several or len({trace.legendgroup for trace in figure.data}) > 1
    lines = math.ceil(max(len(listed) - 2, 0) / 2)  # of the legend, beyond the first
    figure.layout.height = HEIGHT + _LEGEND_LINE * lines
    figure.layout.margin.b = 90 + _LEGEND_LINE * lines
    if not figure.data:
        figure.add_annotation(
            text="nothing recorded yet", showarrow=False, font={"color": tone.quiet}
        )
    return figure


def metrics_of(histories: Sequence[History]) -> list[str]:
    """Metrics that can be drawn, those of the splits first, then whole tags, each once."""
    tags = list(dict.fromkeys(tag for history in histories for tag in history.scalars))
    split = [tag.partition("/")[2] for tag in tags if tag.partition("/")[0] in _SPLITS]
    whole = [tag for tag in tags if tag.partition("/")[0] not in _SPLITS]
    return list(dict.fromkeys([*split, *whole]))


def smoothed(values: Floats, weight: float) -> Floats:
    """Exponential mean with ``weight`` of the past, without its bias at the start; gaps stay."""
    out = np.full(len(values), np.nan)
    total = norm = 0.0
    for place, value in enumerate(values):
        if np.isfinite(value):
            total = weight * total + (1 - weight) * value
            norm = weight * norm + (1 - weight)
            out[place] = total / norm
    return out


def thinned(x: Floats, y: Floats, most: int = _MOST_POINTS) -> tuple[Floats, Floats]:
    """At most about ``most`` points; of each stretch the lowest and the highest, so that no spike
    is lost.
    """
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), most // 2 + 1).astype(int)
    kept = []
    for start, end in itertools.pairwise(edges):
        part = y[start:end]
        if np.isfinite(part).any():
            kept += sorted({start + int(np.nanargmin(part)), start + int(np.nanargmax(part))})
        else:
            kept.append(start)
    places = np.array(kept)
    return x[places], y[places]


def _series(history: History, metric: str) -> Mapping[str, Series]:
    found = {
        split: history.scalars[tag]
        for split in _SPLITS
        if (tag := f"{split}/{metric}") in history.scalars and len(history.scalars[tag].steps)
    }
    if not found and metric in history.scalars:
        found = {metric.rpartition("/")[2]: history.scalars[metric]}
    if len(found) > 1:  # one number at the end is in the table
        found.pop("test", None)
    return found


def _across(run: Curve, series: Series, x: Axis) -> Floats:
    if x == "time":
        begun = min(
            (s.seconds[0] for s in run.history.scalars.values() if len(s.seconds)), default=0
        )
        minutes: Floats = (series.seconds - begun) / 60
        return minutes
    return _across_steps(run, series.steps, x)


def _across_steps(run: Curve, steps: npt.NDArray[np.int64], x: Axis) -> Floats:
    if x == "epoch":
        epochs = run.history.scalars.get("epoch")
        ends = [0, *epochs.steps] if epochs is not None else [0]
        ordinal = [0.0, *epochs.values] if epochs is not None else [0.0]
        per_epoch = run.steps_per_epoch
        if not per_epoch and ordinal[-1] > 0:
            per_epoch = ends[-1] / ordinal[-1]
        if per_epoch:  # the epoch under way goes on at that pace
            beyond = np.maximum(steps - ends[-1], 0) / per_epoch
            places: Floats = np.interp(steps, ends, ordinal) + beyond
            return places
    if x == "examples" and run.examples_per_step:
        return steps.astype(np.float64) * run.examples_per_step
    return steps.astype(np.float64)


def _best(metric: str, values: Floats) -> int | None:
    if not np.isfinite(values).any() or not _known(metric):
        return None
    if _lower(metric):
        return int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
    return int(np.nanargmax(np.where(np.isfinite(values), values, np.nan)))


def _lower(metric: str) -> bool:
    return any(word in metric for word in _LOWER_IS_BETTER)


def _known(metric: str) -> bool:
    """Whether it is known which way is good."""
    return _lower(metric) or metric in _HIGHER_IS_BETTER or metric.endswith("/accuracy")


def _line(
    x: Floats, y: Floats, label: str, look: dict[str, Any], *, legend: bool, opacity: float = 1.0
) -> go.Scatter:
    few = len(x) <= 60
    x, y = thinned(x, y)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers" if few and legend else "lines",
        name=escaped(label),
        legendgroup=escaped(label),
        showlegend=legend,
        line=look,
        marker={"size": 4},
        opacity=opacity,
        hovertemplate=f"{escaped(label)} %{{y:.4g}}<extra></extra>" if legend else None,
        hoverinfo=None if legend else "skip",
    )


def _mark(x: float, y: float, label: str, colour: str, page: str) -> go.Scatter:
    return go.Scatter(
        x=[x],
        y=[y],
        mode="markers",
        marker={"symbol": "star", "size": 12, "color": colour, "line": {"color": page, "width": 1}},
        showlegend=False,
        legendgroup=escaped(label),
        hovertemplate=f"best: %{{y:.4g}}<br>{escaped(label)}<extra></extra>",
    )


def _layout(metric: str, x: Axis, log: bool, dark: bool) -> dict[str, Any]:
    words = metric.removeprefix("step/").replace("_", " ")
    title = words[:1].upper() + words[1:]
    good = "lower is better" if _lower(metric) else "higher is better"
    note = good if _known(metric) else ""
    return {
        "template": template(dark),
        "height": HEIGHT,
        "margin": {"l": 8, "r": 12, "t": 40, "b": 90},
        "title": {"text": " · ".join(filter(None, [f"<b>{escaped(title)}</b>", note])), "y": 0.97},
        "legend": {"y": -58 / (HEIGHT - 130), "yanchor": "top"},
        "hovermode": "x unified",
        "uirevision": escaped(metric),
        "xaxis": {"title": {"text": _AXES[x]}, "showgrid": False, "showline": True},
        "yaxis": {"type": "log" if log else "linear", "zeroline": False},
    }
