"""Words that some texts have more often than the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import regex

_WORD = regex.compile(r"\p{L}[\p{L}\p{M}\p{N}'’-]*")
_PRIOR = 500.0  # words that the prior counts for
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Word:
    """A word: its log-odds ratio in standard deviations ``z`` (positive: more often inside), and in
    how many texts it occurs ``inside`` and ``outside``.
    """

    word: str
    z: float
    inside: int
    outside: int


def overrepresented(
    texts: Sequence[str], mask: npt.NDArray[np.bool_], most: int = 12
) -> tuple[Word, ...]:
    """The words that ``texts`` inside the ``mask`` bool ``[text]`` have more often than those
    outside: log-odds ratios with an informative Dirichlet prior, which keeps rare words from coming
    first (Monroe, Colaresi and Quinn 2008, doi 10.1093/pan/mpn018). Largest z first.
    """
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for text, chosen in zip(texts, mask, strict=True):
        (inside if chosen else outside).update(words(text))
    both = inside + outside
    total = sum(both.values())
    if not inside or not outside or not total:
        return ()
    names = list(both)
    here = np.array([inside[name] for name in names], np.float64)
    there = np.array([outside[name] for name in names], np.float64)
    prior = np.array([both[name] for name in names], np.float64) * (_PRIOR / total)
    logs = [
        np.log(counts + prior) - np.log(counts.sum() + _PRIOR - counts - prior)
        for counts in (here, there)
    ]
    z = (logs[0] - logs[1]) / np.sqrt(1 / (here + prior) + 1 / (there + prior))
    order = np.argsort(-z, kind="stable")[:most]
    return tuple(
        Word(names[place], float(z[place]), int(here[place]), int(there[place]))
        for place in order
        if z[place] > 0
    )


@lru_cache(_REMEMBERED)
def words(text: str) -> frozenset[str]:
    """The different words of a text, in small letters."""
    return frozenset(each.lower() for each in _WORD.findall(text))
