"""The verbs for notebooks, on texts."""

import numpy as np
import pytest

import core
from core.errors import UnknownName
from core.tasks import Tokens


def test_texts_are_asked_and_explained_like_pictures() -> None:
    model = core.reference("run:text_rnn")
    example = core.text("A racing game with karts")
    (prediction,) = core.predict(model, [example])
    assert prediction.classes[prediction.top(1)[0]] == "games"
    (found,) = core.attribute(model, [example], "occlusion", window=1)
    assert isinstance(found.axis, Tokens)
    assert found.axis.pieces[int(np.argmax(found.values))] == "game"
    with pytest.raises(UnknownName, match="window"):
        core.attribute(model, [example], "occlusion", windows=1)


def test_what_a_model_writes_can_be_given_or_produced() -> None:
    model = core.reference("run:translator")
    (made,) = core.produce(model, [core.text("God is good.")])
    (short,) = core.produce(model, [core.text("God is good.")], tokens=2)
    assert len(short.tokens) == 2
    (own,) = core.predict(model, [core.text("God is good.")])
    (given,) = core.predict(model, [core.text("God is good.", made.text)])
    np.testing.assert_allclose(own.logits, given.logits, atol=1e-5)
    np.testing.assert_allclose(made.probabilities, own.probabilities[:-1], rtol=1e-5)


def test_deciding_words_and_attention() -> None:
    (found,) = core.flip(core.reference("text_rnn"), [core.text("A racing game with karts")])
    assert found.after is not None
    assert found.words
    (maps,) = core.attention_maps(core.reference("translator"), [core.text("God is good.")], [0])
    assert [layer.role for layer in maps.layers] == ["encoder"]
    np.testing.assert_allclose(maps.maps[0].sum(axis=-1), 1, atol=1e-5)
