"""How a model learned: losses and metrics over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.caption import escaped
from dashboard.theme import CLASSES, greys, template

_SPLITS = {
    "train": ("Training", CLASSES[0], "dot"),
    "validation": ("Validation", CLASSES[1], "solid"),
}
_GAP = 0.08
_GOOD = {"loss": "lower is better", "accuracy": "higher is better"}


def training_curves(history: Sequence[Mapping[str, float]], *, dark: bool = False) -> go.Figure:
    """One panel per metric, with a line for each split.

    ``history`` has one mapping per epoch: ``epoch`` and numbers named ``<split>_<metric>``, such
    as ``validation_loss``, as in the ``history.json`` of a model.
    """
    metrics = _metrics(history)
    tone = greys(dark)
    epochs = np.array([row.get("epoch", number) for number, row in enumerate(history, start=1)])
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": 320,
            "margin": {"l": 8, "r": 16, "t": 64, "b": 40},
            "legend": {"y": 1.13, "yanchor": "bottom"},
            "hovermode": "x",
        }
    )
    width = (1 - _GAP * (len(metrics) - 1)) / max(len(metrics), 1)
    for index, metric in enumerate(metrics):
        number = "" if index == 0 else str(index + 1)
        left = index * (width + _GAP)
        for split, (label, colour, dash) in _SPLITS.items():
            name = f"{split}_{metric}"
            if not any(name in row for row in history):
                continue
            figure.add_trace(
                go.Scatter(
                    x=epochs,
                    y=np.array([row.get(name, np.nan) for row in history], dtype=np.float64),
                    mode="lines+markers" if len(epochs) <= 60 else "lines",
                    name=label,
                    legendgroup=split,
                    showlegend=index == 0,
                    line={"color": colour, "dash": dash, "width": 2},
                    marker={"size": 5},
                    xaxis=f"x{number}",
                    yaxis=f"y{number}",
                    hovertemplate=f"{label} %{{y:.4f}}<extra></extra>",
                )
            )
        figure.layout[f"xaxis{number}"] = {
            "domain": (left, min(left + width, 1)),
            "anchor": f"y{number}",
            "title": {"text": "epoch"},
            "showgrid": False,
            "showline": True,
            "tickformat": "d",
            "nticks": 10,
            **({"matches": "x"} if index else {}),
        }
        figure.layout[f"yaxis{number}"] = {
            "anchor": f"x{number}",
            "zeroline": False,
            "rangemode": "tozero" if metric == "loss" else "normal",
        }
        figure.add_annotation(
            text=f"<b>{escaped(metric.replace('_', ' ').capitalize())}</b>"
            f"<span style='color:{tone.quiet}'>{_note(metric)}</span>",
            x=left,
            y=1,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            yshift=4,
            showarrow=False,
        )
    return figure


def _metrics(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Metric names in order of appearance, each once."""
    names = [name.partition("_") for row in history for name in row]
    return list(dict.fromkeys(metric for split, _, metric in names if split in _SPLITS and metric))


def _note(metric: str) -> str:
    return f" · {_GOOD[metric]}" if metric in _GOOD else ""
