"""The tokenizers of the models for texts, as their cards describe them. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from core.models.card import ModelCard
from core.models.tokenizer import Encoded
from sample_models import topics, verses
from sample_models.subwords import NEW_WORD, PAD, SPECIAL, UNKNOWN, Subwords

Found = tuple[str, int, int]  # a word as the model knows it, and its characters in the text
MOST_WORDS = 1_000  # of a text, in training too
MOST_PIECES = 512
_LONGEST = 200  # letters of a word that is read as one


@dataclass(frozen=True)
class WordTokenizer:
    """Whole words; what is not in the vocabulary is ``<unknown>``, which stands for hidden words
    too: in training, words were left out that way.
    """

    known: tuple[str, ...]
    index: dict[str, int]
    limit: int | None = MOST_WORDS
    pad: int | None = PAD
    mask: int | None = UNKNOWN

    def encode(self, text: str) -> Encoded:
        """The words of a text; numbers and signs are not seen by the model."""
        found = list(_words(text, topics.WORD))
        return Encoded(
            ids=tuple(self.index.get(word, UNKNOWN) for word, _, _ in found),
            spans=tuple((start, end) for _, start, end in found),
            special=(False,) * len(found),
            pieces=tuple(text[start:end] for _, start, end in found),
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The words, each unknown one as a question mark."""
        words = ("?" if i == UNKNOWN else self.known[i - len(SPECIAL)] for i in ids if i >= UNKNOWN)
        return " ".join(words)


@dataclass(frozen=True)
class SubwordTokenizer:
    """Pieces of words and punctuation marks; no special tokens in a text."""

    subwords: Subwords
    limit: int | None = MOST_PIECES
    pad: int | None = PAD
    mask: int | None = None

    def encode(self, text: str) -> Encoded:
        """The pieces of a text. A bare beginning of a word stands for the space before it."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for word, start, end in _bearable(_words(text, verses.WORD)):
            place = start
            for piece in self.subwords.encode([word]):
                spelt = "?" if piece == UNKNOWN else self.subwords.pieces[piece]
                size = len(spelt.removeprefix(NEW_WORD))
                ids.append(piece)
                free = not spans or spans[-1][1] < place
                if size == 0 and free and text[place - 1 : place].isspace():
                    spans.append((place - 1, place))
                else:
                    spans.append((place, min(end, place + size)))
                    place = spans[-1][1]
        pieces = (text[a:b].strip() or NEW_WORD for a, b in spans)
        return Encoded(tuple(ids), tuple(spans), (False,) * len(ids), tuple(pieces))

    def decode(self, ids: Sequence[int]) -> str:
        """The sentence that pieces spell, up to the first end."""
        return verses.sentence(self.subwords.decode(ids))


def words(about: ModelCard) -> WordTokenizer:
    """The tokenizer of a card with a list of words."""
    known = tuple(about.raw["preprocessing"]["words"].split(" "))
    return WordTokenizer(known, {word: i for i, word in enumerate(known, start=len(SPECIAL))})


def subwords(about: ModelCard) -> SubwordTokenizer:
    """The tokenizer of a card with characters and merges."""
    return SubwordTokenizer(Subwords.from_json(dict(about.raw["preprocessing"])))


def _bearable(found: Iterator[Found]) -> Iterator[Found]:
    """The same with endless words in parts: merging takes the square of a word's length."""
    for word, start, end in found:
        if len(word) <= _LONGEST or len(word) != end - start:
            yield word, start, end
            continue
        for first in range(0, len(word), _LONGEST):
            part = word[first : first + _LONGEST]
            yield part, start + first, start + first + len(part)


def _words(text: str, pattern: re.Pattern[str]) -> Iterator[Found]:
    """Words in lower case with their places in the text as it stands: a few letters become two."""
    lowered = text.lower().replace("’", "'")
    if len(lowered) == len(text):
        places: Sequence[int] = range(len(text) + 1)
    else:
        ends = accumulate(len(letter.lower()) for letter in text)
        starts = {0: 0} | {end: place for place, end in enumerate(ends, start=1)}
        places, last = [], 0
        for position in range(len(lowered) + 1):
            last = starts.get(position, last)
            places.append(last)
    for match in pattern.finditer(lowered):
        yield match[0], places[match.start()], places[match.end()]
