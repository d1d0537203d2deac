"""Values of words on a terminal: one table per method, one column per output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from core.results import Attribution, Prediction
from core.results.levels import Grouped, at_level
from core.tasks import OTHER_OUTPUT, WHOLE_OUTPUT, Tokens

_WIDEST = 28  # cells of a word, and of an output's name
_BAR = 20
_COLUMNS = 5  # outputs side by side
_JOINERS = "\u200c\u200d"  # part of emoji and of words in several scripts
_PARTS = ("", "output", "other")


def answer(prediction: Prediction) -> str:
    """``review.txt: positive 0.93, neutral 0.05`` in one line; for a model that writes what it
    says, with the probability of the whole.
    """
    name = plain(prediction.example)
    columns = [each for each in (WHOLE_OUTPUT, OTHER_OUTPUT) if each in prediction.classes]
    if columns and isinstance(prediction.axis, Tokens):
        lines = []
        for said, column in zip(_outputs(prediction.axis, len(columns)), columns, strict=True):
            chance = prediction.probabilities[prediction.classes.index(column)]
            lines.append(f"{name} → {plain(said)}  {chance:.3g}")
        return "\n".join(lines)
    best = (
        f"{plain(prediction.classes[index])} {prediction.probabilities[index]:.3g}"
        for index in prediction.top(3)
    )
    return f"{name}: {', '.join(best)}"


def _outputs(axis: Tokens, count: int) -> list[str]:
    """The ``count`` texts that a model said: the last ones on the axis, told apart by their
    tokens, or by lines where one is a single token, which no other heard.
    """
    starts: dict[int, int] = {}
    for (start, _), part in zip(axis.spans, axis.parts, strict=True):
        starts[part] = min(start, starts.get(part, start))
    firsts = [starts[part] for part in range(1, count + 1) if part in starts]
    if len(firsts) < count:
        return axis.text.rsplit("\n", count)[-count:]
    ends = [first - 1 for first in firsts[1:]] + [len(axis.text)]
    return [axis.text[first:end] for first, end in zip(firsts, ends, strict=True)]


def tables(
    attributions: Sequence[Attribution], title: str, level: str = "word", special: bool = False
) -> str:
    """The values of one method for the outputs of one text, in the order of the text.

    ``special`` shows each special token on a line of its own; otherwise they are one last line.

    Raises ``BadParameter`` for another level.
    """
    blocks = []
    for first in range(0, len(attributions), _COLUMNS):
        some = attributions[first : first + _COLUMNS]
        axis = some[0].axis
        if not isinstance(axis, Tokens):
            raise TypeError(f"a table of words, asked of {axis.kind}")
        values = np.stack([each.values for each in some])
        groups = at_level(axis, values, level, fold_special=not special)
        blocks.append(_table(groups, some, title))
    return "\n".join(blocks)


def _table(groups: Grouped, some: Sequence[Attribution], title: str) -> str:
    labels = [_label(groups, place) for place in range(len(groups.labels))]
    heads = [_shortened(each.target.title) for each in some]
    width = max(5, *map(cell_len, labels))  # that of "delta"
    columns = [max(9, cell_len(head)) for head in heads]
    lines = [f"{title}, {some[0].unit}"]
    lines.append(_row("", width, heads, columns))
    peak = float(np.abs(groups.values).max(initial=0.0)) or 1.0
    for place, label in enumerate(labels):
        cells = [_number(value, some[0].signed) for value in groups.values[:, place]]
        line = _row(label, width, cells, columns)
        if len(some) == 1:
            length = round(abs(groups.values[0, place]) / peak * _BAR)
            line += "  " + ("█" if groups.values[0, place] > 0 else "░") * length
        lines.append(line.rstrip())
    if all(each.baseline_score is not None for each in some):
        sums = [_number(value, some[0].signed) for value in groups.values.sum(axis=1)]
        lines.append(_row("sum", width, sums, columns).rstrip())
        deltas = [f"{each.delta or 0.0:+.1e}" for each in some]
        lines.append(_row("delta", width, deltas, columns).rstrip())
    return "\n".join(lines) + "\n"


def _label(groups: Grouped, place: int) -> str:
    part = _PARTS[groups.parts[place]]
    return _shortened((f"{part}: " if part else "") + groups.labels[place])


def _row(label: str, width: int, cells: Sequence[str], columns: Sequence[int]) -> str:
    padded = [
        " " * (size - cell_len(cell)) + cell for cell, size in zip(cells, columns, strict=True)
    ]
    return "  ".join([set_cell_size(label, width), *padded])


def _number(value: float, signed: bool) -> str:
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def _shortened(text: str) -> str:
    line = plain(text)
    return line if cell_len(line) <= _WIDEST else set_cell_size(line, _WIDEST - 1) + "…"


def plain(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    line = " ".join(text.split()) or "␣"
    return "".join(each if each.isprintable() or each in _JOINERS else "·" for each in line)
