"""Covered words, against a bag of tokens whose answer is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_texts import CLASSES, MASK, PAD, Syllables, example, toy

from core.attribution.cover import cover
from core.codec import decode, encode
from core.errors import BadParameter
from core.models.loaded import LoadedModel
from core.models.text import TextAdapter
from core.progress import Meter
from core.results import Prediction

TEXT = "A wonderful film, but far too long."


def covered(model: LoadedModel, *spans: tuple[int, int], **settings: object) -> Prediction:
    (found,) = cover(model, [example(TEXT)], {"spans": spans, **settings}, 0, Meter())
    return found


@pytest.mark.parametrize(("replacement", "token"), [("mask", MASK), ("padding", PAD)])
def test_a_covered_word_is_the_other_token_read_in_its_place(replacement: str, token: int) -> None:
    model = toy("transformer")
    ids = list(Syllables().encode(TEXT).ids)
    ids[2:5] = [token] * 3  # won-der-ful, after <s> and A
    with model.exclusive(0) as module, torch.no_grad():
        truth = module(torch.tensor([ids]))[0].numpy()
    found = covered(model, (2, 11), replacement=replacement)
    np.testing.assert_allclose(found.logits, truth, atol=1e-6)
    part = covered(model, (3, 4), (6, 9), replacement=replacement)  # touches all three
    np.testing.assert_allclose(part.logits, truth, atol=1e-6)


def test_a_zero_takes_away_what_the_word_adds() -> None:
    model = toy("bag")
    encoded = Syllables().encode(TEXT)
    ids = [each for place, each in enumerate(encoded.ids) if place not in (2, 3, 4)]
    with model.exclusive(0) as module, torch.no_grad():
        truth = module(torch.tensor([ids]))[0].numpy()
    np.testing.assert_allclose(covered(model, (2, 11), replacement="zero").logits, truth, atol=1e-5)


def test_a_model_without_a_mask_gets_what_it_has() -> None:
    model = toy("bag")
    assert covered(model, (2, 11)).provenance.parameters["replacement"] == "mask"
    tokenizer = Syllables()
    tokenizer.mask = None
    other = replace(model, adapter=TextAdapter(CLASSES, tokenizer))
    found = covered(other, (2, 11))
    assert found.provenance.parameters["replacement"] == "padding"
    truth = covered(model, (2, 11), replacement="padding")
    np.testing.assert_allclose(found.logits, truth.logits, atol=1e-6)


@pytest.mark.parametrize("spans", [(), ((1, 2),), ((400, 500),), ((5, 5),)])
def test_characters_without_a_word_are_told(spans: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(BadParameter, match="No word"):
        covered(toy("bag"), *spans)


def test_the_result_can_be_stored() -> None:
    found = covered(toy("bag"), (2, 11))
    assert found.provenance.verb == "cover"
    again = decode(encode(found))
    np.testing.assert_array_equal(again.logits, found.logits)
