"""What is saved and what is lost the more a model is compressed, and who pays for it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import Drift, Slice, Sweep
from core.results.compression import BROKEN
from dashboard.figures.caption import elided, escaped
from dashboard.theme import accent, class_colour, greys, signed, template

_MOST = 14


def tradeoff(found: Sweep, *, dark: bool = False) -> go.Figure:
    """Above the accuracy with its interval, in the middle how much alike the reasons are, below
    what is left of the size, over the swept setting. A line marks the first value at which the
    median rank correlation falls below 0.8 while the accuracy is still that of the model itself,
    within its interval; another the first at which the accuracy is lower.
    """
    tone = greys(dark)
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.36, 0.36, 0.28]
    )
    x = found.values
    what = "Accuracy" if found.labelled else "Same answer"
    _band(figure, found, what, accent(dark), tone.quiet)
    for name, values, colour, dash in (
        ("Rank correlation of reasons", found.spearman, class_colour(0), "solid"),
        ("Same strongest tenth of inputs", found.overlap, class_colour(1), "dot"),
    ):
        _line(figure, x, values, name, colour, dash, 2, "%{y:.3f}")
    for name, values, colour, dash in (
        ("File", found.bytes, class_colour(6), "solid"),
        ("Weights that are not zero", found.nonzero, class_colour(4), "dash"),
        ("Multiply-adds", found.multiply_adds, tone.quiet, "dot"),
    ):
        _line(figure, x, values, name, colour, dash, 3, "%{y:.1%}")
    figure.add_hline(y=BROKEN, line={"color": tone.quiet, "width": 1, "dash": "dot"}, row=2, col=1)
    _marks(figure, found, tone.text, tone.quiet)
    figure.update_layout(
        template=template(dark),
        height=560,
        title={"text": f"<b>{escaped(found.title)}</b> · over {escaped(found.setting)}"},
        margin={"l": 8, "r": 8, "t": 84, "b": 8},
        legend={"orientation": "h", "y": -0.1, "x": 0, "yanchor": "top"},
        hovermode="x unified",
    )
    figure.update_yaxes(title={"text": what.lower()}, tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title={"text": "reasons alike"}, row=2, col=1)
    figure.update_yaxes(
        title={"text": "what is left"}, tickformat=".0%", rangemode="tozero", row=3, col=1
    )
    backwards = len(x) > 1 and x[0] > x[-1]
    figure.update_xaxes(autorange="reversed" if backwards else True, zeroline=False)
    figure.update_xaxes(
        title={"text": f"{escaped(found.setting)}, more compression to the right"}, row=3, col=1
    )
    return figure


def _band(figure: go.Figure, found: Sweep, name: str, colour: str, quiet: str) -> None:
    value, low, high = found.accuracy.T
    figure.add_trace(
        go.Scatter(
            x=found.values,
            y=value,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": high - value,
                "arrayminus": value - low,
                "thickness": 1.5,
                "width": 4,
            },
            customdata=np.stack([low, high], axis=1),
            hovertemplate="%{y:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%})",
        ),
        row=1,
        col=1,
    )
    if found.labelled:
        line = {"color": quiet, "width": 1, "dash": "dash"}
        figure.add_hline(y=float(found.before[0]), line=line, row=1, col=1)


def _line(
    figure: go.Figure, x: object, y: object, name: str, colour: str, dash: str, row: int, form: str
) -> None:
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate=form,
        ),
        row=row,
        col=1,
    )


def _marks(figure: go.Figure, found: Sweep, strong: str, quiet: str) -> None:
    for place, words, colour, level in (
        (found.other_reasons, "other reasons, same accuracy", strong, 1.0),
        (found.less_accurate, "less accurate", quiet, 1.05),
    ):
        if place is None:
            continue
        at = float(found.values[place])
        figure.add_vline(
            x=at, line={"color": colour, "width": 1.5}, layer="below", row="all", col=1
        )
        left = place > len(found.values) / 2
        figure.add_annotation(
            x=at,
            y=level,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if left else "left",
            text=f"{words} from {at:g} on",
            showarrow=False,
            font={"color": colour, "size": 12},
        )


def harms(drift: Drift, *, most: int = _MOST, dark: bool = False) -> go.Figure:
    """How much less often each slice is answered rightly, with intervals of 95 %, the worst hit on
    top; left of the line is worse.
    """
    tone, ends = greys(dark), signed(dark)
    shown: tuple[Slice, ...] = drift.slices[:most]
    change = np.array([each.change for each in shown]).reshape(-1, 3)
    figure = go.Figure(
        go.Scatter(
            x=change[:, 0],
            y=list(range(len(shown))),
            mode="markers",
            marker={
                "size": 10,
                "color": [
                    ends[0][1] if high < 0 else ends[-1][1] if low > 0 else tone.quiet
                    for _, low, high in change
                ],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": np.maximum(change[:, 2] - change[:, 0], 0),
                "arrayminus": np.maximum(change[:, 0] - change[:, 1], 0),
                "thickness": 2,
                "width": 0,
                "color": tone.quiet,
            },
            customdata=[
                [escaped(f"{each.column}: {each.value}"), each.before[0], each.after[0],
                 each.lost, each.gained, each.p]
                for each in shown
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>right %{customdata[1]:.1%} before, "
            "%{customdata[2]:.1%} after<br>%{customdata[3]} lost, %{customdata[4]} gained, "
            "p = %{customdata[5]:.2g}<extra></extra>",
        ),
        layout={
            "template": template(dark),
            "height": 92 + 26 * max(len(shown), 1),
            "title": {"text": "<b>Who pays</b> · change of the share that is right"},
            "margin": {"l": 8, "r": 24, "t": 40, "b": 8},
            "dragmode": False,
        },
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": tone.text, "width": 1, "dash": "dot"})
    names = [
        value if each.column == "class" else f"{elided(each.column, 34 - len(value))}: {value}"
        for each in shown
        for value in [elided(each.value, 22)]
    ]
    figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[
            f"{escaped(name)} · {each.examples:,}" for name, each in zip(names, shown, strict=True)
        ],
        range=(len(shown) - 0.4, -0.6),
        showgrid=False,
        zeroline=False,
        ticklabelstandoff=6,
    )
    figure.update_xaxes(tickformat=".0%", nticks=7, zeroline=False)
    return figure
