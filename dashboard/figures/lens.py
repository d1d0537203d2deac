"""The answer on the way through the blocks of a Transformer."""

from __future__ import annotations

import plotly.graph_objects as go

from core.results import LogitLens
from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, greys, template

_MOST = 24  # positions drawn
_CELL = 34


def lens_map(lens: LogitLens, *, first: int = 0, dark: bool = False) -> go.Figure:
    """What each block (row, the last one on top) would say in each position (column), coloured by
    the probability that it gives to the model's own answer; at most 24 positions from ``first``.
    """
    columns = range(first, min(len(lens.positions), first + _MOST))
    rows = range(len(lens.layers))
    words = [[escaped(elided(lens.best[row][at][0], 11)) for at in columns] for row in rows]
    hover = [
        [
            "<br>".join(
                f"{escaped(name)} {share:.1%}"
                for name, share in zip(
                    lens.best[row][at], lens.probabilities[row, at].tolist(), strict=True
                )
            )
            + f"<br>own answer {escaped(lens.answers[at])}: place {int(lens.rank[row, at]) + 1}"
            + f"<br>divergence {float(lens.divergence[row, at]):.2f} nats"
            for at in columns
        ]
        for row in rows
    ]
    tone = greys(dark)
    figure = go.Figure(
        go.Heatmap(
            z=[[float(lens.chance[row, at]) for at in columns] for row in rows],
            text=words,
            texttemplate="%{text}",
            textfont={"size": 11},
            zmin=0,
            zmax=1,
            colorscale=MAGNITUDE,
            xgap=2,
            ygap=2,
            customdata=hover,
            hovertemplate="<b>%{y}</b><br>%{customdata}<extra></extra>",
            x=list(range(len(columns))),
            y=[escaped(name) for name in lens.layers],
            colorbar={"thickness": 12, "tickformat": ".0%", "title": {"text": "own answer"}},
        ),
        layout={
            "template": template(dark),
            "height": 120 + _CELL * len(lens.layers),
            "title": {
                "text": "<b>What each block would say</b>"
                f"<span style='color:{tone.quiet}'> · colour: probability of the answer</span>"
            },
            "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
        },
    )
    figure.update_xaxes(
        tickvals=list(range(len(columns))),
        ticktext=[escaped(elided(lens.positions[at], 14)) for at in columns],
        tickangle=-40 if len(columns) > 6 else 0,
        showgrid=False,
    )
    figure.update_yaxes(type="category", showgrid=False)
    return figure
