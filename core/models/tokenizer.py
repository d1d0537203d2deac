"""What a tokenizer has to provide, and what it makes of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

_LEFT_OUT = " … "


@dataclass(frozen=True)
class Encoded:
    """A text as tokens, all of the same length.

    ``spans`` are characters of the text, half open, ``(n, n)`` for a special token; ``pieces`` is
    what people should see.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]
    pieces: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Sequence[int]) -> Encoded:
        """The tokens in these places."""
        return Encoded(
            tuple(self.ids[i] for i in places),
            tuple(self.spans[i] for i in places),
            tuple(self.special[i] for i in places),
            tuple(self.pieces[i] for i in places),
        )


class Tokenizer(Protocol):
    """Text to tokens and back; safe to be used by several threads."""

    @property
    def limit(self) -> int | None:
        """The most tokens that the model takes, if there is a bound."""

    @property
    def pad(self) -> int | None:
        """The id that stands for nothing."""

    @property
    def mask(self) -> int | None:
        """The id that stands for a hidden token."""

    def encode(self, text: str) -> Encoded:
        """All tokens of a text, never cut, with the special ones that the model expects."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text that tokens spell, without special ones."""


def cut(encoded: Encoded, limit: int | None, where: str) -> tuple[Encoded, int]:
    """At most ``limit`` tokens, and how many were cut away: at the ``start``, in the ``middle`` or
    at the ``end``. Special tokens stay.
    """
    surplus = 0 if limit is None else len(encoded) - limit
    if surplus <= 0:
        return encoded, 0
    plain = [place for place, special in enumerate(encoded.special) if not special]
    kept = max(0, len(plain) - surplus)
    head = {"start": 0, "middle": (kept + 1) // 2, "end": kept}[where]
    gone = set(plain[head : head + len(plain) - kept])
    return encoded.take([place for place in range(len(encoded)) if place not in gone]), len(gone)


def fitted(text: str, encoded: Encoded) -> tuple[str, Encoded]:
    """The part of a text that is left after ``cut``, with " … " where its middle was, and the
    tokens with their spans in it.
    """
    places = [i for i, special in enumerate(encoded.special) if not special]
    if not places:
        return text, encoded
    first, last = encoded.spans[places[0]][0], encoded.spans[places[-1]][1]
    gaps = [(encoded.spans[b][0] - encoded.spans[a][1], a) for a, b in pairwise(places)]
    wide, before = max(gaps, default=(0, 0))
    left = encoded.spans[before][1] if wide > len(_LEFT_OUT) else last
    right = left + wide if wide > len(_LEFT_OUT) else last
    short = text[first:left] + (_LEFT_OUT + text[right:last] if right < last else "")
    moved = right - left - len(_LEFT_OUT)

    def place(at: int) -> int:
        at = min(max(at, first), last)
        return at - first - (moved if right < last and at >= right else 0)

    spans = tuple((place(start), place(end)) for start, end in encoded.spans)
    return short, replace(encoded, spans=spans)
