"""What a run came to: confusions, boundaries, and runs beside each other by their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, greys, signed, template


def confusion(
    matrix: npt.NDArray[np.float64],
    classes: Sequence[str],
    *,
    title: str,
    axes: tuple[str, str] = ("true", "predicted"),
    joined: str = "taken for",
    room: int = 90,
    dark: bool = False,
) -> go.Figure:
    """Confusions ``[true class, predicted class]`` as shares of each true class, with the counts
    written in where there is room. ``axes`` and ``joined`` say what else the two may be; there is
    ``room`` for so many letters side by side.
    """
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    labels = list(classes) or [str(place) for place in range(len(matrix))]
    names = [escaped(elided(label, 18)) for label in labels]
    small = len(matrix) <= 16
    places = list(range(len(matrix)))
    shares = matrix / totals
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=places,
            y=places,
            zmin=0,
            zmax=1,
            colorscale=MAGNITUDE,
            colorbar={"tickformat": ".0%", "thickness": 12},
            text=[[f"{count:.0f}" if count else "" for count in row] for row in matrix]
            if small
            else None,
            texttemplate="%{text}" if small else None,
            hoverinfo="skip",
        ),
        layout={
            "template": template(dark),
            "height": min(170 + 26 * len(matrix), 560),
            "title": {"text": f"<b>{escaped(title)}</b>"},
            "margin": {"l": 8, "r": 8, "t": 44, "b": 8},
            "dragmode": False,
        },
    )
    cells = [(true, said) for true in places for said in places]
    figure.add_trace(  # cells themselves cannot be clicked
        go.Scatter(
            x=[said for _, said in cells],
            y=[true for true, _ in cells],
            mode="markers",
            marker={"symbol": "square", "size": 20, "color": "rgba(0,0,0,0)"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[
                [true, said, int(matrix[true, said]), float(shares[true, said])]
                for true, said in cells
            ],
            text=[f"{names[true]} {escaped(joined)} {names[said]}" for true, said in cells],
            hovertemplate="%{text}<br>%{customdata[2]} times, %{customdata[3]:.1%}<extra></extra>",
            showlegend=False,
        )
    )
    ticks = {"tickvals": places, "ticktext": names, "showgrid": False, "zeroline": False}
    slant = -40 if sum(map(len, labels)) > room else 0
    figure.update_xaxes(
        **ticks,
        title={"text": escaped(axes[1])},
        tickangle=slant,
        range=(-0.5, len(matrix) - 0.5),
    )
    figure.update_yaxes(**ticks, title={"text": escaped(axes[0])}, range=(len(matrix) - 0.5, -0.5))
    return figure


def boundary(
    probabilities: npt.NDArray[np.float64], *, reach: float = 3.0, dark: bool = False
) -> go.Figure:
    """Probability of the second class over the plane of two features, ``[row, column]`` from
    ``-reach`` to ``reach``; the line is where it is one half.
    """
    across = np.linspace(-reach, reach, probabilities.shape[1])
    down = np.linspace(-reach, reach, probabilities.shape[0])
    figure = go.Figure(
        [
            go.Heatmap(
                z=probabilities,
                x=across,
                y=down,
                zmin=0,
                zmax=1,
                colorscale=list(signed(dark)),
                colorbar={"title": {"text": "probability"}, "thickness": 12},
                hovertemplate="first %{x:.2f} · second %{y:.2f}<br>%{z:.1%}<extra></extra>",
            ),
            go.Contour(
                z=probabilities,
                x=across,
                y=down,
                contours={"start": 0.5, "end": 0.5, "size": 1, "coloring": "none"},
                line={"color": greys(dark).text, "width": 2},
                showscale=False,
                hoverinfo="skip",
            ),
        ],
        layout={
            "template": template(dark),
            "height": 420,
            "title": {"text": "<b>Decision boundary</b> · probability of the second class"},
            "margin": {"l": 8, "r": 8, "t": 44, "b": 40},
        },
    )
    figure.update_xaxes(title={"text": "first feature"}, showgrid=False, zeroline=False)
    figure.update_yaxes(
        title={"text": "second feature"}, showgrid=False, zeroline=False, scaleanchor="x"
    )
    return figure


def parameter_lines(
    rows: Sequence[Mapping[str, Any]], metric: str, *, dark: bool = False
) -> go.Figure:
    """Parallel coordinates: one line per run across its parameters to its ``metric``, by which it
    is coloured. Parameters that all runs share are left out.
    """
    names = [name for name in rows[0] if name != metric] if rows else []
    varied = [name for name in names if len({str(row.get(name)) for row in rows}) > 1]
    values = np.array([float(row[metric]) for row in rows]) if rows else np.zeros(0)
    tone = greys(dark)
    return go.Figure(
        go.Parcoords(
            line={
                "color": values,
                "colorscale": MAGNITUDE,
                "showscale": True,
                "colorbar": {"thickness": 12, "title": {"text": escaped(metric)}},
            },
            dimensions=[*(_dimension(name, rows) for name in varied), _dimension(metric, rows)],
            labelfont={"color": tone.text, "size": 13},
            tickfont={"color": tone.quiet, "size": 12},
            rangefont={"color": "rgba(0,0,0,0)"},
        ),
        layout={
            "template": template(dark),
            "height": 340,
            "title": {"text": "<b>Parameters and outcome</b>"},
            "margin": {"l": 64, "r": 24, "t": 88, "b": 24},
        },
    )


def _dimension(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One axis: numbers as they are, anything else by its place in alphabetical order."""
    given = [row.get(name) for row in rows]
    label = escaped(name.replace("_", " "))
    if all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in given):
        ticks = sorted({float(each) for each in given})  # type: ignore[arg-type]  # numbers all
        few = {"tickvals": ticks, "ticktext": [f"{x:g}" for x in ticks]} if len(ticks) <= 6 else {}
        return {"label": label, "values": [float(x) for x in given], **few}  # type: ignore[arg-type]
    words = sorted({str(each) for each in given})
    return {
        "label": label,
        "values": [words.index(str(each)) for each in given],
        "tickvals": list(range(len(words))),
        "ticktext": [escaped(word) for word in words],
    }
