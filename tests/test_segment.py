"""Words and sentences in any script, and the axis that tokens lie on."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.segment import tokens
from core.models.tokenizer import Encoded, cut
from core.results.levels import at_level
from core.tasks import Tokens

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
DECOMPOSED = "cafe\N{COMBINING ACUTE ACCENT}"


def letters(text: str) -> Encoded:
    """A token for every character that is not a space, so that nothing is given away."""
    places = [place for place, letter in enumerate(text) if not letter.isspace()]
    return Encoded(
        tuple(places),
        tuple((place, place + 1) for place in places),
        (False,) * len(places),
        tuple(text[place] for place in places),
    )


def labels(text: str, level: str) -> list[str]:
    axis = tokens([(text, letters(text))])
    return list(at_level(axis, np.zeros(axis.shape), level).labels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's well-made, isn't it?", ["It's", "well", "-", "made", ",", "isn't", "it", "?"]),
        (DECOMPOSED + " con leche", [DECOMPOSED, "con", "leche"]),
        ("很好看", ["很", "好", "看"]),
        ("سيئ جدا", ["سيئ", "جدا"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        (f"love {FAMILY} much", ["love", FAMILY, "much"]),
        ("3.5 stars", ["3.5", "stars"]),
        ("one\n\ttwo", ["one", "two"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert labels(text, "word") == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Good. Really good! Is it?", ["Good.", "Really good!", "Is it?"]),
        ('"Go away." She went.', ['"Go away."', "She went."]),
        ("很好。真的好！是吗？", ["很好。", "真的好！", "是吗？"]),
        ("no full stop\nnext line", ["no full stop", "next line"]),
        ("It costs 3.50 now", ["It costs 3.50 now"]),
        ("one", ["one"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert labels(text, "sentence") == sentences


def test_parts_are_lines_of_one_text() -> None:
    axis = tokens([("Hola. Sí", letters("Hola. Sí")), ("Hi", letters("Hi"))])
    assert axis.text == "Hola. Sí\nHi"
    assert [axis.text[a:b] for a, b in axis.spans] == list(axis.pieces)
    assert axis.parts == (0,) * 7 + (1,) * 2
    groups = at_level(axis, np.arange(9.0), "sentence")
    assert groups.labels == ("Hola.", "Sí", "Hi")
    np.testing.assert_array_equal(groups.values, [0 + 1 + 2 + 3 + 4, 5 + 6, 7 + 8])
    assert groups.parts == (0, 0, 1)


def test_special_tokens_stand_alone() -> None:
    inner = letters("ab cd")
    wrapped = Encoded(
        (90, *inner.ids, 91),
        ((0, 0), *inner.spans, (5, 5)),
        (True, *inner.special, True),
        ("[CLS]", *inner.pieces, "[SEP]"),
    )
    axis = tokens([("ab cd", wrapped)])
    assert axis.words == (0, 1, 1, 2, 2, 3)
    assert axis.sentences == (0,) * 6
    assert at_level(axis, np.ones(6), "word").labels == ("[CLS]", "ab", "cd", "[SEP]")
    folded = at_level(axis, np.ones((2, 6)), "word", fold_special=True)
    assert folded.labels == ("ab", "cd", "special tokens")
    np.testing.assert_array_equal(folded.values, [[2, 2, 2]] * 2)


def test_tokens_that_share_a_character_are_one_word() -> None:
    """Byte-level tokenizers cut a character into several tokens with the same span."""
    encoded = Encoded((1, 2, 3), ((0, 1), (0, 1), (2, 3)), (False,) * 3, ("�", "�", "b"))
    axis = tokens([("é b", encoded)])
    assert axis.words == (0, 0, 1)
    assert at_level(axis, np.ones(3), "word").labels == ("é", "b")


def test_numbers_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="do not rise"):
        Tokens("ab", ("a", "b"), ((0, 1), (1, 2)), (0, 2), (0, 0), (False,) * 2, (0, 0))
    with pytest.raises(ValueError, match="2 pieces"):
        Tokens("ab", ("a", "b"), ((0, 1),), (0, 1), (0, 0), (False,) * 2, (0, 0))


@pytest.mark.parametrize("limit", [None, 50, 6])
def test_nothing_is_cut_that_fits(limit: int | None) -> None:
    encoded = letters("abcdef")
    assert cut(encoded, limit, "end") == (encoded, 0)


def test_a_token_without_characters_belongs_to_the_word_it_stands_at() -> None:
    """As a bare beginning of a word before a punctuation mark."""
    spans = ((0, 1), (1, 1), (1, 2), (3, 4))
    axis = tokens([("a> b", Encoded((1, 2, 3, 4), spans, (False,) * 4, ("a", "▁", ">", "b")))])
    groups = at_level(axis, np.array([1.0, 2.0, 4.0, 8.0]), "word")
    assert groups.labels == ("a", ">", "b")
    assert groups.values.tolist() == [1, 6, 8]
