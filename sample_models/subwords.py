"""Subwords: byte-pair encoding learned from the training texts (Sennrich et al., arXiv 1508.07909).

Frequent words stay whole, rare ones fall into pieces that other words share, so that a small
vocabulary leaves nothing unknown but characters never seen. Imports nothing beyond Python.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
PAD, START, END, UNKNOWN = range(4)
NEW_WORD = "▁"  # begins the first piece of every word


class Subwords:
    """A vocabulary of pieces with the merges, in order, that make them."""

    def __init__(self, characters: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
        self.characters = tuple(characters)
        self.merges = tuple(merges)
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        self.pieces = (*SPECIAL, *self.characters, *("".join(pair) for pair in self.merges))
        self._index: dict[str, int] = {}
        for position, piece in enumerate(self.pieces):
            self._index.setdefault(piece, position)
        self._known: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.pieces)

    @classmethod
    def learn(cls, words: Iterable[str], size: int) -> Subwords:
        """At most ``size`` pieces from a stream of words: again and again, the most frequent pair
        of neighbours becomes one piece.
        """
        counts = Counter(words)
        spelt = {word: list(NEW_WORD + word) for word in counts}
        characters = sorted({letter for letters in spelt.values() for letter in letters})
        pairs: Counter[tuple[str, str]] = Counter()
        found_in: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for word, letters in spelt.items():
            for pair in pairwise(letters):
                pairs[pair] += counts[word]
                found_in[pair].add(word)
        heap = [(-count, pair) for pair, count in pairs.items()]
        heapify(heap)
        merges: list[tuple[str, str]] = []
        while heap and len(SPECIAL) + len(characters) + len(merges) < size:
            count, best = heappop(heap)
            if -count != pairs[best]:  # an old count; the new one is in the heap too
                continue
            if pairs[best] < 2:
                break
            merges.append(best)
            changed: set[tuple[str, str]] = set()
            for word in found_in[best]:
                before = spelt[word]
                after = spelt[word] = _merged(before, best)
                for pair in pairwise(before):
                    pairs[pair] -= counts[word]
                for pair in pairwise(after):
                    pairs[pair] += counts[word]
                    found_in[pair].add(word)
                changed.update(pairwise(before), pairwise(after))
            for pair in changed - {best}:
                heappush(heap, (-pairs[pair], pair))
            del pairs[best], found_in[best]
        return cls(characters, merges)

    def encode(self, words: Iterable[str]) -> list[int]:
        """The pieces of these words as positions in ``pieces``."""
        return [index for word in words for index in self._encode_word(word)]

    def decode(self, indices: Iterable[int]) -> list[str]:
        """The words that pieces spell, up to the first ``<end>``."""
        text = ""
        for index in indices:
            if index == END:
                break
            if index not in (PAD, START):
                text += f"{NEW_WORD}?" if index == UNKNOWN else self.pieces[index]
        return [word for word in text.split(NEW_WORD) if word]

    def as_json(self) -> dict[str, str]:
        """The vocabulary as two texts: its characters, and its merges one after the other."""
        return {
            "characters": "".join(self.characters),
            "merges": " ".join(f"{left} {right}" for left, right in self.merges),
        }

    @classmethod
    def from_json(cls, value: dict[str, str]) -> Subwords:
        """The vocabulary in what ``as_json`` gave."""
        parts = value["merges"].split(" ")
        return cls(tuple(value["characters"]), list(zip(parts[::2], parts[1::2], strict=True)))

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._known:
            pieces = list(NEW_WORD + word)
            while len(pieces) > 1:
                ranked = [
                    (self._rank[pair], pair) for pair in pairwise(pieces) if pair in self._rank
                ]
                if not ranked:
                    break
                pieces = _merged(pieces, min(ranked)[1])
            self._known[word] = [self._index.get(piece, UNKNOWN) for piece in pieces]
        return self._known[word]


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    result: list[str] = []
    position = 0
    while position < len(pieces):
        if tuple(pieces[position : position + 2]) == pair:
            result.append("".join(pair))
            position += 2
        else:
            result.append(pieces[position])
            position += 1
    return result
