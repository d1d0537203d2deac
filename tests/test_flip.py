"""The fewest words whose removal changes the answer, against brute force over all sets of words."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from toy_texts import CLASSES, MAKERS, MASK, Syllables, example, toy

from core.attribution.flip import flip
from core.codec import decode, encode
from core.data.text import without
from core.errors import BadInput, BadParameter, NotValid, UnknownName
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.models.text import TextAdapter
from core.progress import Meter, Progress
from core.results import Flip, Prediction
from core.tasks import Example, Tokens

TEXTS = (
    "A wonderful film, but far too long. I slept.",
    "Never again",
    "The harbour at night, seen from the old lighthouse",
    "good bad good bad good bad",
    "(Well) e\u0301te\u0301 in 東京 is hot!",
)


def asked(model: LoadedModel, text: str) -> Prediction:
    (found,) = predict(model, [example(text)], {}, 0, Meter())
    return found


def found(model: LoadedModel, text: str, **parameters: object) -> Flip:
    (each,) = flip(model, [example(text)], parameters, 0, Meter())
    return each


def words_of(text: str) -> list[tuple[int, int]]:
    """Words as people count them: between spaces, without punctuation; ideographs one by one."""
    spans = []
    for place, character in enumerate(text):
        letter = character.isalnum() or character == "\u0301"
        new = place == 0 or not (text[place - 1].isalnum() or text[place - 1] == "\u0301")
        if letter and (new or "\u4e00" <= character <= "\u9fff"):
            spans.append((place, place + 1))
        elif letter:
            spans[-1] = (spans[-1][0], place + 1)
    return spans


def smallest(model: LoadedModel, text: str, answer: int, limit: int) -> int | None:
    """By brute force, the size of the smallest set whose removal changes the answer."""
    spans = words_of(text)
    for size in range(1, min(limit, len(spans) - 1) + 1):
        for chosen in combinations(spans, size):
            if asked(model, without(text, chosen)).top(1)[0] != answer:
                return size
    return None


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", list(MAKERS))
def test_as_few_words_as_brute_force_finds(name: str, text: str) -> None:
    model = toy(name)
    each = found(model, text)
    before = asked(model, text)
    np.testing.assert_array_equal(each.before.logits, before.logits)
    size = smallest(model, text, before.top(1)[0], len(words_of(text)))
    assert each.found is (size is not None)
    if size is not None and size <= 3:
        assert len(each.words) == size
        assert each.proven_smallest
    if each.after is not None:
        assert [text[a:b] for a, b in each.spans] == list(each.words)
        assert each.text == without(text, each.spans)
        same = asked(model, each.text)
        np.testing.assert_array_equal(each.after.logits, same.logits)
        assert same.top(1) != before.top(1)
    else:
        assert (each.words, each.text) == ((), text)


class Fixed(torch.nn.Module):
    """Votes of words by their ids; class 0 leads by ``lead`` before any word has spoken."""

    def __init__(self, votes: dict[int, float], lead: float) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(64, 1)
        with torch.no_grad():
            self.embedding.weight.zero_()
            for token, vote in votes.items():
                self.embedding.weight[token] = vote
        self.lead = lead

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        score = self.embedding(ids).sum(dim=(1, 2)) + self.lead
        return torch.stack([score, torch.zeros_like(score), torch.full_like(score, -99)], dim=1)


def text_adapter(model: LoadedModel) -> TextAdapter:
    assert isinstance(model.adapter, TextAdapter)
    return model.adapter


def voting(words: dict[str, float], lead: float) -> LoadedModel:
    model = toy("bag")
    ids = {word: Syllables().encode(word).ids[1] for word in words}
    assert len(set(ids.values())) == len(words)
    model._module = Fixed({ids[word]: vote for word, vote in words.items()}, lead).eval()
    return model


VOTES = {"one": 1.0, "two": 2.0, "six": 0.5, "ten": 0.25, "nil": -0.1}


@pytest.mark.parametrize("replacement", ["drop", "padding"])
@pytest.mark.parametrize(
    ("lead", "count"),
    [(-2.0, 1), (-1.0, 2), (-0.4, 3)],
)
def test_votes_that_are_known(lead: float, count: int, replacement: str) -> None:
    """The answer falls to class 1 where the votes left sum to less than the lead."""
    model = voting(VOTES, lead)
    each = found(model, "nil ten two six one", replacement=replacement)
    removed = sum(VOTES[word] for word in each.words)
    assert sum(VOTES.values()) - removed + lead < 0
    assert len(each.words) == count
    assert each.proven_smallest
    assert each.after is not None
    assert each.after.logits[0] == pytest.approx(sum(VOTES.values()) - removed + lead, abs=1e-5)


def test_four_words_are_grown_and_thinned_but_not_proven() -> None:
    model = voting(VOTES, 0.05)
    each = found(model, "nil ten two six one")
    assert set(each.words) == {"two", "one", "six", "ten"}
    assert each.text == "nil"
    assert not each.proven_smallest


@pytest.mark.parametrize("most", [10, 11])
def test_few_tries_still_find_a_set_without_superfluous_words(most: int) -> None:
    model = voting({**VOTES, "nil": 0.0}, -0.4)
    text = "nil " * 20 + "ten two six one " + "nil " * 4
    each = found(model, text, most=most)
    assert each.found
    assert not each.proven_smallest
    for left_out in range(len(each.spans)):
        spans = [span for place, span in enumerate(each.spans) if place != left_out]
        assert asked(model, without(text, spans)).top(1) == each.before.top(1)


def test_masked_words_are_the_mask_token() -> None:
    model = toy("transformer")
    for text in TEXTS:
        each = found(model, text, replacement="mask")
        if each.after is None:
            continue
        batch = model.adapter.encode([example(text)], model)
        ids = batch.context[0].clone()
        axis = batch.axes[0]
        assert isinstance(axis, Tokens)
        for place, (start, end) in enumerate(axis.spans):
            if any(a <= start < end <= b for a, b in each.spans):
                ids[0, place] = MASK
        with model.exclusive() as module, torch.no_grad():
            np.testing.assert_allclose(module(ids)[0], each.after.logits, atol=1e-6)
        assert each.text.count("…") == len(each.words)


def test_to_a_class() -> None:
    model, text = toy("bag"), TEXTS[0]
    answer = asked(model, text).top(1)[0]
    for wanted in set(range(len(CLASSES))) - {answer}:
        each = found(model, text, to=CLASSES[wanted])
        if each.after is not None:
            assert each.after.top(1)[0] == wanted
    with pytest.raises(BadParameter, match="not another class"):
        found(model, text, to=CLASSES[answer])
    with pytest.raises(UnknownName, match="neither"):
        found(model, text, to="neithr")


def test_a_text_that_is_cut_loses_words_and_gains_none() -> None:
    model = toy("transformer")
    text = " ".join(f"w{number:02}" for number in range(60))
    for where in ("start", "end"):
        whole = Example("t", text.encode(), cut=where)
        (each,) = flip(model, [whole], {"most": 500}, 0, Meter())
        read = 38
        assert len(each.text.split()) == read - len(each.words)
        axis = each.before.axis
        assert isinstance(axis, Tokens)
        assert all(
            axis.text[start:end] == word
            for (start, end), word in zip(each.spans, each.words, strict=True)
        )


def test_one_word_cannot_be_dropped() -> None:
    each = found(toy("bag"), "word")
    assert not each.found
    assert (each.text, each.tried) == ("word", 0)


def test_what_cannot_be_asked() -> None:
    model = toy("bag")
    with pytest.raises(BadInput):
        found(model, " \n")
    with pytest.raises(BadParameter, match="drop, mask, padding"):
        found(model, "word", replacement="shout")
    for classes in ((), ("one",)):
        text_adapter(model).classes = classes
        with pytest.raises(NotValid, match="classes of texts"):
            found(model, "word")


@pytest.mark.parametrize(
    ("text", "word", "left"),
    [
        ("far too long.", "too", "far long."),
        ("far too long.", "long", "far too."),
        ("far too long.", "far", "too long."),
        ("wait (now) here", "now", "wait () here"),
        ("東京は暑い", "京", "東は暑い"),
        ("one\ntwo", "two", "one"),
        ("so, so", "so", ", so"),
    ],
)
def test_the_space_goes_with_the_word(text: str, word: str, left: str) -> None:
    start = text.index(word)
    assert without(text, [(start, start + len(word))]) == left


def test_it_can_be_kept_and_counts_its_passes() -> None:
    counted: list[Progress] = []
    (each,) = flip(toy("bag"), [example()], {}, 0, Meter(counted.append))
    same = decode(encode(each))
    assert same.words == each.words
    np.testing.assert_array_equal(same.before.logits, each.before.logits)
    assert counted[-1].done == each.tried
