"""Where the pieces of a tokenizer stand in a text, for tokenizers that do not say it themselves."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_SPACES = ("▁", "Ġ")  # how tokenizers write a space
_AHEAD = 24  # letters that a tokenizer may have left out before a piece


def aligned(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """The characters of ``text`` that each piece spells, in order; none, ``(n, n)``, for a piece
    that is not found near the one before. Case and forms of letters that are alike do not count.
    """
    letters = [(part, place) for place, letter in enumerate(text) for part in _plain(letter)]
    spelt = "".join(part for part, _ in letters)
    places = [place for _, place in letters]
    spans: list[tuple[int, int]] = []
    reached = 0
    for piece in pieces:
        wanted = _plain(_bare(piece))
        start = spelt.find(wanted, reached, reached + len(wanted) + _AHEAD) if wanted else -1
        if start < 0:
            here = spans[-1][1] if spans else 0
            spans.append((here, here))
            continue
        reached = start + len(wanted)
        spans.append((places[start], places[reached - 1] + 1))
    return spans


def _bare(piece: str) -> str:
    for space in _SPACES:
        piece = piece.replace(space, " ")
    return piece.strip().removeprefix("##").removesuffix("</w>").removesuffix("@@")


def _plain(letters: str) -> str:
    return unicodedata.normalize("NFKC", letters).casefold()
