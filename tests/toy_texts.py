"""Small text classifiers whose attributions are known or quick to compute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import regex
import torch
from torch import Tensor, nn

from core.models.card import ModelCard
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.text import TextAdapter
from core.models.tokenizer import Encoded
from core.tasks import Example, Task

CLASSES = ("for", "against", "neither")
PAD, MASK, START, END = range(4)
ROWS, WIDTH = 64, 8


class Syllables:
    """Words cut after every third letter, between ``<s>`` and ``</s>``; ids by their spelling."""

    limit: int | None = 40
    pad: int | None = PAD
    mask: int | None = MASK

    def encode(self, text: str) -> Encoded:
        spans = [
            (start, min(start + 3, word.end()))
            for word in regex.finditer(r"\w+|[^\w\s]", text)
            for start in range(word.start(), word.end(), 3)
        ]
        pieces = [text[start:end] for start, end in spans]
        ids = [4 + sum(map(ord, piece)) % (ROWS - 4) for piece in pieces]
        return Encoded(
            (START, *ids, END),
            ((0, 0), *spans, (len(text), len(text))),
            (True, *(False for _ in ids), True),
            ("<s>", *pieces, "</s>"),
        )

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))


class BagOfTokens(nn.Module):
    """``logits = W·Σ e_i``: every complete method must answer ``w·(e_i − b)`` for token i."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ROWS, WIDTH)
        self.dense = nn.Linear(WIDTH, len(CLASSES))

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.dense(self.embedding(ids).sum(dim=1))
        return out


class SmallTransformer(nn.Module):
    """Two encoder layers and the mean over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ROWS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, 0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.dense = nn.Linear(WIDTH, len(CLASSES))

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.dense(self.encoder(self.embedding(ids)).mean(dim=1))
        return out


class Perceptron(nn.Module):
    """A dense layer with ReLU at every token, summed: DeepLIFT knows every step of it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ROWS, WIDTH)
        self.dense1, self.relu = nn.Linear(WIDTH, 16), nn.ReLU()
        self.dense2 = nn.Linear(16, len(CLASSES))

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.dense2(self.relu(self.dense1(self.embedding(ids)))).sum(dim=1)
        return out


MAKERS: dict[str, type[nn.Module]] = {
    "bag": BagOfTokens,
    "transformer": SmallTransformer,
    "perceptron": Perceptron,
}


def toy(name: str) -> LoadedModel:
    """A fresh loaded model by name, always with the same weights."""
    torch.manual_seed(7)
    card = ModelCard(
        name, name, Task.TEXT_CLASSIFICATION, "", "", CLASSES, None,
        Path(), None, None, None, (), {},
    )  # fmt: skip
    adapter = TextAdapter(CLASSES, Syllables())
    module = MAKERS[name]().eval()
    return LoadedModel(ModelRef(name, "0" * 64), card, adapter, torch.device("cpu"), module)


def example(text: str = "A wonderful film, but far too long. I slept.") -> Example:
    """A text as it is uploaded."""
    return Example("text.txt", text.encode())
