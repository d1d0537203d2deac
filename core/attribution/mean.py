"""What several attributions have in common: their mean over a grid, or over shared words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.errors import BadInput
from core.results.attribution import Attribution, MeanWord
from core.tasks import Columns, FeatureAxis, Target, Tokens


def mean_map(attributions: Sequence[Attribution], title: str) -> Attribution:
    """The mean of maps of one shape, over the mean picture; ``title`` stands for the targets.

    Raises ``BadInput`` when there is none, or shapes or methods differ.
    """
    if not attributions:
        raise BadInput("There is nothing to take the mean of.", "Pick some examples.")
    first = attributions[0]
    for each in attributions:
        if each.values.shape != first.values.shape or each.method != first.method:
            raise BadInput(
                f"'{each.example}' has a map of {each.method} with shape {each.values.shape}, "
                f"'{first.example}' one of {first.method} with {first.values.shape}.",
                "Take pictures of one size, and one method.",
            )
    pictures = [each.picture for each in attributions if each.picture is not None]
    picture = None
    if len(pictures) == len(attributions):
        picture = np.rint(np.mean(pictures, axis=0)).astype(np.uint8)
    return replace(
        first,
        example=f"mean of {len(attributions)} examples",
        target=Target(first.target.index, title),
        values=np.asarray(np.mean([each.values for each in attributions], axis=0), np.float32),
        score=float(np.mean([each.score for each in attributions])),
        picture=picture,
        baseline_score=None,
        delta=None,
        provenance=replace(
            first.provenance,
            inputs=tuple(one for each in attributions for one in each.provenance.inputs),
            seconds=sum(each.provenance.seconds for each in attributions),
        ),
    )


def mean_words(attributions: Sequence[Attribution], most: int = 16) -> tuple[MeanWord, ...]:
    """The words of the input that contribute most: those with the largest sum of |mean| over the
    texts in which they occur; a word's value in a text is the sum over its tokens there.
    """
    sums: dict[str, list[float]] = defaultdict(list)
    for each in attributions:
        for word, value in word_values(each).items():
            sums[word].append(value)
    words = [MeanWord(word, float(np.mean(found)), len(found)) for word, found in sums.items()]
    return tuple(sorted(words, key=lambda each: -abs(each.mean) * each.texts)[:most])


def word_values(attribution: Attribution) -> dict[str, float]:
    """What each word of the input contributes, all its occurrences together; or each column of a
    row; empty for a picture.
    """
    axis = attribution.axis
    if isinstance(axis, Columns):
        return dict(zip(axis.names, attribution.values.tolist(), strict=True))
    return {
        word: float(attribution.values[tokens].sum()) for word, tokens in word_tokens(axis).items()
    }


def word_tokens(axis: FeatureAxis) -> dict[str, list[int]]:
    """The tokens of each word of the input, all its occurrences together; none for a picture."""
    found: dict[str, list[int]] = defaultdict(list)
    if not isinstance(axis, Tokens):
        return found
    places: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(axis.words):
        places[number].append(place)
    for tokens in places.values():
        if axis.special[tokens[0]] or axis.parts[tokens[0]]:
            continue
        text = axis.text[axis.spans[tokens[0]][0] : axis.spans[tokens[-1]][1]]
        if word := text.strip().lower().strip(".,;:!?\"'()"):
            found[word] += tokens
    return dict(found)
