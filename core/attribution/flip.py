"""The verb ``flip``: the fewest words whose removal changes what a classifier of texts answers.

Single words and pairs are all tried, as far as ``most`` allows; larger sets grow greedily from the
best pair and are then thinned until no word in them is superfluous.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from core.data.text import without
from core.errors import BadParameter, NotValid
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.flip import Flip
from core.results.levels import Grouped, at_level
from core.results.prediction import Prediction
from core.tasks import Example, Tokens, parse_targets

PARAMETERS = (
    Parameter(
        "replacement",
        "choice",
        "drop",
        "What becomes of a word: left out, or covered by the mask or padding token.",
        choices=("drop", "mask", "padding"),
    ),
    Parameter(
        "most",
        "int",
        2000,
        "Most texts to try before a set that is found is thinned out.",
        minimum=10,
        maximum=100_000,
    ),
)
_TOGETHER = 256  # sets of words asked about at once
_COVER = "…"

Words = tuple[int, ...]  # places of words, rising


def flip(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Flip, ...]:
    """One ``Flip`` per example.

    ``parameters``: ``replacement`` and ``most`` as in ``PARAMETERS``; ``to``, the class to reach,
    any other than the predicted one if left out.

    Raises ``NotValid`` for a model that does not tell classes of texts apart, ``BadParameter`` for
    a token that the model does not have, ``UnknownName`` for a class, ``BadInput`` for an
    unreadable text.
    """
    if model.adapter.axis != "tokens" or len(model.adapter.classes) < 2:
        raise NotValid(
            f"'{model.ref.name}' does not tell classes of texts apart.",
            "Choose a text classifier.",
        )
    settings = checked(
        PARAMETERS, {k: v for k, v in parameters.items() if k != "to"}, "the search for words"
    )
    to = str(parameters.get("to", ""))
    found = []
    for example in inputs:
        started = time.perf_counter()
        search = _Search(model, example, str(settings["replacement"]), to, seed, meter)
        words, proven = search.smallest(int(settings["most"]))
        labels = search.groups.labels
        found.append(
            Flip(
                example=example.name,
                replacement=str(settings["replacement"]),
                words=tuple(labels[group] for group in search.places(words)),
                spans=tuple(search.groups.spans[group] for group in search.places(words)),
                text=search.without(words),
                before=search.before,
                after=search.after(words) if words else None,
                proven_smallest=proven,
                tried=len(search.known),
                provenance=Provenance(
                    model=model.ref.name,
                    weights=model.ref.fingerprint,
                    inputs=(example.sha256,),
                    verb="flip",
                    parameters={**settings, "to": to},
                    seed=seed,
                    device=str(model.device),
                    seconds=time.perf_counter() - started,
                ),
            )
        )
    return tuple(found)


class _Search:
    """One text, its words, and how far each set of them that was tried moves the answer.

    A margin above 0 is a changed answer.
    """

    def __init__(
        self,
        model: LoadedModel,
        example: Example,
        replacement: str,
        to: str,
        seed: int,
        meter: Meter,
    ) -> None:
        self.model, self.replacement = model, replacement
        self.seed, self.meter = seed, meter
        self.example = example
        self.batch = model.adapter.encode([example], model)
        axis = cast(Tokens, self.batch.axes[0])
        self.groups = at_level(axis, np.zeros(axis.shape), "word", fold_special=True)
        self.words = _words(self.groups)
        # Only what is read: no word beyond a cut moves up where another leaves.
        read = [span for span, alone in zip(axis.spans, axis.special, strict=True) if not alone]
        self.read = (read[0][0], read[-1][1]) if self.batch.notes else (0, len(axis.text))
        if replacement != "drop":
            self.cover = model.adapter.baseline(self.batch, replacement, seed, None)
        (self.before,) = predict(model, [example], {}, seed, Meter())
        self.index = self.before.top(1)[0]
        self.to = _class(to, self.before) if to else None
        self.known: dict[Words, float] = {}

    def smallest(self, most: int) -> tuple[Words, bool]:
        """The smallest set found, empty if none, and whether there is none smaller."""
        if not self._removable:
            return (), False
        self.meter.expect(len(self.words), "Single words")
        singles = self.margins([(word,) for word in range(len(self.words))][:most])
        best = int(np.argmax(singles))
        if singles[best] > 0:
            return (best,), True
        every_single = len(singles) == len(self.words)
        pairs = combinations(range(len(singles)), 2) if self._removable > 1 else ()
        ranked = sorted(pairs, key=lambda pair: -singles[pair[0]] - singles[pair[1]])
        some = ranked[: max(0, most - len(self.known))]
        words = self._pair(some, (best,))
        if self.known[words] <= 0:
            order = [*np.argsort(-singles, kind="stable"), *range(len(singles), len(self.words))]
            words = self._thinned(self._grown(words, [int(word) for word in order], most))
        tried = every_single + (every_single and len(some) == len(ranked))
        return words, 0 < len(words) <= 1 + tried

    def margins(self, sets: Sequence[Words]) -> npt.NDArray[np.float64]:
        """How far each set moves the answer; what is known already costs nothing."""
        new = [each for each in dict.fromkeys(sets) if each not in self.known]
        for first in range(0, len(new), _TOGETHER):
            some = new[first : first + _TOGETHER]
            for each, logits in zip(some, self._logits(some), strict=True):
                self.known[each] = self._margin(logits)
        return np.array([self.known[each] for each in sets])

    def places(self, words: Words) -> list[int]:
        """Groups of the text that these words are."""
        return [self.words[word] for word in words]

    def without(self, words: Words) -> str:
        """The text without these words, or with them covered."""
        first, last = self.read
        text = self.groups.text[first:last]
        found = [self.groups.spans[group] for group in self.places(words)]
        spans = [(start - first, end - first) for start, end in found]
        if self.replacement == "drop":
            return without(text, spans)
        for start, end in reversed(spans):
            text = text[:start] + _COVER + text[end:]
        return text

    def after(self, words: Words) -> Prediction:
        """The answer without these words."""
        if self.replacement == "drop":
            (found,) = predict(self.model, [self._changed(words)], {}, self.seed, Meter())
            return found
        logits = torch.from_numpy(self._logits([words]))
        probabilities = self.model.adapter.probabilities(logits)[0].numpy()
        return replace(self.before, logits=logits[0].numpy(), probabilities=probabilities)

    @property
    def _removable(self) -> int:
        """How many words can go: something must be left to read."""
        return len(self.words) - (self.replacement == "drop")

    def _changed(self, words: Words) -> Example:
        return Example(self.example.name, self.without(words).encode(), cut=self.example.cut)

    def _margin(self, logits: npt.NDArray[np.float32]) -> float:
        wanted = self.index if self.to is None else self.to
        others = np.delete(logits, wanted).max()
        return float((others - logits[wanted]) * (1 if self.to is None else -1))

    def _logits(self, sets: Sequence[Words]) -> npt.NDArray[np.float32]:
        adapter = self.model.adapter
        if self.replacement != "drop":
            return self._covered(sets)
        found = np.empty((len(sets), len(adapter.classes)), np.float32)
        for places, batch in adapter.batches([self._changed(each) for each in sets], self.model):
            self.meter.tick(len(places))
            with self.model.exclusive(self.seed) as module, torch.no_grad():
                logits = adapter.logits(module, batch.features, *batch.context).float()
            found[list(places)] = logits.cpu().numpy()
        return found

    def _covered(self, sets: Sequence[Words]) -> npt.NDArray[np.float32]:
        features = self.batch.features
        hidden = torch.zeros(len(sets), features.shape[1], 1, dtype=torch.bool)
        for row, words in enumerate(sets):
            for group in self.places(words):
                hidden[row, list(self.groups.tokens[group])] = True
        found = []
        for some in hidden.to(features.device).split(64):
            self.meter.tick(len(some))
            mixed = torch.where(some, self.cover, features)
            context = [each.expand(len(some), *each.shape[1:]) for each in self.batch.context]
            with self.model.exclusive(self.seed) as module, torch.no_grad():
                found.append(self.model.adapter.logits(module, mixed, *context).float().cpu())
        return torch.cat(found).numpy()

    def _pair(self, pairs: Sequence[Words], start: Words) -> Words:
        """The first pair that changes the answer; without one the set that moves it farthest."""
        self.meter.expect(len(pairs), "Pairs of words")
        for first in range(0, len(pairs), _TOGETHER):
            some = pairs[first : first + _TOGETHER]
            margins = self.margins(some)
            if margins.max() > self.known[start]:
                start = some[int(np.argmax(margins))]
            if self.known[start] > 0:
                break
        return start

    def _grown(self, start: Words, order: Sequence[int], most: int) -> Words:
        """A set that changes the answer, grown word by word; by rank of the single words once
        ``most`` texts are tried. Empty if none does.
        """
        words = start
        while len(words) < self._removable and len(self.known) + len(self.words) <= most:
            larger = [tuple(sorted((*words, word))) for word in sorted(order) if word not in words]
            self.meter.expect(len(larger), f"{len(words) + 1} words")
            margins = self.margins(larger)
            words = larger[int(np.argmax(margins))]
            if margins.max() > 0:
                return words
        rest = [word for word in order if word not in words]
        longer = [
            tuple(sorted((*words, *rest[:count])))
            for count in range(1, self._removable - len(words) + 1)
        ]
        self.meter.expect(len(longer), "Many words")
        for first in range(0, len(longer), 64):
            margins = self.margins(longer[first : first + 64])
            if margins.max() > 0:
                return longer[first + int(np.argmax(margins > 0))]
        return ()

    def _thinned(self, words: Words) -> Words:
        """The same without words that it can do without: many at once first, the weakest before
        others, then one by one until none is superfluous.
        """
        size = max(1, len(words) // 2)
        while True:
            order = sorted(words, key=lambda word: self.known.get((word,), -np.inf))
            before = words
            for first in range(0, len(order), size):
                some = set(order[first : first + size])
                fewer = tuple(word for word in words if word not in some)
                if fewer and self.margins([fewer])[0] > 0:
                    words = fewer
            if size == 1 and words == before:
                return words
            size = max(1, size // 2)


def _class(name: str, before: Prediction) -> int:
    target = parse_targets(name, before.classes, before.logits)[0]
    if target.index == before.top(1)[0] or target.versus is not None:
        raise BadParameter(
            f"'{target.title}' is not another class than the answer.", "Name another, or none."
        )
    return target.index


def _words(groups: Grouped) -> list[int]:
    """Groups that hold letters, digits or symbols: punctuation stays, special tokens too."""
    return [
        place
        for place, (start, end) in enumerate(groups.spans)
        if not groups.special[place]
        and any(unicodedata.category(character)[0] in "LNS" for character in groups.text[start:end])
    ]
