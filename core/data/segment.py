"""Words and sentences of a text in any script, and the feature axis that tokens lie on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

import regex

from core.tasks import Tokens

# Word boundaries of Unicode (UAX 29): ideographs stand alone, marks stay with their letters.
_WORD = regex.compile(r"\b\S", regex.WORD)
_SENTENCE = regex.compile(
    r"""(?<=[.!?…]["'”’»)\]]*)\s+(?=\S)|(?<=[。！？])(?=\S)|\n+(?=.)""", regex.DOTALL
)


class Pieces(Protocol):
    """Tokens of one part of a text (``core.models.tokenizer.Encoded``)."""

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Characters of the text, half open."""

    @property
    def special(self) -> tuple[bool, ...]:
        """Whether a token is none of the text's own."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """What people should see."""


def tokens(parts: Sequence[tuple[str, Pieces]]) -> Tokens:
    """The axis of one or more texts with their tokens; the texts are put on lines of their own."""
    text = "\n".join(each for each, _ in parts)
    word_starts = [match.start() for match in _WORD.finditer(text)]
    sentence_starts = [match.end() for match in _SENTENCE.finditer(text)]
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    special: list[bool] = []
    numbers: list[int] = []
    words: list[object] = []
    sentences: list[int | None] = []
    offset = 0
    for number, (each, encoded) in enumerate(parts):
        for (start, end), is_special, piece in zip(
            encoded.spans, encoded.special, encoded.pieces, strict=True
        ):
            shown = offset + start
            while shown < offset + end and text[shown].isspace():
                shown += 1
            # A token without a character of its own belongs to the word that it stands at.
            word = (number, bisect_right(word_starts, shown))
            words.append(object() if is_special else word)
            sentences.append(None if is_special else bisect_right(sentence_starts, shown))
            spans.append((offset + start, offset + end))
            pieces.append(piece)
            special.append(is_special)
            numbers.append(number)
        offset += len(each) + 1
    return Tokens(
        text=text,
        pieces=tuple(pieces),
        spans=tuple(spans),
        words=_numbered(words),
        sentences=_numbered(_filled(sentences)),
        special=tuple(special),
        parts=tuple(numbers),
    )


def _filled(values: Sequence[int | None]) -> list[object]:
    """Special tokens belong to the sentence before them, the first ones to the first."""
    found: list[object] = []
    last: object = next((value for value in values if value is not None), 0)
    for value in values:
        last = last if value is None else value
        found.append(last)
    return found


def _numbered(values: Sequence[object]) -> tuple[int, ...]:
    """Runs of equal values, numbered from 0."""
    found: list[int] = []
    for place, value in enumerate(values):
        changed = place > 0 and value != values[place - 1]
        found.append(found[-1] + changed if found else 0)
    return tuple(found)
