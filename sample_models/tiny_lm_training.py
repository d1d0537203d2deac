"""Training the small language model on verses: the next piece, perplexity."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.texts import read_texts
from core.training.trainable import Answer, Trainable
from sample_models.baselines import recorded
from sample_models.subwords import END, PAD, Subwords
from sample_models.tiny_lm import TinyLM
from sample_models.tokenizers import MOST_PIECES
from sample_models.translation import check_heads, padded
from sample_models.verses import tidy, verse_parts, words

PRODUCED = 20  # pieces, where nobody says otherwise

VERSES = {
    "name": "English verses",
    "source": "World English Bible (Debian sword-text-web)",
    "licence": "public domain",
    "note": (
        "17,811 verses of at most 25 words, in lower case, without quotation marks; the parts are "
        "those of the translator. Books repeat each other, so some held-out verses have a near "
        "twin in training."
    ),
}


class Lines:
    """Texts as pieces, each ended by ``<end>``. A batch is int64 ``[example, piece]``, filled up
    with padding.
    """

    def __init__(self, texts: Sequence[str], subwords: Subwords) -> None:
        self.texts = tuple(texts)
        encoded = (subwords.encode(words(text))[: MOST_PIECES - 1] for text in texts)
        self.pieces = [[*pieces, END] for pieces in encoded]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitems__(self, index: Sequence[int]) -> Tensor:
        return padded([self.pieces[i] for i in index])

    def fingerprint(self) -> str:
        """SHA-256 of the texts."""
        return hashlib.sha256("".join(f"{text}\n" for text in self.texts).encode()).hexdigest()


class LanguageModel(Trainable):
    """Saying which piece follows those before it: cross-entropy per piece after the first."""

    def __init__(
        self,
        texts: Mapping[str, Sequence[str]],
        settings: Mapping[str, Any],
        about: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> None:
        check_heads(settings)
        self._about = about
        self.skipped = notes
        self.subwords = Subwords.learn(
            (word for text in texts["train"] for word in words(text)), int(settings["vocabulary"])
        )
        self._smoothing = float(settings["label_smoothing"])
        self.splits = {name: Lines(part, self.subwords) for name, part in texts.items()}
        self.arguments = {
            "vocabulary": len(self.subwords),
            "width": int(settings["width"]),
            "layers": int(settings["layers"]),
            "heads": int(settings["heads"]),
            "hidden": int(settings["hidden"]),
            "dropout": float(settings["dropout"]),
        }
        self.module = TinyLM(**self.arguments)

    def answer(self, module: nn.Module, batch: Tensor) -> Answer:
        following = batch[:, 1:]
        real = following != PAD
        logits = module(batch[:, :-1])
        smoothing = self._smoothing if module.training else 0.0
        loss = F.cross_entropy(logits[real].float(), following[real], label_smoothing=smoothing)
        return Answer(loss, int(real.sum()))

    def card(self) -> dict[str, Any]:
        return {
            "arguments": self.arguments,
            "classes": [],
            "preprocessing": {
                "kind": "subwords",
                "case": "lower",
                "produce": PRODUCED,
                **self.subwords.as_json(),
            },
            "data": {
                **self._about,
                "split": {name: len(part) for name, part in self.splits.items()},
                "sha256": {name: part.fingerprint() for name, part in self.splits.items()},
            },
            "baseline": recorded("tiny_lm", self.splits),
        }

    def extra_metrics(
        self, module: nn.Module, split: str, to_device: Callable[[Any], Any]
    ) -> Mapping[str, float]:
        """``perplexity``: how many next pieces the model wavers between, on the average."""
        if split == "train":
            return {}
        return {"perplexity": perplexity(module, self.splits[split], to_device)}


@torch.no_grad()
def perplexity(
    module: nn.Module,
    lines: Lines,
    to_device: Callable[[Any], Any] = lambda batch: batch,
    batch_size: int = 100,
) -> float:
    """exp of the mean cross-entropy per piece, the first of each text not counted."""
    was_training = module.training
    module.eval()
    order = sorted(range(len(lines)), key=lambda i: len(lines.pieces[i]))
    total, count = 0.0, 0
    for start in range(0, len(order), batch_size):
        batch = to_device(lines.__getitems__(order[start : start + batch_size]))
        following = batch[:, 1:]
        real = following != PAD
        logits = module(batch[:, :-1])[real].float()
        total += float(F.cross_entropy(logits, following[real], reduction="sum"))
        count += int(real.sum())
    module.train(was_training)
    return math.exp(total / max(count, 1))


def make(settings: Mapping[str, Any], data: Path | None, seed: int) -> LanguageModel:
    """The language model on the English verses, or on a person's own texts."""
    if data:
        found = read_texts(data, seed=seed)
        texts = {name: [tidy(text) for text in part.texts] for name, part in found.parts.items()}
        about = {
            "name": data.name,
            "source": "a person's own texts",
            "licence": "unknown",
            "note": "Labels are not looked at.",
        }
        return LanguageModel(texts, settings, about, (*found.notes, *found.skipped))
    english = {name: [source for source, _ in part] for name, part in verse_parts().items()}
    return LanguageModel(english, settings, VERSES)
