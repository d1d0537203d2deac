"""A surrogate tree drawn from left to right: questions, branches and answers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.results import Surrogate
from dashboard.figures.caption import elided, escaped
from dashboard.theme import accent, class_colour, greys, template

Floats = npt.NDArray[np.float64]
_ROW, _HEAD, _FOOT = 35, 66, 8  # pixels: of an answer, above the tree, below it
_LEAST = 340
_NARROW = 760
_LETTER = 6.9  # pixels
_BAR = 0.32  # the height of a node's bar, in rows
_WIDE = 0.62  # its width, in steps from a question to the next
_THICK = 0.5  # rows that a branch with all examples is thick
_THIN = 0.03
_CURVE = 24
_SHOWN = 10  # classes with a colour of their own
_REST = "other classes"


def surrogate_tree(found: Surrogate, *, width: int = 1000, dark: bool = False) -> go.Figure:
    """The tree with a bar of answers in each node, branches as thick as the examples that take
    them, what each answer is worth, and the way of the example in hand in the accent colour.

    Where a question is answered by yes the branch goes up. Counts are of all examples, fitted and
    held out; the shares of the answers are of held-out ones. Texts are cut to fit ``width`` pixels.
    """
    narrow = width < _NARROW
    tone = greys(dark)
    x, y = _places(found)
    counted = found.fitted + found.held_out
    figure = go.Figure(
        layout={
            "template": template(dark),
            "height": max(_LEAST, _HEAD + _FOOT + _ROW * len(found.leaves)),
            "title": {
                "text": f"<b>What {escaped(elided(found.model, 30))} answers, in "
                f"{_questions(found.depth)}</b><span style='color:{tone.quiet}'>"
                f" · {'' if narrow else 'a question answered by '}yes goes up</span>",
                "y": 1,
                "yanchor": "top",
                "pad": {"t": 10},
            },
            "margin": {"l": 8, "r": 8, "t": _HEAD, "b": _FOOT},
            "barmode": "overlay",
            "legend": {"traceorder": "normal", "y": 1.0, "itemclick": False},
            "hovermode": "closest",
            "dragmode": False,
        }
    )
    steps = set(zip(found.path[:-1].tolist(), found.path[1:].tolist(), strict=True))
    _branches(figure, found, x, y, counted, steps, dark)
    _bars(figure, found, x, y, counted, dark)
    _texts(figure, found, x, y, width, dark)
    figure.update_xaxes(
        visible=False, fixedrange=True, range=(-0.04, found.depth + _beside(width, found.depth))
    )
    figure.update_yaxes(visible=False, fixedrange=True, range=(len(found.leaves) - 0.4, -0.75))
    return figure


def _questions(depth: int) -> str:
    return "no question" if not depth else f"at most {depth} question{'s' * (depth > 1)}"


def _beside(width: int, depth: int) -> float:
    """Steps that an answer takes, with what stands beside it."""
    words = 84 if width < _NARROW else 120  # pixels
    return (_WIDE * width + words * depth) / max(1, width - words)


def _places(found: Surrogate) -> tuple[Floats, Floats]:
    """Where each node begins, in steps from the left, and its row, from the top."""
    x, y = np.zeros(len(found.feature)), np.zeros(len(found.feature))
    for row, leaf in enumerate(found.leaves):
        y[leaf] = row
    parents = found.parents
    for node in found.order:
        x[node] = x[parents[node]] + 1 if node else 0
    for node in reversed(found.order):
        if found.feature[node] >= 0:
            y[node] = np.mean([y[child] for child in found.branches(node)])
    return x, y


def _branches(
    figure: go.Figure,
    found: Surrogate,
    x: Floats,
    y: Floats,
    counted: npt.NDArray[np.int64],
    steps: set[tuple[int, int]],
    dark: bool,
) -> None:
    """Bands from each question to what follows; those of the example in hand on top."""
    total = counted[0].sum()
    bands: dict[bool, tuple[list[Floats], list[Floats]]] = {False: ([], []), True: ([], [])}
    curve = (1 - np.cos(np.linspace(0, np.pi, _CURVE))) / 2
    for node in found.order:
        if found.feature[node] < 0:
            continue
        parts = [counted[child].sum() / total for child in found.branches(node)]
        for child, part, side in zip(found.branches(node), parts, (-1, 1), strict=True):
            thick = max(_THIN, _THICK * part)
            start = y[node] + side * _BAR / 4
            line = start + (y[child] - start) * curve
            along = np.linspace(x[node] + _WIDE, x[child], _CURVE)
            across, up = bands[(node, child) in steps]
            across.append(np.concatenate([along, along[::-1], [np.nan]]))
            up.append(np.concatenate([line - thick / 2, (line + thick / 2)[::-1], [np.nan]]))
    for marked, (across, up) in bands.items():
        if across:
            figure.add_trace(
                go.Scatter(
                    x=np.concatenate(across),
                    y=np.concatenate(up),
                    mode="lines",
                    fill="toself",
                    fillcolor=accent(dark) if marked else greys(dark).line,
                    line={"width": 0},
                    opacity=0.85 if marked else 1,
                    hoverinfo="skip",
                    showlegend=False,
                )
            )


def _bars(
    figure: go.Figure,
    found: Surrogate,
    x: Floats,
    y: Floats,
    counted: npt.NDArray[np.int64],
    dark: bool,
) -> None:
    """The shares of the model's answers in each node, side by side."""
    totals = np.maximum(counted.sum(axis=1), 1)
    hints = [_hint(found, node) for node in range(len(x))]
    left = x.copy()
    for name, colour, places in _shown(found, counted, dark):
        width = counted[:, places].sum(axis=1) / totals * _WIDE
        there = width > 0
        figure.add_trace(
            go.Bar(
                x=width[there],
                base=left[there],
                y=y[there],
                width=_BAR,
                orientation="h",
                marker={"color": colour, "line": {"width": 0}},
                name=escaped(elided(name, 22)),
                customdata=[[hints[node], int(node)] for node in np.flatnonzero(there)],
                hovertemplate="%{customdata[0]}<extra></extra>",
                unselected={"marker": {"opacity": 1}},  # a click dims nothing
                legendrank=places[0] if name != _REST else 10_000,
            )
        )
        left += width
    for node in found.path.tolist():
        figure.add_shape(
            type="rect",
            x0=x[node],
            x1=x[node] + _WIDE,
            y0=y[node] - _BAR / 2,
            y1=y[node] + _BAR / 2,
            line={"color": greys(dark).text, "width": 2},
        )


def _shown(
    found: Surrogate, counted: npt.NDArray[np.int64], dark: bool
) -> list[tuple[str, str, list[int]]]:
    """Names, colours and places of the classes that the model gives; the rarest of many as one."""
    order = np.argsort(-counted[0], kind="stable")
    given = [int(place) for place in order if counted[0, place]]
    own = sorted(given if len(given) <= _SHOWN else given[: _SHOWN - 1])
    rest = sorted(set(given) - set(own))
    shown = [(found.classes[place], class_colour(place), [place]) for place in own]
    return [*shown, (_REST, greys(dark).quiet, rest)] if rest else shown


def _texts(
    figure: go.Figure, found: Surrogate, x: Floats, y: Floats, width: int, dark: bool
) -> None:
    tone, narrow = greys(dark), width < _NARROW
    longest = max(14, int(width / (found.depth + _beside(width, found.depth)) / _LETTER))
    path = set(found.path.tolist())
    for node in found.order:
        inner = found.feature[node] >= 0
        said = found.condition(node) if inner else found.classes[int(found.answer[node])]
        if inner and found.on == "regions" and len(said) > longest:
            said = said.replace("row ", "r").replace(", column ", " c")
        words = f"{escaped(_cut(said, longest))}{'?' if inner else ''}"
        figure.add_annotation(
            x=x[node],
            y=y[node] - _BAR / 2,
            text=f"<b>{words}</b>" if node in path or not inner else words,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            yshift=2,
            font={"size": 12, "color": tone.text},
            bgcolor=tone.page,
            borderpad=0,
        )
        if not inner:
            figure.add_annotation(
                x=x[node] + _WIDE,
                y=y[node],
                text=_worth(found, node, narrow),
                showarrow=False,
                xanchor="left",
                yanchor="middle",
                xshift=6,
                font={"size": 12, "color": tone.quiet},
            )


def _cut(text: str, length: int) -> str:
    """A question with three digits of its number where its name is too long."""
    name, sign, number = text.rpartition(" ≤ ")
    if sign and len(text) > length:
        number = f"{float(number.removesuffix(' or missing')):.3g}"
    return f"{elided(name, length - len(number) - 3)} ≤ {number}" if sign else elided(text, length)


def _worth(found: Surrogate, node: int, narrow: bool) -> str:
    count = int(found.held_out[node].sum())
    if not count:
        return "not tested"
    share = f"{found.agreement[node, 0]:.0%}"
    return f"{share} of {count}" if narrow else f"{share} of {count} agree"


def _hint(found: Surrogate, node: int) -> str:
    """All that is known of a node."""
    said = found.classes[int(found.answer[node])]
    asked = f"{found.condition(node)}?" if found.feature[node] >= 0 else f"answers {said}"
    fitted, held_out = int(found.fitted[node].sum()), int(found.held_out[node].sum())
    lines = [f"<b>{escaped(asked)}</b>", f"{fitted:,} examples fitted, {held_out:,} held out"]
    order = np.argsort(-(found.fitted[node] + found.held_out[node]), kind="stable")
    for place in order[:6]:
        counted = int(found.fitted[node, place]), int(found.held_out[node, place])
        if sum(counted):
            lines.append(f"{escaped(found.classes[place])}: {counted[0]:,} and {counted[1]:,}")
    if held_out:
        share, low, high = found.agreement[node]
        lines.append(
            f"“{escaped(said)}” agrees with {share:.1%} of the held-out<br>"
            f"95 % interval {low:.1%} to {high:.1%}"
        )
    return "<br>".join(lines)
