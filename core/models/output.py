"""What a model says, as tokens with their places in its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import BadInput
from core.models.tokenizer import Encoded, Tokenizer
from core.tasks import OTHER_OUTPUT, WHOLE_OUTPUT

START, END = "<start>", "<end>"
_NOTHING = Encoded((), (), (), ())


@dataclass(frozen=True)
class Said:
    """An output: its text, and its tokens with their spans in it."""

    text: str
    encoded: Encoded


def spelt(tokenizer: Tokenizer, ids: tuple[int, ...], end: int | None) -> Said:
    """Produced tokens with their text."""
    text = tokenizer.decode(ids)
    ended = ids[-1] == end or not tokenizer.decode(ids[-1:])
    spoken = ids[:-1] if ended else ids
    encoded = without_special(tokenizer.encode(text)) if text.strip() else _NOTHING
    if encoded.ids != spoken:  # the model spells it in another way than the tokenizer would
        spans, reached = [], 0
        for place in range(len(spoken)):
            begun = _shared(tokenizer.decode(spoken[: place + 1]), text)
            spans.append((reached, max(reached, begun)))
            reached = spans[-1][1]
        pieces = [text[start:stop].strip() for start, stop in spans]
        encoded = Encoded(spoken, tuple(spans), (False,) * len(spoken), tuple(pieces))
    return Said(text, joined(encoded, special_token(ids[-1], END, len(text))) if ended else encoded)


def names(said: Sequence[Said]) -> tuple[str, ...]:
    """What the outputs are called, each by a name of its own."""
    seen: Counter[str] = Counter()
    found = []
    for name in (*said[0].encoded.pieces, WHOLE_OUTPUT, *([OTHER_OUTPUT] * (len(said) > 1))):
        shown = name.strip() or "␣"
        seen[shown] += 1
        found.append(shown if seen[shown] == 1 else f"{shown} ({seen[shown]})")
    return tuple(found)


def until(end: int | None, ids: list[int]) -> list[int]:
    """Produced tokens with the first end, without what follows it."""
    return ids[: ids.index(end) + 1] if end in ids else ids


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def without_special(encoded: Encoded) -> Encoded:
    """The tokens that are text."""
    return encoded.take([place for place, special in enumerate(encoded.special) if not special])


def special_token(token: int, piece: str, place: int) -> Encoded:
    """One token that is not in the text, shown as ``piece`` in this place of it."""
    return Encoded((token,), ((place, place),), (True,), (piece,))


def joined(first: Encoded, second: Encoded) -> Encoded:
    """The tokens of one after those of the other, in the same text."""
    return Encoded(
        first.ids + second.ids,
        first.spans + second.spans,
        first.special + second.special,
        first.pieces + second.pieces,
    )


def wordless(output: str) -> BadInput:
    """The error for an output without tokens."""
    return BadInput(
        f"The output '{output[:40]}' holds nothing that the model knows as text.",
        "Write some words, or leave it out to explain what the model produces.",
    )
