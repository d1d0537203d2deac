"""A word-by-word dictionary learned from sentence pairs: what a translator must beat.

IBM model 1 (Brown et al., "The mathematics of statistical machine translation", 1993): expectation
maximisation over which source word each target word comes from, whatever the order.
Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sample_models.verses import Pair, sentence, words

Floats = npt.NDArray[np.float64]
NOTHING = "∅"  # the source word of target words that come from none


class WordDictionary:
    """``chance(target word | source word)``, learned from pairs of sentences."""

    def __init__(self, pairs: Sequence[Pair], iterations: int = 8) -> None:
        sources = [[NOTHING, *words(source)] for source, _ in pairs]
        targets = [words(target) for _, target in pairs]
        self._source = {w: i for i, w in enumerate(sorted({w for s in sources for w in s}))}
        self._target = {w: i for i, w in enumerate(sorted({w for t in targets for w in t}))}
        together, groups = [], []
        group = 0
        for source, target in zip(sources, targets, strict=True):
            left = np.array([self._source[w] for w in source], np.int64)
            right = np.array([self._target[w] for w in target], np.int64)
            together.append((left * len(self._target) + right[:, None]).ravel())
            groups.append(np.repeat(np.arange(group, group + len(right)), len(left)))
            group += len(right)
        self._codes, which, self._times = np.unique(
            np.concatenate(together), return_inverse=True, return_counts=True
        )
        group_of = np.concatenate(groups)
        given = self._codes // len(self._target)
        self._chances: Floats = np.ones(len(self._codes))
        for _ in range(iterations):
            each = self._chances[which]
            each /= np.bincount(group_of, each, group)[group_of]  # the words that it may come from
            counts = np.bincount(which, each, len(self._codes))
            self._chances = counts / np.bincount(given, counts, len(self._source))[given]
        self._best = self._most(self._chances)

    def translate(self, text: str, by: Mapping[str, str] | None = None) -> str:
        """Each word by its most likely translation, in the order of the source; a word never seen
        stays as it is. ``by`` takes another dictionary.
        """
        best = self._best if by is None else by
        return sentence([best.get(word, word) for word in words(text)])

    def by_co_occurrence(self) -> dict[str, str]:
        """For each source word the target word that stands beside it most (Dice's coefficient)."""
        size = len(self._target)
        given, target = self._codes // size, self._codes % size
        of_source = np.bincount(given, self._times)
        of_target = np.bincount(target, self._times)
        return self._most(2 * self._times / (of_source[given] + of_target[target]))

    def align(self, source: Sequence[str], target: Sequence[str], pull: float = 4.0) -> Floats:
        """From which source word each target word comes: ``[target word, source word]``, each row
        summing to at most 1 (the rest comes from none).

        ``pull`` favours the same relative place in the sentence, after Dyer et al., "A simple,
        fast, and effective reparameterization of IBM model 2" (2013).
        """
        chances = self._lookup([NOTHING, *source], target)
        places = np.abs(
            (np.arange(len(source)) + 0.5) / len(source)
            - ((np.arange(len(target)) + 0.5) / len(target))[:, None]
        )
        near = np.exp(-pull * places)
        prior = np.hstack([np.full((len(target), 1), 0.08), 0.92 * near / near.sum(1)[:, None]])
        each = chances * prior
        return (each / np.maximum(each.sum(axis=1, keepdims=True), 1e-12))[:, 1:]

    def _lookup(self, source: Sequence[str], target: Sequence[str]) -> Floats:
        left = np.array([self._source.get(w, -1) for w in source])
        right = np.array([self._target.get(w, -1) for w in target])
        codes = left * len(self._target) + right[:, None]
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        known = (self._codes[places] == codes) & (left >= 0) & (right[:, None] >= 0)
        return np.where(known, self._chances[places], 0.0)

    def _most(self, worth: npt.NDArray[Any]) -> dict[str, str]:
        """For each source word the target word of greatest worth; ``worth`` belongs to the pairs of
        words that occur together.
        """
        given = self._codes // len(self._target)
        order = np.lexsort((worth, given))
        last = np.flatnonzero(np.diff(given[order], append=-1))
        best = self._codes[order[last]]
        source, target = list(self._source), list(self._target)
        return {source[c // len(target)]: target[c % len(target)] for c in best.tolist()}
