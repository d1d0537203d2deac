"""How much alike two attributions are, and their difference. Imports no torch: pages and commands
ask it too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from core.results.attribution import Attribution
from core.results.comparison import AttributionContrast
from core.results.levels import Grouped, at_level
from core.tasks import Columns, PixelGrid, Tokens

_PART = 0.1  # of the inputs: those with the largest magnitude


def alike(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Spearman's rank correlation of two attributions of the same inputs, and the share of the
    tenth with the largest magnitude that is the same; 1 for equal ones, also where all are zero.
    """
    a, b = one.ravel(), other.ravel()
    if np.array_equal(a, b):
        return 1.0, 1.0
    ranks = rankdata(a) - (len(a) + 1) / 2, rankdata(b) - (len(b) + 1) / 2
    lengths = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    rho = float(ranks[0] @ ranks[1]) / lengths if lengths else 0.0
    most = max(1, round(_PART * len(a)))
    first, second = (set(np.argsort(-np.abs(each), kind="stable")[:most]) for each in (a, b))
    return rho, len(first & second) / most


def contrasted(first: Attribution, second: Attribution) -> AttributionContrast:
    """Two attributions of one example beside each other, with their difference where there is one.

    Pixels must be as many; where only one tells channels apart, both are summed over them. Texts
    that are cut into other tokens are compared word by word, rows of tables column by column.
    """
    a, b, level, why = _aligned(first, second)
    if why:
        return AttributionContrast(first, second, None, np.nan, np.nan, level, why)
    values = (a.values - b.values).astype(np.float32)
    baseline = None
    if a.baseline_score is not None and b.baseline_score is not None:
        baseline = a.baseline_score - b.baseline_score
    difference = replace(
        a,
        values=values,
        score=a.score - b.score,
        baseline_score=baseline,
        delta=None,
        provenance=replace(
            a.provenance,
            inputs=(*a.provenance.inputs, b.provenance.weights),
            seconds=a.provenance.seconds + b.provenance.seconds,
        ),
    )
    return AttributionContrast(a, b, difference, *alike(a.values, b.values), level)


def _aligned(first: Attribution, second: Attribution) -> tuple[Attribution, Attribution, str, str]:
    """Both on one axis, what that is, and why there is none."""
    one, other = first.axis, second.axis
    if first.unit != second.unit:
        return first, second, "values", f"One is in {first.unit}, the other in {second.unit}."
    if isinstance(one, PixelGrid) and isinstance(other, PixelGrid):
        sizes = [f"{axis.height} × {axis.width}" for axis in (one, other)]
        if sizes[0] != sizes[1]:
            why = f"The first model sees {sizes[0]} pixels, the second {sizes[1]}."
            return first, second, "values", why
        if first.values.shape == second.values.shape:
            return first, second, "values", ""
        return (*(_flat(each) for each in (first, second)), "channels", "")  # type: ignore[return-value]
    if isinstance(one, Tokens) and isinstance(other, Tokens):
        if (one.pieces, one.spans) == (other.pieces, other.spans):
            return first, second, "values", ""
        words = [_by_word(each) for each in (first, second)]
        if words[0].axis == words[1].axis:
            return words[0], words[1], "word", ""
        why = (
            "The two models read other parts of the text: one of them cuts it, or splits its words."
        )
        return first, second, "word", why
    if isinstance(one, Columns) and isinstance(other, Columns) and one.names == other.names:
        return first, second, "values", ""
    return first, second, "values", "The two models do not read the same inputs."


def _flat(each: Attribution) -> Attribution:
    values = each.values.sum(axis=0, keepdims=True, dtype=np.float64)
    return replace(each, values=values.astype(np.float32))


def _by_word(each: Attribution) -> Attribution:
    """The same with words for tokens; special tokens are one last word together."""
    axis = each.axis
    if not isinstance(axis, Tokens):
        raise TypeError(f"'{each.example}' is not a text")
    found: Grouped = at_level(axis, each.values, "word", fold_special=True)
    count = len(found.labels)
    specials = [place for place, special in enumerate(found.special) if special]
    if not specials:  # the other may have some: a last word that adds nothing
        end = len(found.text)
        found = replace(
            found,
            labels=(*found.labels, "special tokens"),
            spans=(*found.spans, (end, end)),
            special=(*found.special, True),
            parts=(*found.parts, found.parts[-1] if count else 0),
            values=np.append(found.values, 0.0),
        )
    numbers = tuple(range(len(found.labels)))
    return replace(
        each,
        axis=Tokens(
            text=found.text,
            pieces=found.labels,
            spans=found.spans,
            words=numbers,
            sentences=(0,) * len(numbers),
            special=found.special,
            parts=(0,) * len(numbers),
        ),
        values=found.values.astype(np.float32),
    )
