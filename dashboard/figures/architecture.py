"""Where a network keeps its parameters and spends its operations, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.results import Architecture, LayerInfo
from dashboard.figures.caption import elided, escaped
from dashboard.theme import CLASSES, greys, template

# A layer's colour tells its kind; names of torch.nn classes start or end with these words.
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Convolution", CLASSES[0], ("conv",)),
    ("Linear", CLASSES[1], ("linear", "bilinear")),
    ("Attention", CLASSES[3], ("attention",)),
    ("Normalisation", CLASSES[2], ("norm",)),
    ("Embedding", CLASSES[5], ("embedding",)),
)
_OTHER = ("Other", "")
# Up to so many layers every one is labelled, above it only where a new block begins.
_LABELLED = 28
# Up to so many layers the numbers stand above the bars.
_VALUED = 14


def architecture_chart(architecture: Architecture, *, dark: bool = False) -> go.Figure:
    """Parameters above, multiply-adds below, one column per leaf layer in order of execution.

    Modules with children appear only where they hold parameters of their own.
    """
    layers = [x for x in architecture.layers if x.leaf or x.parameters or x.multiply_adds]
    tone = greys(dark)
    few = len(layers) <= _LABELLED
    labels = [_name(layer) for layer in layers]
    figure = go.Figure(
        layout={
            "template": template(dark),
            "margin": {"l": 8, "r": 16, "t": 60},
            "barmode": "overlay",
            "hovermode": "x",
            "legend": {"y": 1.12, "yanchor": "bottom", "itemclick": "toggle"},
        }
    )
    panels = (
        ("Parameters", [x.parameters for x in layers], architecture.parameters, "", (0.56, 1.0)),
        (
            "Multiply-adds",
            [x.multiply_adds for x in layers],
            architecture.multiply_adds,
            "2",
            (0.0, 0.42),
        ),
    )
    for title, numbers, total, number, domain in panels:
        for kind, colour, members in _by_kind(layers):
            figure.add_trace(
                go.Bar(
                    x=np.array(members),
                    y=np.array([numbers[member] for member in members], dtype=np.float64),
                    width=0.7 if few else 1.0,
                    name=kind,
                    legendgroup=kind,
                    showlegend=number == "",
                    marker={"color": colour or tone.quiet, "line": {"width": 0}},
                    yaxis=f"y{number}",
                    xaxis="x",
                    texttemplate="%{y:.3~s}" if len(layers) <= _VALUED else None,
                    textposition="outside",
                    textfont={"color": tone.text, "size": 12},
                    cliponaxis=False,
                    customdata=[_details(layers[member]) for member in members],
                    hovertemplate="%{customdata}<extra></extra>",
                )
            )
        figure.layout[f"yaxis{number}"] = {
            "domain": domain,
            "tickformat": "~s",
            "nticks": 5,
            "rangemode": "tozero",
            "fixedrange": True,
        }
        figure.add_annotation(
            text=f"<b>{title}</b><span style='color:{tone.quiet}'> · {total:,} in all</span>",
            x=0,
            y=domain[1],
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            yshift=4,
            showarrow=False,
        )
    shown = range(len(layers)) if few else _beginnings(labels)
    names = [elided(labels[i] if few else _block(labels[i]), 22) for i in shown]
    angle = 0 if len(shown) <= 8 else -45
    figure.update_xaxes(
        anchor="y2",
        range=(-0.6, max(len(layers), 1) - 0.4),
        showgrid=False,
        ticklabeloverflow="allow",
        tickvals=list(shown),
        ticktext=[escaped(name) for name in names],
        tickangle=angle,
        title={"text": "" if few else f"{len(layers)} layers in order of execution"},
    )
    # Fixed, so that nothing moves and a caption fits below.
    longest = max((len(name) for name in names), default=0)
    room = (16 if angle == 0 else round(8 + 5 * longest)) + (0 if few else 28)
    figure.update_layout(height=352 + room, margin={"b": 8 + room})
    return figure


def _name(layer: LayerInfo) -> str:
    return layer.name or "(model)"


def _block(name: str) -> str:
    """The part of a layer's name that its neighbours share: two levels at most."""
    return ".".join(name.split(".")[:2]) if name.count(".") > 1 else name.split(".")[0]


def _beginnings(names: Sequence[str]) -> list[int]:
    """Where a new block begins, thinned so that no two labels touch: the first of those that are
    closer than a tenth of the whole.
    """
    shown: list[int] = []
    for place, name in enumerate(names):
        begins = place == 0 or _block(name) != _block(names[place - 1])
        if begins and (not shown or place - shown[-1] >= len(names) / 10):
            shown.append(place)
    return shown


def _by_kind(layers: Sequence[LayerInfo]) -> list[tuple[str, str, list[int]]]:
    groups: dict[tuple[str, str], list[int]] = {
        kind: [] for kind in (*((title, colour) for title, colour, _ in _KINDS), _OTHER)
    }
    for index, layer in enumerate(layers):
        base = layer.base.lower()
        fitting = [(k, c) for k, c, words in _KINDS if any(word in base for word in words)]
        groups[fitting[0] if fitting else _OTHER].append(index)
    return [(kind, colour, members) for (kind, colour), members in groups.items() if members]


def _details(layer: LayerInfo) -> str:
    lines = [
        f"<b>{escaped(_name(layer))}</b>",
        escaped(layer.kind),
        f"{_shape(layer.input_shape)} → {_shape(layer.output_shape)}",
        f"{layer.parameters:,} parameters",
        f"{layer.multiply_adds:,} multiply-adds",
    ]
    if layer.calls > 1:
        lines.append(f"called {layer.calls} times")
    return "<br>".join(lines)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) or "scalar"
