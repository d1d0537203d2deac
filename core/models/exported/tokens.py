"""The tokenizer that came with a model of one's own: a list of words, or a ``tokenizer.json``.

Both are data: nothing that a file names is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import BadModel, shortened
from core.models.card import ModelCard
from core.models.tokenizer import Encoded, Tokenizer

_WORD = re.compile(r"\w+|[^\w\s]")
_SPECIAL = ("pad", "mask", "unk", "cls", "sep", "bos", "eos")
_NEXT = "Give the tokenizer.json of the model with --tokenizer."


class WordList:
    """Words and signs by their place in a list; ``pad`` and ``unknown`` are two of them."""

    mask: int | None = None

    def __init__(self, words: Sequence[str], about: Mapping[str, Any], limit: int | None) -> None:
        self.words = tuple(words)
        self.limit = limit
        self.lowercase = about.get("lowercase", True) is True
        self._index = {word: place for place, word in enumerate(self.words)}
        self.pad: int | None = self._index.get(str(about.get("pad", "<pad>")))
        unknown = self._index.get(str(about.get("unknown", "<unk>")))
        if unknown is None:
            raise BadModel("The list of words has none for those it does not know.", _NEXT)
        self._unknown = unknown
        self.end = self._index.get(str(about.get("eos", "</s>")))

    def encode(self, text: str) -> Encoded:
        """The words of a text and its signs, one by one."""
        found = list(_WORD.finditer(text))
        words = [each[0].lower() if self.lowercase else each[0] for each in found]
        return Encoded(
            ids=tuple(self._index.get(word, self._unknown) for word in words),
            spans=tuple(each.span() for each in found),
            special=(False,) * len(found),
            pieces=tuple(each[0] for each in found),
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The words with spaces between them."""
        return " ".join(self.words[i] for i in ids if 0 <= i < len(self.words) and i != self.pad)


class Filled:
    """A tokenizer for a program that takes texts of at least ``least`` tokens: shorter ones are
    filled up at their end.
    """

    def __init__(self, inner: Tokenizer, least: int) -> None:
        self._inner, self._least = inner, least
        self.limit, self.pad, self.mask = inner.limit, inner.pad, inner.mask
        self.end = ending(inner)

    def encode(self, text: str) -> Encoded:
        """All tokens, and padding as special ones."""
        found = self._inner.encode(text)
        lacking = self._least - len(found)
        if lacking <= 0 or self.pad is None:
            return found
        end = found.spans[-1][1] if found.spans else 0
        return Encoded(
            (*found.ids, *[self.pad] * lacking),
            (*found.spans, *[(end, end)] * lacking),
            (*found.special, *[True] * lacking),
            (*found.pieces, *["·"] * lacking),
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The text that tokens spell."""
        return self._inner.decode(ids)


def of(about: ModelCard) -> Tokenizer:
    """The tokenizer of a card.

    Raises ``BadModel`` when it cannot be read, or knows more tokens than the program has vectors
    for.
    """
    said: Mapping[str, Any] = about.raw["tokenizer"]
    least, limit = about.raw["found"]["lengths"]
    words = said.get("words")
    if isinstance(words, list) and all(isinstance(each, str) for each in words):
        found: Tokenizer = WordList(words, said, limit)
        known = len(words)
    else:
        fast = library(said)
        from core.models.transformer_tokenizer import TransformerTokenizer  # after its package

        found = TransformerTokenizer(fast, limit)
        known = 1 + max(fast.get_vocab().values(), default=-1)
    if 0 < (rows := int(about.raw["found"].get("embedding", 0))) < known:
        raise BadModel(
            f"The tokenizer of '{about.title}' does not fit the model: it knows {known:,} tokens, "
            f"the model {rows:,}.",
            "Give the one that the model was trained with.",
        )
    return Filled(found, least) if least > 1 else found


def ending(tokenizer: Tokenizer) -> int | None:
    """The token that ends an output: the one that is called so, else the special one that texts
    end with; None where there is none.
    """
    called: int | None = getattr(tokenizer, "end", None)
    if called is not None:
        return called
    found = tokenizer.encode("a")
    return found.ids[-1] if len(found) > 1 and found.special[-1] else None


def library(said: Mapping[str, Any]) -> Any:
    """The tokenizer of the library that a ``tokenizer.json`` says. Raises ``BadModel``."""
    content = said.get("json")
    try:
        from tokenizers import Tokenizer as Fast
        from transformers import PreTrainedTokenizerFast

        text = content if isinstance(content, str) else json.dumps(content)
        special = {
            f"{name}_token": str(said[name]) for name in _SPECIAL if isinstance(said.get(name), str)
        }
        make: Any = PreTrainedTokenizerFast
        return make(tokenizer_object=Fast.from_str(text), **special)
    except ImportError:
        raise
    except Exception as error:  # a stranger's file may break the library in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadModel(
            f"The tokenizer cannot be read: {shortened(reason, 160).rstrip('.')}.", _NEXT
        ) from error
