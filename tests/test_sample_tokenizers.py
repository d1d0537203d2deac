"""The tokenizers of the sample models read as in training, and know where each token stands."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from core.attribution.compute import attribute
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.models.produce import produce
from core.models.tokenizer import Encoded, Tokenizer
from core.progress import Meter
from core.results import Attribution
from core.results.levels import at_level
from core.tasks import Example, Tokens
from sample_models import topics, verses
from sample_models.subwords import END, PAD, START, UNKNOWN
from sample_models.text_training import Vocabulary
from sample_models.tokenizers import SubwordTokenizer, WordTokenizer
from sample_models.translation import translate_texts

TEXTS = (
    "And God said, Let there be light: and there was light.",
    "The king’s   Son spoke 7 words to İSRAEL!",
    "C++ bindings\nfor OpenGL\t(C#), version 2.0",
    "ὈΔΥΣΣΕΎΣ said: 光 e\u0301te\u0301 🙂 -- 'tis",
    "don't—stop…  ",
    "ǅ ﬁ ẞ İİİ end",
)
texts = pytest.mark.parametrize("words", TEXTS)


@cache
def translator() -> LoadedModel:
    return load(reference("run:translator"), "cpu")


@cache
def tokenizer(name: str) -> Tokenizer:
    about = card(f"run:{name}")
    found: Tokenizer = load(reference(about.name), "cpu").adapter.tokenizer  # type: ignore[attr-defined]
    return found


def said(words: str) -> Example:
    return Example("typed", words.encode())


def check_spans(encoded: Encoded, words: str) -> None:
    """In order, within the text, without overlap, and nothing but spaces left out within a word."""
    last = 0
    for (start, end), piece in zip(encoded.spans, encoded.pieces, strict=True):
        assert last <= start <= end <= len(words)
        assert piece in (words[start:end].strip(), "▁")
        last = end


@texts
def test_words_are_those_of_training(words: str) -> None:
    found = tokenizer("text_rnn")
    assert isinstance(found, WordTokenizer)
    encoded = found.encode(words)
    assert list(encoded.ids or (UNKNOWN,)) == Vocabulary(found.known).encode(words)
    check_spans(encoded, words)
    for token, (start, end) in zip(topics.words(words), encoded.spans, strict=True):
        assert words[start:end].lower() == token or "İ" in words


@texts
def test_pieces_are_those_of_training(words: str) -> None:
    found = tokenizer("translator")
    assert isinstance(found, SubwordTokenizer)
    encoded = found.encode(words)
    assert list(encoded.ids) == found.subwords.encode(verses.words(words))
    check_spans(encoded, words)
    covered = "".join(words[start:end] for start, end in encoded.spans)
    if "İ" not in words:  # two letters in lower case, of which a sign is read as one
        assert "".join(covered.split()) == "".join(words.split())


def test_what_is_not_read_has_no_token() -> None:
    found = tokenizer("text_rnn").encode("Quake 3, zzyzx")
    assert found.pieces == ("Quake", "zzyzx")
    assert found.spans == ((0, 5), (9, 14))
    assert found.ids[1] == UNKNOWN
    assert tokenizer("text_rnn").decode(found.ids).endswith(" ?")


def test_pieces_of_a_word_are_parts_of_it() -> None:
    found = tokenizer("translator").encode("the Zzyzxians")
    assert found.pieces[0] == "the"
    assert len(found) > 2
    assert "".join(found.pieces[1:]) == "Zzyzxians"


def test_an_endless_word_is_read_in_parts() -> None:
    found = tokenizer("translator")
    assert isinstance(found, SubwordTokenizer)
    encoded = found.encode("go " + "ab" * 25_000 + " on")
    assert encoded.spans[-1] == (50_004, 50_006)
    part = found.subwords.encode(["ab" * 100])
    assert list(encoded.ids[1 : 1 + 2 * len(part)]) == part * 2
    check_spans(encoded, "go " + "ab" * 25_000 + " on")


def test_decoding_skips_what_is_not_text() -> None:
    found = tokenizer("translator")
    ids = found.encode("In the beginning, God").ids
    assert found.decode((START, *ids, END, *ids)) == "in the beginning, god"
    assert found.decode((PAD, START, END)) == ""
    assert found.decode(()) == ""


def test_translator_produces_what_its_beam_finds() -> None:
    model, sentences = translator(), ["God is good.", "he went out of the city by night, and wept"]
    with model.exclusive() as module:
        found = tokenizer("translator")
        assert isinstance(found, SubwordTokenizer)
        expected = translate_texts(module, found.subwords, sentences, beam=4)
    made = produce(model, [said(each) for each in sentences], {}, 0, Meter())
    assert [each.text for each in made] == expected
    assert all(each.tokens[-1] == "<end>" for each in made)
    (short,) = produce(model, [said(sentences[1])], {"tokens": 3}, 0, Meter())
    assert len(short.tokens) == 3


def test_a_translated_word_is_owed_to_the_word_it_translates() -> None:
    example = said("And God said, Let there be light.")
    (prediction,) = predict(translator(), [example], {}, 0, Meter())
    for word, source in (("luz", "light"), ("dios", "God"), ("dijo", "said")):
        found = explained(word, example)
        assert isinstance(found.axis, Tokens)
        words = at_level(found.axis, found.values, "word")
        inputs = [place for place, part in enumerate(words.parts) if part == 0]
        best = max(inputs, key=lambda place: words.values[place])
        assert words.labels[best] == source
        np.testing.assert_allclose(found.score, prediction.logits[found.target.index], atol=1e-5)


def explained(word: str, example: Example) -> Attribution:
    parameters = {"method": "feature_ablation", "target": word, "settings": {}}
    (found,) = attribute(translator(), [example], parameters, 0, Meter())
    return found
