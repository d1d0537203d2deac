"""Training the network that tells good words from bad ones, as the training loop wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sample_models.reviews import CLASSES, sentence_parts
from sample_models.sentiment import Sentiment
from sample_models.subwords import PAD, UNKNOWN, Subwords
from sample_models.text_training import Labelled, TextClassifier, own_texts
from sample_models.tokenizers import MOST_PIECES
from sample_models.translation import check_heads
from sample_models.verses import words
from sample_models.word_vectors import word_vectors

RATED = {
    "name": "Rated sentences",
    "source": (
        "reviews of films and products, editorials and tweets with ratings by twenty people each: "
        "Hutto and Gilbert, ICWSM 2014, in the source of the PyPI package vaderSentiment 3.3.2"
    ),
    "licence": "MIT (package); the sentences belong to their authors and are not shipped",
    "note": (
        "Every sentence once. From -1 to 1 of -4 … 4 is neutral. Held out at random, sentence by "
        "sentence: some held-out ones come from a review with others in training."
    ),
}


class Pieces:
    """Texts as positions of pieces, at least one and at most ``MOST_PIECES``."""

    def __init__(self, subwords: Subwords) -> None:
        self.subwords = subwords

    def encode(self, text: str) -> list[int]:
        """The pieces of a text."""
        return self.subwords.encode(words(text))[:MOST_PIECES] or [UNKNOWN]


class SentimentClassifier(TextClassifier):
    """A Transformer on sentences.

    Its embedding may begin with vectors that say which pieces keep company in the training texts.
    """

    recipe = "sentiment"

    def __init__(
        self,
        parts: Mapping[str, Labelled],
        classes: Sequence[str],
        settings: Mapping[str, Any],
        about: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> None:
        check_heads(settings)
        corpus = [words(text) for text in parts["train"][0]]
        pieces = Pieces(
            Subwords.learn((word for text in corpus for word in text), int(settings["vocabulary"]))
        )
        self.subwords = pieces.subwords
        super().__init__(parts, classes, settings, about, notes, pieces)
        self._arguments = {
            "vocabulary": len(self.subwords),
            "classes": len(classes),
            "width": int(settings["width"]),
            "layers": int(settings["layers"]),
            "heads": int(settings["heads"]),
            "hidden": int(settings["hidden"]),
            "dropout": float(settings["dropout"]),
        }
        network = Sentiment(**self._arguments)
        self.module: nn.Module = network
        if settings["pretrain"]:
            encoded = [pieces.encode(text) for text in parts["train"][0]]
            width = int(settings["width"])
            vectors = torch.from_numpy(word_vectors(encoded, len(self.subwords), width))
            vectors[PAD] = 0
            with torch.no_grad():
                network.embedding.weight.copy_(vectors * width**-0.5)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {"kind": "subwords", "case": "lower", **self.subwords.as_json()}


def make(settings: Mapping[str, Any], data: Path | None, seed: int) -> SentimentClassifier:
    """The Transformer on rated sentences, or on a person's own labelled texts."""
    if data:
        return SentimentClassifier(settings=settings, **own_texts(data, seed))
    return SentimentClassifier(sentence_parts(), CLASSES, settings, RATED)
