"""Networks that sort texts into classes, as the training loop wants them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.data.texts import read_texts
from core.training.trainable import Answer, Trainable
from sample_models.baselines import recorded
from sample_models.subwords import PAD, SPECIAL, UNKNOWN
from sample_models.text_rnn import TextRNN
from sample_models.topics import CLASSES, topic_parts, unlabelled, words
from sample_models.word_vectors import word_vectors

Labelled = tuple[Sequence[str], Sequence[int]]

DESCRIPTIONS = {
    "name": "Software descriptions in five topics",
    "source": "apt-cache dumpavail: first lines of Debian package descriptions, and their sections",
    "licence": "that of each package; not shipped, read from the package index when training",
    "note": (
        "Every description once, at most 1,000 words long. The index changes with each release: "
        "sha256 says which one this was. Packages that belong together have like descriptions, "
        "and may be on both sides of the split."
    ),
}


class Vocabulary:
    """The words known, the most frequent first; every other word is ``<unknown>``."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = tuple(known)
        self._index = {word: i for i, word in enumerate(self.known, start=len(SPECIAL))}

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.known)

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> Vocabulary:
        """At most ``size`` words, by the number of texts that they occur in."""
        counts = Counter(word for text in texts for word in sorted(set(words(text))))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(ordered[: size - len(SPECIAL)])

    def encode(self, text: str, longest: int = 1_000) -> list[int]:
        """The words of a text as positions, at least one and at most ``longest``."""
        found = [self._index.get(word, UNKNOWN) for word in words(text)[:longest]]
        return found or [UNKNOWN]


class Encoder(Protocol):
    """What turns a text into positions in a vocabulary."""

    def encode(self, text: str) -> list[int]:
        """At least one position."""


class Texts:
    """Texts with labels; a batch is ``(words, labels)``: int64 ``[example, word]``, filled up with
    padding, and int64 ``[example]``.
    """

    def __init__(self, texts: Sequence[str], labels: Sequence[int], tokens: Encoder) -> None:
        self.texts, self.labels = tuple(texts), tuple(int(label) for label in labels)
        self._words = [tokens.encode(text) for text in self.texts]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitems__(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        longest = max(len(self._words[i]) for i in index)
        rows = np.full((len(index), longest), PAD, np.int64)
        for row, i in enumerate(index):
            rows[row, : len(self._words[i])] = self._words[i]
        return torch.from_numpy(rows), torch.tensor([self.labels[i] for i in index])

    def fingerprint(self) -> str:
        """SHA-256 of texts and labels."""
        lines = (f"{label}\t{text}\n" for text, label in zip(self.texts, self.labels, strict=True))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


class TextClassifier(Trainable):
    """A network on texts, with cross-entropy.

    In training, tokens are left out at random (taken as unknown), so that no single one decides.
    ``recipe`` is the name under which baselines are recorded.
    """

    recipe: ClassVar[str]

    def __init__(
        self,
        parts: Mapping[str, Labelled],
        classes: Sequence[str],
        settings: Mapping[str, Any],
        about: Mapping[str, str],
        notes: Sequence[str],
        tokens: Encoder,
    ) -> None:
        self._about = about
        self._word_dropout = float(settings["word_dropout"])
        self._smoothing = float(settings["label_smoothing"])
        self._arguments: dict[str, Any] = {}
        self.classes = tuple(classes)
        self.skipped = notes
        self.splits = {name: Texts(*part, tokens) for name, part in parts.items()}

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What the card says of how a text is read."""
        raise NotImplementedError

    def augment(self, batch: tuple[Tensor, Tensor], generator: Generator) -> tuple[Tensor, Tensor]:
        """Some tokens taken as unknown."""
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
            "preprocessing": self.preprocessing,
            "data": {
                **self._about,
                "split": {name: len(part) for name, part in self.splits.items()},
                "sha256": {name: part.fingerprint() for name, part in self.splits.items()},
            },
            "baseline": recorded(self.recipe, self.splits),
        }


def own_texts(data: Path, seed: int) -> dict[str, Any]:
    """A person's own labelled texts, as the arguments of a classifier."""
    found = read_texts(data, seed=seed)
    about = {"name": data.name, "source": "a person's own texts", "licence": "unknown", "note": ""}
    return {
        "parts": {name: (part.texts, part.labels.tolist()) for name, part in found.parts.items()},
        "classes": found.classes,
        "about": about,
        "notes": (*found.notes, *found.skipped),
    }


class TopicClassifier(TextClassifier):
    """A recurrent network on texts.

    Its embedding may begin with vectors that say which words keep company, learned from the
    training texts and ``further`` texts without labels.
    """

    recipe = "text_rnn"

    def __init__(
        self,
        parts: Mapping[str, Labelled],
        classes: Sequence[str],
        settings: Mapping[str, Any],
        about: Mapping[str, str],
        notes: Sequence[str] = (),
        further: Sequence[str] = (),
    ) -> None:
        corpus = [*parts["train"][0], *further]
        self._vocabulary = Vocabulary.learn(corpus, int(settings["vocabulary"]))
        super().__init__(parts, classes, settings, about, notes, self._vocabulary)
        self._arguments = {
            "vocabulary": len(self._vocabulary),
            "classes": len(classes),
            "cell": str(settings["cell"]),
            "width": int(settings["width"]),
            "hidden": int(settings["hidden"]),
            "dropout": float(settings["dropout"]),
        }
        network = TextRNN(**self._arguments)
        self.module: nn.Module = network
        if settings["pretrain"]:
            encoded = [self._vocabulary.encode(text) for text in corpus]
            vectors = word_vectors(encoded, len(self._vocabulary), int(settings["width"]))
            vectors[PAD] = 0
            with torch.no_grad():
                network.embedding.weight.copy_(torch.from_numpy(vectors / 2))

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {"kind": "words", "case": "lower", "words": " ".join(self._vocabulary.known)}


def make(settings: Mapping[str, Any], data: Path | None, seed: int) -> TopicClassifier:
    """A recurrent network on software descriptions, or on a person's own labelled texts."""
    if data:
        return TopicClassifier(settings=settings, **own_texts(data, seed))
    parts = topic_parts()
    held_out = {text for name in ("val", "test") for text in parts[name][0]}
    known = held_out | set(parts["train"][0])
    further = [text for text in unlabelled() if text not in known] if settings["pretrain"] else []
    return TopicClassifier(parts, CLASSES, settings, DESCRIPTIONS, further=further)
