"""Who pays for a smaller model: how often it is right before and after, group by group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from core.comparison.compare import mcnemar
from core.evaluation.columns import columns
from core.evaluation.groups import parts
from core.evaluation.metrics import share
from core.results.activations import Capture
from core.results.compression import Slice

Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def harmed(found: Capture, said: Sequence[Labels]) -> tuple[Slice, ...]:
    """The true classes and the values of every column of a capture, of what was ``said`` before and
    after about its labelled examples; those first that lost most. Of groups that hold the same
    examples only one. Nothing without labels.
    """
    if found.labels is None or not (found.labels >= 0).any():
        return ()
    rows = np.flatnonzero(found.labels >= 0)
    before, after = (answers[rows] == found.labels[rows] for answers in said)
    groups: dict[bytes, tuple[str, str, Mask]] = {}
    for column in columns(found):
        for value, mask in parts(found, rows, column):
            groups.setdefault(mask.tobytes(), (column, value, mask))
    slices = [
        _slice(column, value, before[mask], after[mask]) for column, value, mask in groups.values()
    ]
    return tuple(sorted(slices, key=lambda each: (each.change[0], each.p)))


def paired_change(before: Mask, after: Mask) -> npt.NDArray[np.float64]:
    """The share right after less that before, of the same examples, with its interval of 95 %
    (Bonett and Price 2012, adjusted Wald: two examples are added that changed either way).
    """
    count = len(before)
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    a, b = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    reach = float(norm.ppf(0.975)) * np.sqrt((a + b - (a - b) ** 2) / (count + 2))
    ends = np.clip([a - b - reach, a - b + reach], -1, 1)
    return np.array([(gained - lost) / count, *ends])


def _slice(column: str, value: str, before: Mask, after: Mask) -> Slice:
    test = mcnemar(before, after)
    return Slice(
        column,
        value,
        len(before),
        share(before),
        share(after),
        paired_change(before, after),
        test.first,
        test.second,
        test.p,
    )
