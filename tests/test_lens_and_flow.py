"""The answer on the way and the gradient on its way back: closed forms and every kind of model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.activations.flow import gradient_flow
from core.activations.lens import blocks, logit_lens
from core.data.dataset import dataset
from core.errors import Cancelled, NotValid
from core.models.catalogue import card, reference
from core.models.loader import load
from core.models.predict import predict
from core.notebook import capture
from core.progress import Meter

TRANSFORMERS = ["fashion_vit", "sentiment", "translator", "tiny_lm"]


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_last_block_says_what_the_model_says(name: str) -> None:
    model, data = load(reference(name), "cpu"), dataset(card(name))
    (found,) = logit_lens(model, (data[0],), {"top": 3}, 0, Meter())
    plain = predict(model, (data[0],), {}, 0, Meter())[0]
    assert len(found.layers) >= 2
    np.testing.assert_allclose(found.divergence[-1], 0, atol=1e-5)
    assert (found.divergence > -1e-5).all()
    if plain.axis.kind == "tokens" and "whole output" in plain.classes:
        own = plain.probabilities[: len(found.positions)]
        np.testing.assert_allclose(found.chance[-1], own, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_allclose(found.chance[-1, 0], plain.probabilities.max(), rtol=1e-4)
        assert found.answers == (plain.classes[int(plain.probabilities.argmax())],)
    if found.rank[-1, 0] < 3:  # an example may name an output that is not the likeliest
        assert found.best[-1][0][found.rank[-1, 0]] == found.answers[0]
    assert (found.rank[-1] == 0).mean() >= 0.3
    assert (np.diff(found.probabilities, axis=-1) <= 0).all()


def test_a_block_in_the_middle_by_hand() -> None:
    model, data = load(reference("fashion_vit"), "cpu"), dataset(card("fashion_vit"))
    (found,) = logit_lens(model, (data[4],), {}, 0, Meter())
    batch = model.adapter.encode([data[4]], model)
    with model.exclusive() as module, torch.no_grad():
        names = blocks(model, module, batch)
        middle, *later = names[1:]
        for name in later:  # without them, what comes in goes out
            module.get_submodule(name).register_forward_hook(lambda part, args, output: args[0])
        logits = model.adapter.logits(module, batch.features, *batch.context)
    expected = logits.softmax(dim=-1)[0]
    place = found.layers.index(middle)
    by_name = dict(zip(found.best[place][0], found.probabilities[place, 0], strict=True))
    for name, value in by_name.items():
        index = batch.outputs[0].index(name)
        assert value == pytest.approx(float(expected[index]), rel=1e-4)


@pytest.mark.parametrize("name", ["digits_cnn", "text_rnn"])
def test_what_is_no_stack_of_blocks_is_refused(name: str) -> None:
    model, data = load(reference(name), "cpu"), dataset(card(name))
    with pytest.raises(NotValid, match="no stack of equal blocks"):
        logit_lens(model, (data[0],), {}, 0, Meter())
    with model.exclusive() as module:
        assert not any(each._forward_hooks for each in module.modules())


@pytest.mark.parametrize("name", ["digits_cnn", "text_rnn", "sentiment", "translator", "tiny_lm"])
def test_the_gradient_reaches_every_kind_of_model(name: str, tmp_path: Path) -> None:
    found = capture(reference(name), limit=5, out=tmp_path / "c")
    flow = gradient_flow(load(reference(name), "cpu"), (), {"capture": found.folder}, 0, Meter())
    assert np.isfinite(flow.outputs).all()
    assert (flow.outputs > 0).any()
    assert (flow.gradients > 0).any()
    assert flow.examples == 5


def test_the_gradient_at_the_head_by_hand(tmp_path: Path) -> None:
    """At the logits it is softmax minus label; by the weights of the head its product with what
    came in.
    """
    found = capture(reference("digits_cnn"), limit=8, out=tmp_path / "c")
    model = load(reference("digits_cnn"), "cpu")
    flow = gradient_flow(model, (), {"capture": str(found.folder)}, 0, Meter())
    logits = torch.tensor(np.asarray(found.scores))
    labels = torch.tensor(np.asarray(found.labels))
    apart = logits.softmax(dim=1) - F.one_hot(labels, 10)
    at = flow.layers.index("dense2")
    assert flow.outputs[at] == pytest.approx(float(apart.norm(dim=1).mean()), rel=1e-3)
    hidden = torch.tensor(np.asarray(found.layer("dropout2"), np.float32))
    weight, bias = apart.T @ hidden / 8, apart.mean(dim=0)
    expected = float((weight.square().sum() + bias.square().sum()).sqrt())
    assert flow.gradients[at] == pytest.approx(expected, rel=1e-2)
    with model.exclusive() as module:
        assert all(each.grad is None and not each.requires_grad for each in module.parameters())


def test_cancel_leaves_nothing_behind(tmp_path: Path) -> None:
    found = capture(reference("digits_cnn"), limit=40, out=tmp_path / "c")
    model = load(reference("digits_cnn"), "cpu")
    asked = iter([False, True, True])
    with pytest.raises(Cancelled):
        gradient_flow(
            model,
            (),
            {"capture": str(found.folder)},
            0,
            Meter(cancelled=lambda: next(asked)),
        )
    with model.exclusive() as module:
        assert all(each.grad is None for each in module.parameters())
        assert not any(each._forward_hooks for each in module.modules())
