"""Training the network that tells good words from bad ones, as the training loop wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.data.splits import split
from core.data.texts import read_texts
from core.errors import BadParameter
from core.training.trainable import Answer, Trainable
from sample_models.baselines import recorded
from sample_models.reviews import CLASSES, label, package, sentences
from sample_models.sentiment import Sentiment
from sample_models.subwords import PAD, UNKNOWN, Subwords
from sample_models.text_training import Labelled, Texts
from sample_models.tokenizers import MOST_PIECES
from sample_models.verses import words
from sample_models.word_vectors import word_vectors

SPLIT_SEED = 0  # a changed seed changes which examples are held out: train again

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


class SentimentClassifier(Trainable):
    """A Transformer on sentences, with cross-entropy.

    Its embedding may begin with vectors that say which pieces keep company in the training texts.
    In training, pieces are left out at random (taken as unknown), so that no single one decides.
    """

    def __init__(
        self,
        parts: Mapping[str, Labelled],
        classes: Sequence[str],
        settings: Mapping[str, Any],
        about: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> None:
        if int(settings["width"]) % int(settings["heads"]):
            raise BadParameter(
                f"{settings['heads']} heads do not divide a width of {settings['width']}.",
                "Choose a width that is a multiple of heads.",
            )
        self._about = about
        self._word_dropout = float(settings["word_dropout"])
        self._smoothing = float(settings["label_smoothing"])
        self.classes = tuple(classes)
        self.skipped = notes
        corpus = [words(text) for text in parts["train"][0]]
        pieces = Pieces(
            Subwords.learn((word for text in corpus for word in text), int(settings["vocabulary"]))
        )
        self.subwords = pieces.subwords
        self.splits = {
            name: Texts(texts, labels, pieces) for name, (texts, labels) in parts.items()
        }
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

    def augment(self, batch: tuple[Tensor, Tensor], generator: Generator) -> tuple[Tensor, Tensor]:
        """Some pieces taken as unknown."""
        found, labels = batch
        chance = torch.rand(found.shape, generator=generator, device=found.device)
        left_out = (chance < self._word_dropout) & (found != PAD)
        return found.masked_fill(left_out, UNKNOWN), labels

    def answer(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Answer:
        found, labels = batch
        logits = module(found)
        smoothing = self._smoothing if module.training else 0.0
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return Answer(loss, len(labels), logits, labels)

    def card(self) -> dict[str, Any]:
        return {
            "arguments": self._arguments,
            "classes": list(self.classes),
            "preprocessing": {"kind": "subwords", "case": "lower", **self.subwords.as_json()},
            "data": {
                **self._about,
                "split": {name: len(part) for name, part in self.splits.items()},
                "sha256": {name: part.fingerprint() for name, part in self.splits.items()},
            },
            "baseline": recorded("sentiment", self.splits),
        }


def make(settings: Mapping[str, Any], data: Path | None, seed: int) -> SentimentClassifier:
    """The Transformer on rated sentences, or on a person's own labelled texts."""
    if data:
        found = read_texts(data, seed=seed)
        about = {
            "name": data.name,
            "source": "a person's own texts",
            "licence": "unknown",
            "note": "",
        }
        own = {name: (part.texts, part.labels.tolist()) for name, part in found.parts.items()}
        return SentimentClassifier(
            own, found.classes, settings, about, (*found.notes, *found.skipped)
        )
    return SentimentClassifier(sentence_parts(), CLASSES, settings, RATED)


def sentence_parts(source: bytes | None = None) -> dict[str, Labelled]:
    """The rated sentences in three parts, each class in proportion: 18,895 / 2,362 / 2,362."""
    found = sentences(source or package())
    labels = [label(rating) for _, rating in found]
    places = split(labels, len(labels), SPLIT_SEED)
    return {
        name: ([found[i][0] for i in rows], [labels[i] for i in rows])
        for name, rows in places.items()
    }
