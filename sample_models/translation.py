"""Training the translator: sentence pairs, teacher forcing, guided attention, BLEU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.texts import read_pairs
from core.errors import BadParameter
from core.training.trainable import Answer, Trainable
from sample_models.baselines import recorded
from sample_models.subwords import END, PAD, START, Subwords
from sample_models.translator import Translator, translate
from sample_models.verses import Pair, sentence, tidy, verse_parts, words
from sample_models.word_dictionary import WordDictionary

BLEU_SENTENCES = 200  # of the validation pairs, about, after every epoch
BEAM = 4
SURE = 0.7  # of a dictionary's alignment, to be compared with
VERSES = {
    "name": "Aligned verses, English and Spanish",
    "source": "World English Bible and Reina-Valera 1909 (Debian sword-text-web, sword-text-sparv)",
    "licence": "public domain, both",
    "note": (
        "17,811 pairs of at most 25 words, in lower case, without quotation marks. Held out at "
        "random, verse by verse: books repeat each other, so some held-out verses have a near twin "
        "in training."
    ),
}


def check_heads(settings: Mapping[str, Any]) -> None:
    """Raises ``BadParameter`` where a network with attention cannot be made."""
    if int(settings["width"]) % int(settings["heads"]):
        raise BadParameter(
            f"{settings['heads']} heads do not divide a width of {settings['width']}.",
            "Choose a width that is a multiple of heads.",
        )


class Pairs:
    """Sentence pairs as subwords, padded batch by batch.

    A batch is a dictionary: ``source`` ``[example, source piece]``, ``target`` ``[example, target
    piece]`` from ``<start>`` to ``<end>`` and, with a dictionary to guide attention, ``alignment``
    ``[example, target piece - 1, source piece]``: which source piece each next piece comes from.
    """

    def __init__(
        self, texts: Sequence[Pair], subwords: Subwords, dictionary: WordDictionary | None = None
    ) -> None:
        self.texts = tuple(texts)
        self._subwords = subwords
        self._dictionary = dictionary
        self._pairs = [(self._pieces(source), self._pieces(target)) for source, target in texts]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitems__(self, index: Sequence[int]) -> dict[str, Tensor]:
        sources = [[piece for word in self._pairs[i][0] for piece in word] for i in index]
        targets = [
            [START, *(piece for word in self._pairs[i][1] for piece in word), END] for i in index
        ]
        batch = {"source": padded(sources), "target": padded(targets)}
        if self._dictionary is not None:
            shape = (len(index), batch["target"].shape[1] - 1, batch["source"].shape[1])
            alignment = np.zeros(shape, np.float32)
            for row, i in enumerate(index):
                found = self._alignment[i]
                alignment[row, : found.shape[0], : found.shape[1]] = found
            batch["alignment"] = torch.from_numpy(alignment)
        return batch

    def fingerprint(self) -> str:
        """SHA-256 of the texts."""
        text = "".join(f"{source}\t{target}\n" for source, target in self.texts)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _alignment(self) -> list[npt.NDArray[np.float16]]:
        """For each pair, from which source piece each target piece comes: rows sum to 1 at most."""
        assert self._dictionary is not None  # noqa: S101 - asked for only where there is one
        found = []
        for (source, target), pair in zip(self._pairs, self.texts, strict=True):
            of_words = self._dictionary.align(words(pair[0]), words(pair[1]))
            sizes = np.array([len(pieces) for pieces in source])
            of_pieces = np.repeat(of_words / np.maximum(sizes, 1), sizes, axis=1)
            found.append(np.repeat(of_pieces, [len(p) for p in target], axis=0).astype(np.float16))
        return found

    def _pieces(self, text: str) -> list[list[int]]:
        return [self._subwords.encode([word]) for word in words(text)]


class Translation(Trainable):
    """Translating sentences, each next piece given the true ones before it.

    The loss is the cross-entropy per target piece. Where ``guide`` is above 0, one head of the last
    layer's cross attention is also drawn towards the alignment of a word dictionary learned from
    the training pairs (Garg et al., arXiv 1909.02074): with so few pairs the network would
    otherwise spend most of its training on finding out which word belongs to which.
    """

    def __init__(
        self,
        pairs: Mapping[str, Sequence[Pair]],
        settings: Mapping[str, Any],
        about: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> None:
        self._about = about
        self._pairs = pairs
        self.skipped = notes
        self._smoothing = float(settings["label_smoothing"])
        self._guide = float(settings["guide"])
        self.subwords = Subwords.learn(
            (word for pair in pairs["train"] for text in pair for word in words(text)),
            int(settings["vocabulary"]),
        )
        self._dictionary = WordDictionary(pairs["train"]) if self._guide else None
        self.splits: dict[str, Pairs] = {
            name: Pairs(part, self.subwords, self._dictionary if name == "train" else None)
            for name, part in pairs.items()
        }
        check_heads(settings)
        self.arguments = {
            "vocabulary": len(self.subwords),
            "width": int(settings["width"]),
            "layers": int(settings["layers"]),
            "heads": int(settings["heads"]),
            "hidden": int(settings["hidden"]),
            "dropout": float(settings["dropout"]),
        }
        self.module = Translator(**self.arguments)

    def answer(self, module: nn.Module, batch: Mapping[str, Tensor]) -> Answer:
        source, target = batch["source"], batch["target"]
        following = target[:, 1:]
        real = following != PAD
        guided = module.training and "alignment" in batch
        answered = module(source, target[:, :-1], guided)
        logits, attention = answered if guided else (answered, None)
        loss = F.cross_entropy(
            logits[real].float(),
            following[real],
            label_smoothing=self._smoothing if module.training else 0.0,
        )
        if attention is not None:
            chances = attention[:, 0].float().clamp_min(1e-6).log()
            spread = -(batch["alignment"] * chances).sum(dim=-1)[real].mean()
            loss = loss + self._guide * spread
        return Answer(loss, int(real.sum()))

    def card(self) -> dict[str, Any]:
        return {
            "arguments": self.arguments,
            "classes": [],
            "preprocessing": {"kind": "subwords", "case": "lower", **self.subwords.as_json()},
            "data": {
                **self._about,
                "split": {name: len(part) for name, part in self.splits.items()},
                "sha256": {name: part.fingerprint() for name, part in self.splits.items()},
            },
            "baseline": recorded("translator", self.splits),
        }

    def extra_metrics(
        self, module: nn.Module, split: str, to_device: Callable[[Any], Any]
    ) -> Mapping[str, float]:
        """``bleu``, greedy; on the test part also ``bleu_beam`` and ``alignment``: the share of
        words whose cross attention is where a dictionary of the training pairs is sure they come
        from.
        """
        if split == "train":
            return {}
        part = self.splits[split]
        texts = part.texts  # in the order of the books, which are not equally hard
        if split != "test":
            texts = texts[:: max(1, len(texts) // BLEU_SENTENCES)]
        sources, targets = zip(*texts, strict=True)
        found = {"bleu": bleu(self.translate(sources, module, to_device), targets)}
        if split == "test":
            beams = self.translate(sources, module, to_device, beam=BEAM)
            found["bleu_beam"] = bleu(beams, targets)
            found["alignment"] = self._agreement(module, texts, to_device)
        return found

    def _agreement(
        self, module: nn.Module, texts: Sequence[Pair], to_device: Callable[[Any], Any]
    ) -> float:
        dictionary = self._dictionary or WordDictionary(self._pairs["train"])
        right = sure = 0
        for source, target in texts:
            attention = alignment(module, self.subwords, source, target, to_device)
            theirs = dictionary.align(words(source), words(target))
            known = theirs.max(axis=1) > SURE
            right += int((attention.argmax(axis=1) == theirs.argmax(axis=1))[known].sum())
            sure += int(known.sum())
        return right / max(sure, 1)

    def translate(
        self,
        texts: Sequence[str],
        module: nn.Module | None = None,
        to_device: Callable[[Any], Any] = lambda batch: batch,
        *,
        beam: int = 1,
    ) -> list[str]:
        """The translations of these sentences, greedy or by a beam."""
        return translate_texts(module or self.module, self.subwords, texts, to_device, beam=beam)


def translate_texts(
    module: nn.Module,
    subwords: Subwords,
    texts: Sequence[str],
    to_device: Callable[[Any], Any] = lambda batch: batch,
    *,
    beam: int = 1,
    batch_size: int = 100,
) -> list[str]:
    """Translations of sentences, in their order; those of like length are read together."""
    pieces = [subwords.encode(words(text)) or [START] for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(pieces[i]))
    found = [""] * len(texts)
    was_training = module.training
    module.eval()
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        source = to_device(padded([pieces[i] for i in chosen]))
        answers = translate(module, source, beam=beam)  # type: ignore[arg-type]
        for i, answer in zip(chosen, answers.tolist(), strict=True):
            found[i] = sentence(subwords.decode(answer))
    module.train(was_training)
    return found


@torch.no_grad()
def alignment(
    module: nn.Module,
    subwords: Subwords,
    source: str,
    target: str,
    to_device: Callable[[Any], Any] = lambda batch: batch,
) -> npt.NDArray[np.float32]:
    """Where the first head of the last cross attention looks: ``[target word, source word]``.

    The attention of a word's pieces is averaged, that to a word's pieces added up; a row is about
    the moment at which its word is to be said, and sums to 1. ``module`` is in eval mode.
    """
    pieces = [[subwords.encode([word]) for word in words(text)] for text in (source, target)]
    said = [START, *(piece for word in pieces[1] for piece in word)]
    batch = to_device((padded([[p for word in pieces[0] for p in word]]), padded([said])))
    attention = module(*batch, True)[1][0, 0, :-1].float().cpu().numpy()
    ends = [np.cumsum([0, *map(len, side)])[:-1] for side in pieces]
    summed = np.add.reduceat(attention, ends[0], axis=1)
    sizes = np.array([len(word) for word in pieces[1]])[:, None]
    found: npt.NDArray[np.float32] = np.add.reduceat(summed, ends[1], axis=0) / sizes
    return found


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of sacrebleu with its own tokenisation, 0–100; texts here are in lower case."""
    import sacrebleu

    return float(sacrebleu.corpus_bleu(list(translations), [list(references)]).score)


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of pieces as one tensor ``[row, piece]``, filled up with padding."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


def make(settings: Mapping[str, Any], data: Path | None, seed: int) -> Translation:
    """The translator with the verses, or with a person's own pairs of sentences."""
    if data:
        found = read_pairs(data, seed=seed)
        pairs = {
            name: [(tidy(a), tidy(b)) for a, b in zip(part.sources, part.targets, strict=True)]
            for name, part in found.parts.items()
        }
        about = {
            "name": data.name,
            "source": "a person's own sentences",
            "licence": "unknown",
            "note": f"From {found.names[0]} to {found.names[1]}.",
        }
        return Translation(pairs, settings, about, (*found.notes, *found.skipped))
    return Translation(verse_parts(), settings, VERSES)
