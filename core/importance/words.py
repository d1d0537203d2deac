"""Importance of words: each is exchanged where it stands, or its attribution summed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.attribution.mean import word_tokens
from core.importance.judged import Judged
from core.importance.sample import Sample
from core.models.loaded import LoadedModel
from core.tasks import Tokens

Floats = npt.NDArray[np.float64]
_MOST = 120  # words that are kept
_TOGETHER = 256


def exchanged(
    model: LoadedModel,
    sample: Sample,
    judged: Callable[[nn.Module, tuple[Tensor, ...], npt.NDArray[np.int64]], Judged],
    repeats: int,
    seed: int,
) -> list[list[dict[str, float]]]:
    """How far the measure of each text falls when a word, wherever it stands in it, gives way to
    words drawn from all texts: ``[seed][text]`` by word.

    A column of a table is shuffled as a whole; a word that stands in few texts would hardly move,
    and there is no place for it where it is not. So tokens are drawn for its tokens, from those of
    all texts, which keeps the length and how often each token occurs. Captum's permutation needs
    inputs of one shape.
    """
    pool = torch.cat([_own(batch.features, batch.axes) for _, batch in sample.batches])
    found: list[list[dict[str, float]]] = []
    for repeat in range(repeats):
        random = np.random.default_rng([seed, repeat])
        texts: list[dict[str, float]] = [{} for _ in range(len(sample))]
        for places, batch in sample.batches:
            work = [
                (row, word, tokens)
                for row, axis in enumerate(batch.axes)
                for word, tokens in word_tokens(axis).items()
            ]
            with model.exclusive(seed) as module:
                owners = np.array(places, np.int64)
                before = judged(module, batch.context, owners)(batch.features).cpu().numpy()
                for start in range(0, len(work), _TOGETHER):
                    part = work[start : start + _TOGETHER]
                    index = torch.tensor([row for row, *_ in part], device=pool.device)
                    features = batch.features[index].clone()
                    for copy, (_, _, tokens) in enumerate(part):
                        drawn = random.integers(len(pool), size=len(tokens))
                        features[copy, tokens] = pool[torch.from_numpy(drawn).to(pool.device)]
                    context = tuple(each[index] for each in batch.context)
                    rows = owners[[row for row, *_ in part]]
                    after = judged(module, context, rows)(features).cpu().numpy()
                    for (row, word, _), value in zip(part, after, strict=True):
                        texts[places[row]][word] = float(before[row]) - float(value)
        found.append(texts)
    return found


def passes(sample: Sample) -> int:
    """How many passes ``exchanged`` makes for each seed."""
    words = sum(len(word_tokens(axis)) for _, batch in sample.batches for axis in batch.axes)
    return words + len(sample)


def tabled(
    found: Sequence[Sequence[Mapping[str, float]]], signed: bool
) -> tuple[tuple[str, ...], Floats, Floats]:
    """Words, the most important first, at most 120; what each does in each text (the mean over the
    seeds, NaN where it is not) ``[text, word]``; and its importance by each seed ``[seed, word]``.
    """
    count = len(found[0])
    names = Counter(word for text in found[0] for word in text)
    words = list(names)
    place = {word: at for at, word in enumerate(words)}
    every = np.full((len(found), count, len(words)), np.nan)
    for repeat, texts in enumerate(found):
        for row, text in enumerate(texts):
            for word, value in text.items():
                every[repeat, row, place[word]] = value
    sizes = np.nan_to_num(np.abs(every) if signed else every)
    seeds = sizes.mean(axis=1)
    order = np.argsort(-np.abs(seeds.mean(axis=0)), kind="stable")[:_MOST]
    order = order[np.argsort(-seeds.mean(axis=0)[order], kind="stable")]
    return tuple(words[at] for at in order), every.mean(axis=0)[:, order], seeds[:, order]


def _own(features: Tensor, axes: Sequence[object]) -> Tensor:
    """The vectors of the texts' own tokens, ``[token, width]``."""
    special = [each.special for each in axes if isinstance(each, Tokens)]
    return features[~torch.tensor(special, device=features.device)]
