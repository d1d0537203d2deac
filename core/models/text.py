"""The adapter of text classification: texts in, embeddings of tokens and their baselines out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.data.segment import tokens
from core.data.text import decode
from core.errors import BadInput, BadModel, BadParameter
from core.models.adapter import Batch, Living
from core.models.card import ModelCard
from core.models.catalogue import resolve
from core.models.embedded import embedding_of, everywhere
from core.models.tokenizer import Encoded, Tokenizer, cut, fitted
from core.results.levels import at_level
from core.tasks import AxisKind, Example, Tokens

BASELINES = ("padding", "mask", "zero", "mean")
TYPICAL = "The old guard met the new captain at the harbour, and nobody said a word. Was it late?"
_TOGETHER = 64  # texts of one length in a batch


class TextAdapter:
    """Embeddings ``[example, token, width]`` of texts of one length: no padding, no mask.

    The forward runs on the ids of the tokens with the embedding's answer replaced by the features,
    so that any network works whose embedding is known.
    """

    axis: AxisKind = "tokens"
    unit: str = "logits"
    depth = 2
    baselines: tuple[str, ...] = BASELINES

    def __init__(
        self, classes: tuple[str, ...], tokenizer: Tokenizer, independent: bool = False
    ) -> None:
        self.classes = classes
        self.independent = independent
        self.tokenizer = tokenizer
        self._references: dict[str, Tensor] = {}

    def encode(self, examples: Sequence[Example], model: Living) -> Batch:
        """Decode, tokenise, embed.

        Raises ``BadInput`` for anything that is not readable text, ``ValueError`` for texts of
        different lengths: ``batches`` sorts them.
        """
        return self._batch(examples, [self._read(example) for example in examples], model)

    def batches(
        self, examples: Sequence[Example], model: Living
    ) -> list[tuple[tuple[int, ...], Batch]]:
        """Texts of one length together."""
        read = [self._read(example) for example in examples]
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for place, (_, encoded, _) in enumerate(read):
            by_length[len(encoded)].append(place)
        found = []
        for same in by_length.values():
            for start in range(0, len(same), _TOGETHER):
                places = same[start : start + _TOGETHER]
                batch = self._batch([examples[i] for i in places], [read[i] for i in places], model)
                found.append((tuple(places), batch))
        return found

    def typical(self, model: Living) -> Batch:
        """Two sentences."""
        return self.encode([Example("typical", TYPICAL.encode())], model)

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """One forward: ``[example, class]``."""
        with everywhere(module, features, context[0]):
            output: Tensor = module(*context)
        return output

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes, or a sigmoid for each where they are judged one by one."""
        return logits.sigmoid() if self.independent else logits.softmax(dim=1)

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        """Every token replaced by one vector, special ones left as they are.

        ``padding`` and ``mask`` are the embeddings of those tokens, ``mean`` is that of all tokens
        the model knows, ``zero`` is 0.

        Raises ``BadParameter`` for another kind, or one that this model does not have.
        """
        if kind not in self._references:
            known = ", ".join(self._references)
            raise BadParameter(
                f"'{kind}' is not a baseline of this model, expected one of {known}.",
                "Choose one of them.",
            )
        vector = self._references[kind].to(batch.features)
        special = torch.tensor(
            [axis.special for axis in batch.axes if isinstance(axis, Tokens)],
            device=batch.features.device,
        )
        return torch.where(special[..., None], batch.features, vector)

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        """Tokens, words or sentences: int64 ids from 0, ``[example, token, 1]``; all special tokens
        are one segment.
        """
        ids = [_ids(axis, str(settings["segments"])) for axis in batch.axes]
        return torch.from_numpy(np.stack(ids)[..., None]).to(batch.features.device)

    def fold(self, values: Tensor, norm: bool = False) -> npt.NDArray[np.float32]:
        """``[token, width]`` to ``[token]``."""
        folded = torch.linalg.vector_norm(values, dim=-1) if norm else values.sum(dim=-1)
        array: npt.NDArray[np.float32] = folded.detach().float().cpu().numpy()
        return array

    def _read(self, example: Example) -> tuple[str, Encoded, int]:
        text = decode(example)
        encoded, gone = cut(self.tokenizer.encode(text), self.tokenizer.limit, example.cut)
        if all(encoded.special):
            raise BadInput(
                f"'{example.name}' holds nothing that the model knows as text.", "Write some words."
            )
        if gone:
            text, encoded = fitted(text, encoded)
        return text, encoded, gone

    def _batch(
        self, examples: Sequence[Example], read: list[tuple[str, Encoded, int]], model: Living
    ) -> Batch:
        ids = torch.tensor([encoded.ids for _, encoded, _ in read], device=model.device)
        with model.exclusive() as module, torch.no_grad():
            embedding = embedding_of(module)
            check(ids, embedding)
            features = embedding(ids).float()
            if not self._references:
                self._references = references(embedding, self.tokenizer, model.device)
        notes = [
            f"{gone:,} of {len(encoded) + gone:,} tokens were cut at the {example.cut}: the model "
            f"takes {self.tokenizer.limit:,}."
            for example, (_, encoded, gone) in zip(examples, read, strict=True)
            if gone
        ]
        return Batch(
            features=features,
            context=(ids,),
            axes=tuple(tokens([(text, encoded)]) for text, encoded, _ in read),
            pictures=(None,) * len(read),
            names=tuple(example.name for example in examples),
            outputs=(self.classes,) * len(read),
            notes=tuple(notes),
        )


def classification(about: ModelCard, module: nn.Module) -> TextAdapter:
    """The adapter of a card."""
    return TextAdapter(about.classes, tokenizer_of(about), about.independent)


def tokenizer_of(about: ModelCard) -> Tokenizer:
    """The tokenizer that a card names.

    Raises ``BadModel`` when it names none.
    """
    if not about.tokenizer:
        raise BadModel(
            f"The card of '{about.name}' names no tokenizer.",
            "A model for texts needs the one it was trained with.",
        )
    found: Tokenizer = resolve(about.tokenizer)(about)
    return found


def check(ids: Tensor, embedding: nn.Module) -> None:
    """Raise ``BadModel`` when the tokenizer knows more tokens than the network."""
    rows = getattr(embedding, "num_embeddings", None)
    if rows is not None and int(ids.max()) >= rows:
        raise BadModel(
            f"The tokenizer does not fit the model: token {int(ids.max()):,} is beyond the "
            f"{rows:,} that its embedding knows.",
            "Use the tokenizer that the model was trained with.",
        )


def references(
    embedding: nn.Module, tokenizer: Tokenizer, device: torch.device
) -> dict[str, Tensor]:
    """The vector ``[width]`` of each kind of baseline that there is for this network."""
    found = {}
    for kind, token in (("padding", tokenizer.pad), ("mask", tokenizer.mask)):
        if token is not None:
            found[kind] = embedding(torch.tensor([token], device=device))[0].float()
    rows = getattr(embedding, "num_embeddings", None)
    if rows is not None:
        found["mean"] = embedding(torch.arange(rows, device=device)).float().mean(dim=0)
    some = next(iter(found.values()), None)
    if some is None:
        some = embedding(torch.zeros(1, dtype=torch.int64, device=device))[0].float()
    found["zero"] = torch.zeros_like(some)
    found.setdefault("padding", found["zero"])
    return found


def _ids(axis: Any, level: str) -> npt.NDArray[np.int64]:
    ids = np.zeros(axis.shape, np.int64)
    groups = at_level(axis, np.zeros(axis.shape), level, fold_special=True)
    for number, places in enumerate(groups.tokens):
        ids[list(places)] = number
    return ids
