"""What attributions have in common, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.attribution.mean import mean_map, mean_words
from core.errors import BadInput
from core.provenance import Provenance
from core.results import Attribution, Fit
from core.tasks import PixelGrid, Target, Tokens


def _of(axis: PixelGrid | Tokens, values: list[float], picture: int = 0) -> Attribution:
    array = np.array(values, np.float32).reshape(axis.shape)
    pixels = np.full((2, 2, 3), picture, np.uint8) if isinstance(axis, PixelGrid) else None
    made = Provenance("m", "w", (f"{picture}",), "attribute", {}, 0, "cpu", 1.0)
    return Attribution(
        "saliency", "e", Target(1, "one"), axis, array, 3.0, Fit("exact"), {}, pixels, made
    )


def _text(words: list[str]) -> Tokens:
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    spans = [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
    count = len(words)
    return Tokens(
        " ".join(words),
        tuple(words),
        tuple(spans),
        tuple(range(count)),
        (0,) * count,
        (False,) * count,
        (0,) * count,
    )


def test_the_mean_of_maps() -> None:
    grid = PixelGrid(1, 2, 2)
    found = mean_map([_of(grid, [1, 2, 3, 4], 10), _of(grid, [3, 2, 1, -4], 21)], "own answer")
    assert found.values.ravel().tolist() == [2, 2, 2, 0]
    assert found.picture is not None
    assert found.picture[0, 0].tolist() == [16, 16, 16]
    assert found.target.title == "own answer"
    assert found.provenance.inputs == ("10", "21")
    assert found.provenance.seconds == 2.0
    assert found.delta is None


def test_maps_of_other_shapes_are_refused() -> None:
    with pytest.raises(BadInput, match="one size"):
        mean_map([_of(PixelGrid(1, 2, 2), [1] * 4), _of(PixelGrid(1, 1, 2), [1] * 2)], "t")
    with pytest.raises(BadInput, match="nothing"):
        mean_map([], "t")


def test_words_are_the_same_word_in_every_text() -> None:
    one = _of(_text(["Good", "good", "film"]), [1.0, 0.5, -0.25])
    other = _of(_text(["film,", "bad"]), [-0.75, -4.0])
    found = {each.word: each for each in mean_words([one, other])}
    assert found["good"].mean == pytest.approx(1.5)
    assert found["film"].mean == pytest.approx(-0.5)
    assert found["film"].texts == 2
    assert [each.word for each in mean_words([one, other], most=2)] == ["bad", "good"]
