"""The adapters of models that write: encoder–decoders and causal language models.

What is explained is the text that the model produces, or one that it is given. The outputs are the
log-probabilities of the produced tokens, each given the input and the earlier ones, and of the
whole.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import regex
import torch
from torch import Tensor, nn

from core.data.segment import tokens
from core.data.text import decode
from core.errors import BadInput, BadModel
from core.models.adapter import Batch, Living
from core.models.card import ModelCard
from core.models.embedded import embedding_of, embeddings_of, substituted
from core.models.output import (
    END,
    START,
    Said,
    joined,
    names,
    special_token,
    spelt,
    until,
    without_special,
    wordless,
)
from core.models.text import TextAdapter, check, references, tokenizer_of
from core.models.tokenizer import Encoded, Tokenizer, cut, fitted
from core.tasks import Example

_TOGETHER = 64  # texts of one length in a batch
_REMEMBERED = 256  # texts and what the model made of them
_LONGEST = 256  # tokens produced, where the card does not say
_WORD_EDGE = regex.compile(r"\b|(?<=\s)|(?=\s)", regex.WORD)


@dataclass(frozen=True)
class _Read:
    """An input with the outputs to be explained."""

    text: str
    encoded: Encoded
    gone: int  # tokens cut away
    said: tuple[Said, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        return (len(self.encoded), *(len(each.encoded) for each in self.said))


class SequenceAdapter(TextAdapter):
    """Embeddings ``[example, token, width]`` of the input, of what the model had said before each
    token of the output and, for a contrast, of the same of another output.
    """

    unit = "log-probability"

    def __init__(self, tokenizer: Tokenizer, most: int | None = None) -> None:
        super().__init__((), tokenizer)
        self.most = most
        self._remembered: dict[tuple[tuple[int, ...], int], tuple[int, ...]] = {}

    def encode(self, examples: Sequence[Example], model: Living) -> Batch:
        """Decode, tokenise, produce what is to be explained, embed.

        Raises ``BadInput`` for anything that is not readable text or leaves no room for an output,
        ``ValueError`` for texts of different lengths: ``batches`` sorts them.
        """
        return self._together(examples, [self._one(each, model) for each in examples], model)

    def batches(
        self, examples: Sequence[Example], model: Living
    ) -> list[tuple[tuple[int, ...], Batch]]:
        """Texts of one length with outputs of one length together."""
        read = [self._one(each, model) for each in examples]
        by_lengths: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, each in enumerate(read):
            by_lengths[each.lengths].append(place)
        found = []
        for same in by_lengths.values():
            for start in range(0, len(same), _TOGETHER):
                places = same[start : start + _TOGETHER]
                chosen = [examples[i] for i in places]
                batch = self._together(chosen, [read[i] for i in places], model)
                found.append((tuple(places), batch))
        return found

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """Log-probabilities ``[example, output]``: of each token of the output, of the whole, and
        of the other output as a whole where there is one.
        """
        source, *outputs = context
        sizes = [self._before(module, said).shape[1] for said in outputs]
        first, *parts = features.split([source.shape[1], *sizes], dim=1)
        columns = []
        for number, (said, part) in enumerate(zip(outputs, parts, strict=True)):
            with substituted(embeddings_of(module), self._parts(first, part)):
                scores = self._scores(module, source, self._before(module, said)).float()
            chances = scores.log_softmax(dim=-1).gather(-1, said[..., None]).squeeze(-1)
            columns += [chances] * (number == 0) + [chances.sum(dim=1, keepdim=True)]
        return torch.cat(columns, dim=1)

    def vocabulary(self, module: nn.Module, source: Tensor, said: Tensor) -> Tensor:
        """Scores in each place of the output ``said``: ``[example, token, vocabulary]``."""
        return self._scores(module, source, self._before(module, said))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Each output's own probability: they are not alternatives, so they do not sum to 1."""
        return logits.exp()

    def produce(
        self, example: Example, model: Living, most: int | None = None
    ) -> tuple[str, Batch]:
        """What the model says to a text, in ``most`` tokens at most, with the batch that asks
        how likely that is.

        Raises ``BadInput`` when it says nothing.
        """
        read = self._one(replace(example, outputs=()), model, most)
        return read.said[0].text, self._together([example], [read], model)

    def _one(self, example: Example, model: Living, most: int | None = None) -> _Read:
        text = decode(example)
        prompt = self._prompt(text)
        said = tuple(self._given(text, prompt, output, model) for output in example.outputs[:2])
        needed = max((len(each.encoded) for each in said), default=most or self.most or 0)
        encoded, gone = self._shortened(prompt, example, needed)
        if gone:
            text, encoded = fitted(text, encoded)
        return _Read(text, encoded, gone, said or (self._produced(encoded, model, most),))

    def _shortened(self, prompt: Encoded, example: Example, needed: int) -> tuple[Encoded, int]:
        """As much of the input as leaves room for the output, and how many tokens were cut."""
        if all(prompt.special):
            raise BadInput(
                f"'{example.name}' holds nothing that the model knows as text.", "Write some words."
            )
        room = self._room(needed)
        if room is not None and room < 1:
            raise BadInput(
                f"The output has {needed:,} tokens, the model takes {self.tokenizer.limit:,} "
                "with its input.",
                "Give a shorter one.",
            )
        return cut(prompt, room, example.cut)

    def _produced(self, encoded: Encoded, model: Living, most: int | None = None) -> Said:
        limit = most or self.most or min(2 * len(encoded) + 10, _LONGEST)
        if self.tokenizer.limit is not None:
            limit = min(limit, self.tokenizer.limit)
        known = (encoded.ids, limit)
        with model.exclusive() as module, torch.no_grad():
            end = getattr(module, "end", None)
            if known not in self._remembered:
                source = torch.tensor([encoded.ids], device=model.device)
                check(source, embedding_of(module))
                ids = until(end, module.produce(source, limit)[0].tolist())  # type: ignore[operator]
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[known] = tuple(ids)
        if not self._remembered[known]:
            raise BadInput("The model has nothing to say to this text.", "Write another one.")
        return spelt(self.tokenizer, self._remembered[known], end)

    def _together(self, examples: Sequence[Example], read: Sequence[_Read], model: Living) -> Batch:
        def tensor(rows: list[tuple[int, ...]]) -> Tensor:
            return torch.tensor(rows, device=model.device)

        source = tensor([each.encoded.ids for each in read])
        outputs = [
            tensor([each.said[number].encoded.ids for each in read])
            for number in range(len(read[0].said))
        ]
        with model.exclusive() as module, torch.no_grad():
            embedding = embedding_of(module)
            for ids in (source, *outputs):
                check(ids, embedding)
            before = [self._before(module, said) for said in outputs]
            features = torch.cat([embedding(ids).float() for ids in (source, *before)], dim=1)
            if not self._references:
                self._references = references(embedding, self.tokenizer, model.device)
        notes = [
            f"{each.gone:,} of {len(each.encoded) + each.gone:,} tokens were cut at the "
            f"{example.cut}: the model takes {self.tokenizer.limit:,} with its output."
            for example, each in zip(examples, read, strict=True)
            if each.gone
        ]
        return Batch(
            features=features,
            context=(source, *outputs),
            axes=tuple(
                tokens(
                    [
                        (each.text, each.encoded),
                        *((said.text, self._heard(said.encoded)) for said in each.said),
                    ]
                )
                for each in read
            ),
            pictures=(None,) * len(read),
            names=tuple(example.name for example in examples),
            outputs=tuple(names(each.said) for each in read),
            notes=tuple(notes),
        )

    @abstractmethod
    def _prompt(self, text: str) -> Encoded:
        """The tokens of an input."""

    @abstractmethod
    def _given(self, text: str, prompt: Encoded, output: str, model: Living) -> Said:
        """The tokens of an output that a person gives."""

    @abstractmethod
    def _room(self, needed: int) -> int | None:
        """How many tokens of input the model takes beside ``needed`` of output."""

    @abstractmethod
    def _heard(self, said: Encoded) -> Encoded:
        """What of the output the model was given to predict each of its tokens."""

    @abstractmethod
    def _before(self, module: nn.Module, said: Tensor) -> Tensor:
        """The same as ids ``[example, token]``."""

    @abstractmethod
    def _parts(self, source: Tensor, before: Tensor) -> list[Tensor]:
        """Embeddings as the network looks them up."""

    @abstractmethod
    def _scores(self, module: nn.Module, source: Tensor, before: Tensor) -> Tensor:
        """Scores of all tokens in each place of the output: ``[example, token, vocabulary]``."""


class TranslationAdapter(SequenceAdapter):
    """For encoder–decoders: ``module(source, target)`` gives ``[example, token, vocabulary]``,
    ``module.start`` is the token that a target begins with, ``module.end`` the one it ends with.
    """

    def _prompt(self, text: str) -> Encoded:
        return self.tokenizer.encode(text)

    def _given(self, text: str, prompt: Encoded, output: str, model: Living) -> Said:
        encoded = without_special(self.tokenizer.encode(output))
        if not encoded.ids:
            raise wordless(output)
        with model.exclusive() as module:
            end = getattr(module, "end", None)
        if end is not None:
            encoded = joined(encoded, special_token(end, END, len(output)))
        limit = self.tokenizer.limit
        if limit is not None and len(encoded) > limit:
            raise BadInput(
                f"The output has {len(encoded):,} tokens, the model takes {limit:,}.",
                "Give a shorter one.",
            )
        return Said(output, encoded)

    def _room(self, needed: int) -> int | None:
        return self.tokenizer.limit

    def _heard(self, said: Encoded) -> Encoded:
        return joined(special_token(-1, START, 0), said.take(range(len(said) - 1)))

    def _before(self, module: nn.Module, said: Tensor) -> Tensor:
        start: int | None = getattr(module, "start", None)
        if start is None:
            raise BadModel(
                f"{type(module).__name__} does not say which token an output begins with.",
                "Give it an attribute start.",
            )
        return torch.cat([torch.full_like(said[:, :1], start), said[:, :-1]], dim=1)

    def _parts(self, source: Tensor, before: Tensor) -> list[Tensor]:
        return [source, before]

    def _scores(self, module: nn.Module, source: Tensor, before: Tensor) -> Tensor:
        scores: Tensor = module(source, before)
        return scores


class CausalAdapter(SequenceAdapter):
    """For causal language models: ``module(ids)`` gives ``[example, token, vocabulary]``."""

    def _prompt(self, text: str) -> Encoded:
        encoded = self.tokenizer.encode(text)
        while encoded.special and encoded.special[-1]:  # an end would be the end of the prompt
            encoded = encoded.take(range(len(encoded) - 1))
        return encoded

    def _given(self, text: str, prompt: Encoded, output: str, model: Living) -> Said:
        """A continuation, set off by a space where it would run into the last word."""
        if not output.strip():
            raise wordless(output)
        if not _WORD_EDGE.match(text[-1] + output[0], 1):
            output = f" {output}"
        whole = self._prompt(text + output)
        if whole.ids[: len(prompt)] == prompt.ids:
            rest, back = whole.take(range(len(prompt), len(whole))), len(text)
        else:
            rest, back = self.tokenizer.encode(output), 0
        spans = tuple((max(0, start - back), max(0, end - back)) for start, end in rest.spans)
        encoded = without_special(replace(rest, spans=spans))
        if not encoded.ids:
            raise wordless(output)
        return Said(output, encoded)

    def _room(self, needed: int) -> int | None:
        limit = self.tokenizer.limit
        return None if limit is None else limit - needed

    def _heard(self, said: Encoded) -> Encoded:
        return said.take(range(len(said) - 1))

    def _before(self, module: nn.Module, said: Tensor) -> Tensor:
        return said[:, :-1]

    def _parts(self, source: Tensor, before: Tensor) -> list[Tensor]:
        return [torch.cat([source, before], dim=1)]

    def _scores(self, module: nn.Module, source: Tensor, before: Tensor) -> Tensor:
        scores: Tensor = module(torch.cat([source, before], dim=1))
        return scores[:, source.shape[1] - 1 :]


def translation(about: ModelCard, module: nn.Module) -> TranslationAdapter:
    """The adapter of an encoder–decoder's card."""
    return TranslationAdapter(tokenizer_of(about), _most(about))


def causal(about: ModelCard, module: nn.Module) -> CausalAdapter:
    """The adapter of a causal language model's card."""
    return CausalAdapter(tokenizer_of(about), _most(about) or 20)


def _most(about: ModelCard) -> int | None:
    """How many tokens the card says to produce."""
    found = about.raw.get("preprocessing", {}).get("produce")
    return None if found is None else max(1, int(found))
