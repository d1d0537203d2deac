"""Attributions of a text as figures: bars of the weightiest words, or targets against words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.results import Attribution
from core.results.levels import Grouped, at_level
from core.tasks import Tokens
from dashboard.figures.caption import elided, escaped
from dashboard.theme import MAGNITUDE, accent, greys, signed, template

_ROW, _HEAD, _CELL = 26, 46, 26
_LONGEST = 18  # characters of a label


def token_bars(
    results: Sequence[Attribution],
    titles: Mapping[str, str],
    *,
    level: str = "word",
    fold_special: bool = True,
    most: int = 12,
    across: int = 3,
    dark: bool = False,
) -> go.Figure:
    """For each result its ``most`` weightiest words, the weightiest on top.

    Positive values speak for the target. Results of one unit share their axis' range.
    """
    tone, ends = greys(dark), signed(dark)
    columns = min(across, max(1, len(results)))
    lines = max(1, -(-len(results) // columns))
    found = [_weightiest(each, level, fold_special, most) for each in results]
    longest = max((len(groups) for _, groups in found), default=1)
    ranges = _ranges(results, found)
    figure = make_subplots(
        rows=lines,
        cols=columns,
        subplot_titles=[
            f"<b>{escaped(titles.get(each.method, each.method))}</b><br>"
            f"{escaped(elided(each.target.title, 28))}"
            for each in results
        ],
        horizontal_spacing=0.16 if columns > 1 else 0,
        vertical_spacing=0.22 / lines,
    )
    for place, (each, (groups, chosen)) in enumerate(zip(results, found, strict=True)):
        values = groups.values[chosen]
        colours = [ends[-1][1] if value >= 0 else ends[0][1] for value in values]
        words = [elided(groups.labels[i].strip() or "␣", _LONGEST) for i in chosen]
        row, column = divmod(place, columns)
        figure.add_trace(
            go.Bar(
                x=values,
                y=np.arange(len(chosen)),
                orientation="h",
                marker={"color": colours if each.signed else accent(dark), "cornerradius": 2},
                customdata=[escaped(groups.labels[i]) for i in chosen],
                hovertemplate="<b>%{customdata}</b><br>%{x:.4g} "
                f"{escaped(each.unit)}<extra></extra>",
            ),
            row=row + 1,
            col=column + 1,
        )
        figure.update_yaxes(
            tickvals=list(range(len(chosen))),
            ticktext=[escaped(word) for word in words],
            ticklabelstandoff=4,
            range=(longest - 0.4, -0.6),
            showgrid=False,
            fixedrange=True,
            row=row + 1,
            col=column + 1,
        )
        figure.update_xaxes(
            range=ranges[place],
            zeroline=True,
            zerolinecolor=tone.quiet,
            nticks=4,
            title={"text": escaped(each.unit)},
            row=row + 1,
            col=column + 1,
        )
    figure.update_layout(
        template=template(dark),
        height=lines * (_HEAD + _ROW * longest + 60) + 20,
        margin={"l": 8, "r": 8, "t": _HEAD + 10, "b": 8},
        showlegend=False,
        bargap=0.35,
    )
    figure.update_annotations(font={"size": 13, "color": tone.text})
    return figure


def token_matrix(
    results: Sequence[Attribution],
    titles: Mapping[str, str],
    *,
    level: str = "word",
    fold_special: bool = True,
    dark: bool = False,
) -> go.Figure:
    """Targets against words, one block for each method: what every word adds to every target.

    Blocks lie below each other over the same words; the colours of one unit are the same.
    """
    by_method: dict[str, list[Attribution]] = {}
    for each in results:
        by_method.setdefault(each.method, []).append(each)
    tone = greys(dark)
    heights = [len(block) for block in by_method.values()]
    figure = make_subplots(
        rows=len(by_method),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=min(0.9, 60 / (_CELL * sum(heights) + 60 * len(heights))),
        subplot_titles=[f"<b>{escaped(titles.get(name, name))}</b>" for name in by_method],
    )
    labels: tuple[str, ...] = ()
    for place, block in enumerate(by_method.values()):
        groups = [_groups(each, level, fold_special) for each in block]
        values, labels = np.stack([each.values for each in groups]), groups[0].labels
        limit = max(
            float(np.abs(_groups(each, level, fold_special).values).max(initial=0))
            for each in results
            if each.unit == block[0].unit
        )
        is_signed = block[0].signed
        figure.add_trace(
            go.Heatmap(
                z=values,
                x=np.arange(values.shape[1]),
                y=np.arange(values.shape[0]),
                zmin=-limit if is_signed else 0,
                zmax=limit,
                colorscale=signed(dark) if is_signed else MAGNITUDE,
                customdata=np.array(
                    [
                        [[escaped(each.target.title), escaped(word)] for word in labels]
                        for each in block
                    ]
                ),
                hovertemplate="<b>%{customdata[1]}</b> → %{customdata[0]}<br>%{z:.4g} "
                f"{escaped(block[0].unit)}<extra></extra>",
                xgap=1,
                ygap=1,
                showscale=place == 0,
                colorbar={"title": {"text": escaped(block[0].unit)}},
            ),
            row=place + 1,
            col=1,
        )
        figure.update_yaxes(
            tickvals=list(range(len(block))),
            ticktext=[escaped(elided(each.target.title, _LONGEST)) for each in block],
            range=(len(block) - 0.5, -0.5),
            showgrid=False,
            row=place + 1,
            col=1,
        )
    figure.update_xaxes(
        tickvals=list(range(len(labels))),
        ticktext=[escaped(elided(word.strip() or "␣", _LONGEST)) for word in labels],
        tickangle=-45,
        showgrid=False,
        showticklabels=False,
    )
    figure.update_xaxes(showticklabels=True, row=len(by_method), col=1)
    figure.update_layout(
        template=template(dark),
        height=_CELL * sum(heights) + 60 * len(heights) + 100,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
    )
    figure.update_annotations(font={"size": 13, "color": tone.text})
    return figure


def _groups(each: Attribution, level: str, fold_special: bool) -> Grouped:
    if not isinstance(each.axis, Tokens):
        raise TypeError(f"'{each.example}' is not a text")
    return at_level(each.axis, each.values, level, fold_special)


def _weightiest(
    each: Attribution, level: str, fold_special: bool, most: int
) -> tuple[Grouped, list[int]]:
    groups = _groups(each, level, fold_special)
    order = np.argsort(-np.abs(groups.values), kind="stable")[:most]
    return groups, [int(place) for place in order]


def _ranges(
    results: Sequence[Attribution], found: Sequence[tuple[Grouped, list[int]]]
) -> list[tuple[float, float]]:
    of_unit: dict[str, tuple[float, float]] = {}
    for each, (groups, _) in zip(results, found, strict=True):
        low, high = of_unit.get(each.unit, (0.0, 0.0))
        low = min(low, float(groups.values.min(initial=0)))
        of_unit[each.unit] = (low, max(high, float(groups.values.max(initial=0))))
    return [
        (1.08 * low, 1.08 * high) if high > low else (0.0, 1.0)
        for low, high in (of_unit[each.unit] for each in results)
    ]
