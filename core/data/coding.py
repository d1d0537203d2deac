"""Labels in another coding than a model's: 0 and 1, 1 and 2, yes and no, for names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

_NO: Final = frozenset({"no", "n", "false", "f", "0", "negative", "off"})
_YES: Final = frozenset({"yes", "y", "true", "t", "1", "positive", "on"})


def coding(given: Sequence[str], classes: Sequence[str]) -> tuple[npt.NDArray[np.int64], str]:
    """For each class of the data its place in ``classes``, -1 for none; and what was assumed.

    Names count first, without regard to case. Where no name fits, whole numbers are positions in
    the model's order: from 0 when there is a 0, from 1 when all up to the number of classes occur,
    else they could mean either. Yes and no, true and false, 1 and 0 are each other's.
    """
    place = {name.lower(): index for index, name in reversed(list(enumerate(classes)))}
    to = [place.get(name.lower(), -1) for name in given]
    said = ""
    if given and max(to) < 0:
        for way in (_opposites, _positions):
            if (found := way(given, classes)) is not None:
                to = found
                pairs = [
                    f"{name} is {classes[index]}" for name, index in zip(given, to, strict=True)
                ]
                said = f"labels in another coding: {', '.join(pairs[:6])}"
                said += " …" if len(pairs) > 6 else ""
                break
    return np.array(to, np.int64), said


def _opposites(given: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    if len(classes) != 2:
        return None
    ours, theirs = [_truth(name) for name in classes], [_truth(name) for name in given]
    if None in ours or None in theirs or ours[0] == ours[1] or len(set(theirs)) < len(theirs):
        return None
    return [ours.index(each) for each in theirs]


def _truth(name: str) -> bool | None:
    text = name.strip().lower().removesuffix(".0")
    return True if text in _YES else False if text in _NO else None


def _positions(given: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    texts = [name.strip().removesuffix(".0") for name in given]
    if not all(text.isdecimal() and len(text) < 7 for text in texts):
        return None
    if any(name.strip().isdecimal() for name in classes):
        return None  # the model's own classes are numbers, and none of these
    numbers = [int(text) for text in texts]
    if 0 in numbers and max(numbers) < len(classes):
        return numbers
    if sorted(numbers) == list(range(1, len(classes) + 1)):
        return [number - 1 for number in numbers]
    return None
