"""Values over tokens, words or sentences: sums of one another, so no level costs a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from core.errors import BadParameter
from core.tasks import Tokens

Level = Literal["token", "word", "sentence"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Grouped:
    """The parts of a text at one level, each with the sum of its tokens' values.

    ``values`` is float64 ``[group]``, or ``[row, group]`` for several rows of values; ``spans`` are
    characters of ``text``, ``(n, n)`` for what is not in it; ``tokens`` are the places of each
    group's tokens.
    """

    text: str
    labels: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]
    parts: tuple[int, ...]
    tokens: tuple[tuple[int, ...], ...]
    values: npt.NDArray[np.float64]


def at_level(
    axis: Tokens, values: npt.ArrayLike, level: str = "token", fold_special: bool = False
) -> Grouped:
    """``values`` ``[…, token]`` summed over the tokens of each word or sentence.

    Special tokens stay groups of their own at every level; with ``fold_special`` they are one last
    group together, so that the sum stays the same.

    Raises ``BadParameter`` for another level.
    """
    if level not in LEVELS:
        raise BadParameter(
            f"'{level}' is not a level, expected one of {', '.join(LEVELS)}.", "Leave it out."
        )
    ids = {"token": range(len(axis.pieces)), "word": axis.words, "sentence": axis.sentences}[level]
    groups: dict[tuple[int, int, int], list[int]] = {}
    folded: list[int] = []
    for place, number in enumerate(ids):
        if axis.special[place]:
            if fold_special:
                folded.append(place)
            else:
                groups[(axis.parts[place], number, place + 1)] = [place]
        else:
            groups.setdefault((axis.parts[place], number, 0), []).append(place)
    found = sorted(groups.values(), key=lambda places: places[0])
    labels = [_label(axis, places) for places in found]
    if folded:
        found.append(folded)
        labels.append("special tokens")
    array = np.asarray(values, dtype=np.float64)
    sums = [array[..., places].sum(axis=-1) for places in found]
    end = len(axis.text)
    return Grouped(
        text=axis.text,
        labels=tuple(labels),
        spans=tuple((end, end) if places is folded else _span(axis, places) for places in found),
        special=tuple(axis.special[places[0]] for places in found),
        parts=tuple(axis.parts[places[0]] for places in found),
        tokens=tuple(tuple(places) for places in found),
        values=np.stack(sums, axis=-1) if sums else array[..., :0],
    )


def _span(axis: Tokens, places: list[int]) -> tuple[int, int]:
    spans = [axis.spans[place] for place in places]
    return min(start for start, _ in spans), max(end for _, end in spans)


def _label(axis: Tokens, places: list[int]) -> str:
    start, end = _span(axis, places)
    return axis.text[start:end] if end > start else axis.pieces[places[0]]
