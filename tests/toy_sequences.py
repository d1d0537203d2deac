"""Small models that write, with random weights, and a tokenizer of letters for them."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.models.card import ModelCard
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.sequence import CausalAdapter, SequenceAdapter, TranslationAdapter
from core.models.tokenizer import Encoded
from core.tasks import Example, Task
from sample_models.translator import Translator

PAD, START, END, UNKNOWN, BEGIN = range(5)
LETTERS = string.ascii_lowercase + " .'"
MERGED = "ab"  # one token, though the model may spell it as two
VOCABULARY = 5 + len(LETTERS) + 1


@dataclass(frozen=True)
class Letters:
    """One token for each letter, and one for ``ab``."""

    limit: int | None = None
    begins: bool = False
    ends: bool = False
    pad: int | None = PAD
    mask: int | None = UNKNOWN

    def encode(self, text: str) -> Encoded:
        ids, spans, place = [], [], 0
        while place < len(text):
            piece = MERGED if text.startswith(MERGED, place) else text[place]
            ids.append(token(piece))
            spans.append((place, place + len(piece)))
            place += len(piece)
        first, last = (BEGIN,) * self.begins, (END,) * self.ends
        special = (True,) * len(first) + (False,) * len(ids) + (True,) * len(last)
        edges = ((0, 0),) * len(first), ((len(text), len(text)),) * len(last)
        spans = [*edges[0], *spans, *edges[1]]
        pieces = tuple(text[a:b] or "<>" for a, b in spans)
        return Encoded((*first, *ids, *last), tuple(spans), special, pieces)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(letter(i) for i in ids)


def token(piece: str) -> int:
    if piece == MERGED:
        return VOCABULARY - 1
    return LETTERS.find(piece) + 5 if piece in LETTERS else UNKNOWN


def letter(i: int) -> str:
    if i == VOCABULARY - 1:
        return MERGED
    return LETTERS[i - 5] if i >= 5 else "?" if i == UNKNOWN else ""


class SmallLM(nn.Module):
    """One causal layer over letters."""

    end = END

    def __init__(self, width: int = 16, heads: int = 2, said: Sequence[int] = ()) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.places = nn.Parameter(torch.randn(128, width) * 0.5)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.head = nn.Linear(width, VOCABULARY)
        with torch.no_grad():
            self.head.bias[:BEGIN] = -20  # it goes on and on
        self.heads, self.said = heads, said
        self.asked = 0

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + self.places[: ids.shape[1]]
        count, tokens, width = x.shape
        qkv = self.qkv(x).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(count, tokens, width))
        scores: Tensor = self.head(torch.tanh(x))
        return scores

    def produce(self, ids: Tensor, limit: int) -> Tensor:
        self.asked += 1
        if self.said:
            return torch.tensor([self.said])
        begun = ids.shape[1]
        for _ in range(limit):
            ids = torch.cat([ids, self(ids)[:, -1:].argmax(dim=-1)], dim=1)
        return ids[:, begun:]


def small_lm(tokenizer: Letters | None = None, most: int = 6, **options: Any) -> LoadedModel:
    """A loaded causal language model."""
    torch.manual_seed(1)
    adapter = CausalAdapter(tokenizer or Letters(), most)
    return loaded(SmallLM(**options), adapter, Task.CAUSAL_LANGUAGE_MODEL)


def small_translator(tokenizer: Letters | None = None, most: int | None = 6) -> LoadedModel:
    """A loaded encoder–decoder."""
    torch.manual_seed(2)
    module = Translator(VOCABULARY, width=16, layers=2, heads=2, hidden=32)
    return loaded(module, TranslationAdapter(tokenizer or Letters(), most), Task.TRANSLATION)


def loaded(module: nn.Module, adapter: SequenceAdapter, task: Task) -> LoadedModel:
    card = ModelCard(
        "toy", "toy", task, "", "", (), None, Path(), None, None, None, (), {"preprocessing": {}}
    )
    return LoadedModel(ModelRef("toy", "0" * 64), card, adapter, torch.device("cpu"), module.eval())


def text(words: str, *outputs: str, **options: Any) -> Example:
    """A text as an example."""
    return Example("typed", words.encode(), outputs=outputs, **options)
