"""Attributions of a row of a table as figures: from the baseline's score to the row's, column by
column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import Attribution
from core.tasks import Columns
from dashboard.figures.caption import elided, escaped
from dashboard.theme import accent, greys, signed, template

_ROW, _HEAD, _FOOT = 27, 46, 62  # pixels of a bar, of a title, of an axis with its name
_LONGEST = 30  # characters of a label
_APART = {1: 0.0, 2: 0.3, 3: 0.22}  # shares of the width, for the labels between


def waterfalls(
    results: Sequence[Attribution],
    titles: Mapping[str, str],
    *,
    most: int = 12,
    across: int = 3,
    shared: bool = False,
    dark: bool = False,
) -> go.Figure:
    """For each result its ``most`` weightiest columns, the weightiest on top; the others together.

    Methods whose values sum to f(x) - f(baseline) are drawn as steps from the one to the other,
    others as bars from 0. Positive values speak for the target. Up to three stand side by side
    (``across``); with ``shared`` a length means the same number in all of one unit.
    """
    tone = greys(dark)
    columns = min(across, 3, max(1, len(results)))
    lines = max(1, -(-len(results) // columns))
    steps = [_steps(each, most) for each in results]
    longest = max((len(labels) for labels, _, _ in steps), default=1) + 2
    inner = lines * _ROW * longest + (lines - 1) * (_HEAD + _FOOT)
    figure = make_subplots(
        rows=lines,
        cols=columns,
        subplot_titles=[
            f"<b>{escaped(titles.get(each.method, each.method))}</b><br>"
            f"{escaped(elided(each.target.title, 28))}"
            for each in results
        ],
        horizontal_spacing=_APART[columns],
        vertical_spacing=(_HEAD + _FOOT) / inner,
    )
    spans = _spans(results, steps) if shared else {}
    for place, (each, (labels, values, hints)) in enumerate(zip(results, steps, strict=True)):
        row, column = divmod(place, columns)
        trace, ticks = _trace(each, labels, values, hints, dark)
        figure.add_trace(trace, row=row + 1, col=column + 1)
        figure.update_yaxes(
            tickvals=list(range(len(ticks))),
            ticktext=[escaped(elided(tick, _LONGEST)) for tick in ticks],
            ticklabelstandoff=4,
            range=(longest - 0.4, -0.6),
            showgrid=False,
            fixedrange=True,
            row=row + 1,
            col=column + 1,
        )
        figure.update_xaxes(
            title={"text": escaped(each.unit)},
            nticks=4,
            range=spans.get(_kind(each)),
            zeroline=True,
            zerolinecolor=tone.quiet,
            row=row + 1,
            col=column + 1,
        )
    figure.update_layout(
        template=template(dark),
        height=inner + _HEAD + 10 + _FOOT,
        margin={"l": 8, "r": 16, "t": _HEAD + 10, "b": _FOOT},
        showlegend=False,
        bargap=0.35,
    )
    figure.update_annotations(font={"size": 13, "color": tone.text})
    return figure


def _kind(each: Attribution) -> tuple[str, bool]:
    """Only values of one kind begin at the same point."""
    return each.unit, each.baseline_score is not None


def _spans(
    results: Sequence[Attribution],
    steps: Sequence[tuple[list[str], npt.NDArray[np.float64], list[str]]],
) -> dict[tuple[str, bool], tuple[float, float]]:
    """From the lowest point of what is drawn of each kind, as far as the longest kind of its unit
    goes: bars of one length mean the same number.
    """
    ends: dict[tuple[str, bool], list[float]] = {}
    for each, (_, values, _) in zip(results, steps, strict=True):
        start = each.baseline_score
        way = values if start is None else np.cumsum([start, *values])
        points = [0.0, *way.tolist(), *([] if start is None else [each.score])]
        ends.setdefault(_kind(each), []).extend((min(points), max(points)))
    widths: dict[str, float] = {}
    for (unit, _), found in ends.items():
        widths[unit] = max(widths.get(unit, 0.0), max(found) - min(found) or 1.0)
    return {
        (unit, steps): (min(found) - 0.04 * widths[unit], min(found) + 1.04 * widths[unit])
        for (unit, steps), found in ends.items()
    }


def _steps(each: Attribution, most: int) -> tuple[list[str], npt.NDArray[np.float64], list[str]]:
    """Labels, values and hints of the weightiest columns, and of the rest as one."""
    axis = each.axis
    if not isinstance(axis, Columns):
        raise TypeError(f"'{each.example}' is no row of a table")
    values = each.values.astype(np.float64)
    order = np.argsort(-np.abs(values), kind="stable")
    shown = order if len(order) <= most + 1 else order[:most]
    names = [f"{axis.names[i]} = {axis.values[i]}" for i in shown]
    labels = [_label(axis.names[i], axis.values[i]) for i in shown]
    found = values[shown]
    rest = order[len(shown) :]
    if len(rest):
        labels.append(f"{len(rest)} other columns")
        names.append(", ".join(axis.names[i] for i in rest[:6]) + (" …" if len(rest) > 6 else ""))
        found = np.append(found, values[rest].sum())
    return labels, found, names


def _label(name: str, value: str) -> str:
    """``name = value`` with the value whole where it is short."""
    value = elided(value, 12)
    return f"{elided(name, _LONGEST - 3 - len(value))} = {value}"


def _trace(
    each: Attribution,
    labels: list[str],
    values: npt.NDArray[np.float64],
    hints: list[str],
    dark: bool,
) -> tuple[go.Bar | go.Waterfall, list[str]]:
    ends = signed(dark)
    against, towards = ends[0][1], ends[-1][1]
    if each.baseline_score is None or each.delta is None:
        colours = [towards if value >= 0 else against for value in values]
        return go.Bar(
            x=values,
            y=np.arange(len(labels)),
            orientation="h",
            marker={"color": colours if each.signed else accent(dark), "cornerradius": 2},
            customdata=[escaped(hint) for hint in hints],
            hovertemplate=f"<b>%{{customdata}}</b><br>%{{x:.4g}} {escaped(each.unit)}"
            "<extra></extra>",
        ), labels
    ticks, steps = ["baseline", *labels], [each.baseline_score, *values]
    hints = ["the score of the baseline", *hints]
    measures = ["absolute", *["relative"] * len(values)]
    loose = 0.01 * max(abs(each.score - each.baseline_score), 1e-6)
    if abs(each.delta) > loose:
        ticks, steps = [*ticks, "not accounted for"], [*steps, -each.delta]
        hints, measures = [*hints, "the method's error, its delta"], [*measures, "relative"]
    ticks, steps = [*ticks, "this row"], [*steps, each.score]
    hints, measures = [*hints, "the score of this row"], [*measures, "total"]
    return go.Waterfall(
        x=steps,
        y=np.arange(len(ticks)),
        measure=measures,
        orientation="h",
        increasing={"marker": {"color": towards}},
        decreasing={"marker": {"color": against}},
        totals={"marker": {"color": greys(dark).quiet}},
        connector={"line": {"color": greys(dark).line, "width": 1}},
        customdata=[escaped(hint) for hint in hints],
        hovertemplate=f"<b>%{{customdata}}</b><br>%{{delta:.4g}} {escaped(each.unit)}"
        "<extra></extra>",
    ), ticks
