"""Units and what they go by: closed forms, Captum called by hand, every kind of model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance

from core.activations.capture import capture
from core.activations.filters import filters
from core.attribution.relevant import relevant_examples
from core.attribution.units import METHODS, neuron_attribution, unit_attribution
from core.data.dataset import dataset
from core.errors import Cancelled, NotValid, UnknownName
from core.models.catalogue import card, reference
from core.models.loader import load
from core.progress import Meter
from core.results.attribution import Attribution

KINDS = ["digits_cnn", "fashion_vit", "text_rnn", "sentiment", "translator", "tiny_lm"]


def test_gradient_times_activation_before_a_linear_head_is_its_sum() -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"))
    asked = {"layer": "relu3", "method": "layer_gradient_x_activation"}
    (found,) = unit_attribution(model, (data[0],), asked, 0, Meter())
    with model.exclusive() as module:
        last = module.get_submodule("dense2")
        bias, weight = (
            float(last.bias[found.target.index]),
            last.weight[found.target.index].detach(),
        )
    assert found.values.sum() + bias == pytest.approx(found.score, rel=1e-4)
    assert (np.sign(found.values) == np.sign(weight.numpy()))[found.values != 0].all()


def test_conductance_is_captums() -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"))
    (found,) = unit_attribution(model, (data[1],), {"layer": "conv2", "n_steps": 10}, 0, Meter())
    batch = model.adapter.encode([data[1]], model)
    with model.exclusive() as module:
        values = LayerConductance(
            lambda x: model.adapter.logits(module, x, *batch.context),
            module.get_submodule("conv2"),
        ).attribute(
            batch.features.clone().requires_grad_(),
            baselines=model.adapter.baseline(batch, model.adapter.baselines[0], 0, None),
            target=found.target.index,
            n_steps=10,
        )
    expected = values.detach().sum(dim=(0, 2, 3)).numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_model(name: str, method: str, tmp_path: Path) -> None:
    model, data = load(reference(name), "cpu"), dataset(card(name))
    names = capture(model, data.limited(2), tmp_path / "c").names
    layer = "recurrent" if name == "text_rnn" else names[-2]
    asked = {"layer": layer, "method": method, "n_steps": 4}
    (found,) = unit_attribution(model, (data[0],), asked, 0, Meter())
    assert np.abs(found.values).max() > 0
    (driven,) = neuron_attribution(
        model, (data[0],), {"layer": layer, "unit": 1, "n_steps": 8}, 0, Meter()
    )
    assert isinstance(driven, Attribution)
    assert driven.target.title == f"{layer} · unit 1"


def test_what_drives_a_unit_sums_to_its_activation() -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"))
    asked = {"layer": "conv1", "unit": 5, "n_steps": 20}
    (found,) = neuron_attribution(model, (data[2],), asked, 0, Meter())
    assert found.delta == pytest.approx(0, abs=1e-4)  # a convolution is linear
    heard = []
    with model.exclusive() as module, torch.no_grad():
        module.get_submodule("conv1").register_forward_hook(lambda *a: heard.append(a[2].clone()))
        batch = model.adapter.encode([data[2]], model)
        model.adapter.logits(module, batch.features, *batch.context)
    assert found.score == pytest.approx(float(heard[0][0, 5].mean()), rel=1e-4)


def test_relevant_examples_against_one_at_a_time(tmp_path: Path) -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"), limit=20)
    capture(model, data, tmp_path / "c")
    asked = {"capture": str(tmp_path / "c"), "layer": "conv2", "unit": 7}
    found = relevant_examples(model, (), asked, 0, Meter())
    assert found.rows.tolist() == list(range(20))
    for row in (0, 3, 19):
        one = {"layer": "conv2", "method": "layer_gradient_x_activation"}
        (alone,) = unit_attribution(model, (data[row],), one, 0, Meter())
        assert found.values[row] == pytest.approx(alone.values[7], rel=1e-3, abs=1e-5)
    with pytest.raises(UnknownName):
        relevant_examples(model, (), {**asked, "unit": 64}, 0, Meter())


def test_filters_are_the_weights() -> None:
    model = load(reference("digits_cnn"), "cpu")
    found = filters(model, (), {"layer": "conv1"}, 0, Meter())
    with model.exclusive() as module:
        assert np.array_equal(found.weight, module.get_submodule("conv1").weight.detach().numpy())
    with pytest.raises(NotValid, match="conv1, conv2"):
        filters(model, (), {"layer": "dense1"}, 0, Meter())
    with pytest.raises(UnknownName):
        filters(model, (), {"layer": ""}, 0, Meter())


def test_refusals_and_cancel_leave_no_hook() -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"))
    with pytest.raises(UnknownName, match="conv1"):
        unit_attribution(model, (data[0],), {"layer": "conv11"}, 0, Meter())
    with pytest.raises(UnknownName, match="unit of conv1"):
        neuron_attribution(model, (data[0],), {"layer": "conv1", "unit": 999}, 0, Meter())
    asked = iter([False] * 3 + [True] * 50)
    with pytest.raises(Cancelled):
        unit_attribution(
            model, (data[0],), {"layer": "conv2"}, 0, Meter(cancelled=lambda: next(asked))
        )
    with model.exclusive() as module:
        assert not any(each._forward_hooks for each in module.modules())
