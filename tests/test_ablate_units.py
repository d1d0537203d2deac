"""Units and layers left out: closed forms, the model untouched afterwards, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.activations.ablate import ablate_units, ablated_metrics
from core.activations.capture import capture
from core.data.dataset import dataset
from core.errors import BadInput, BadParameter, Cancelled, UnknownName
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.notebook import capture as captured
from core.progress import Meter
from tests.toy_models import SHAPE, example, toy

MODELS = ["digits_cnn", "text_rnn", "sentiment", "translator", "tiny_lm"]
LAYERS = {
    "digits_cnn": "relu3",
    "text_rnn": "recurrent",
    "sentiment": "",
    "translator": "",
    "tiny_lm": "",
}


def cut(model: LoadedModel, inputs: Any, *units: Any, **more: Any) -> Any:
    return ablate_units(model, inputs, {"cut": [list(each) for each in units], **more}, 0, Meter())


def test_without_a_layer_of_a_classifier_the_bias_is_the_answer() -> None:
    model = load(reference("digits_cnn"), "cpu")
    data = dataset(card("digits_cnn"))
    with model.exclusive() as module:
        last = module.get_submodule("dense2")
        bias, weight = last.bias.detach().numpy().copy(), last.weight.detach().numpy().copy()
        before = {name: each.clone() for name, each in module.state_dict().items()}
    plain = predict(model, (data[0],), {}, 0, Meter())[0]
    (nothing,) = cut(model, (data[0],), ("relu3", None))
    np.testing.assert_allclose(nothing.logits, bias, rtol=1e-6)
    hidden: list[torch.Tensor] = []
    with model.exclusive() as module, torch.no_grad():
        module.get_submodule("relu3").register_forward_hook(lambda *a: hidden.append(a[2].clone()))
        batch = model.adapter.encode([data[0]], model)
        model.adapter.logits(module, batch.features, *batch.context)
    unit = int(hidden[0][0].argmax())
    (without,) = cut(model, (data[0],), ("relu3", unit))
    expected = plain.logits - weight[:, unit] * float(hidden[0][0, unit])
    np.testing.assert_allclose(without.logits, expected, rtol=1e-4, atol=1e-4)
    again = predict(model, (data[0],), {}, 0, Meter())[0]
    assert np.array_equal(again.logits, plain.logits)
    with model.exclusive() as module:
        assert not any(each._forward_hooks for each in module.modules())
        for name, each in module.state_dict().items():
            assert torch.equal(each, before[name])


def test_the_mean_over_the_data_in_place_of_a_unit(tmp_path: Path) -> None:
    model = load(reference("digits_cnn"), "cpu")
    found = captured(reference("digits_cnn"), limit=50, out=tmp_path / "c")
    means = np.asarray(found.layer("relu3"), np.float32).mean(axis=0)
    data = dataset(card("digits_cnn"))
    with model.exclusive() as module:
        last = module.get_submodule("dense2")
        expected = (last.weight @ torch.from_numpy(means) + last.bias).detach().numpy()
    more = {"with": "mean", "capture": str(found.folder)}
    (answer,) = cut(model, (data[3],), ("relu3", None), **more)
    np.testing.assert_allclose(answer.logits, expected, rtol=1e-3, atol=1e-3)


def test_a_channel_of_a_convolution_is_left_out_everywhere() -> None:
    model = toy("plain")
    one = example(SHAPE)
    with model.exclusive() as module:
        name = next(name for name, each in module.named_modules() if "Conv" in type(each).__name__)
        convolution = module.get_submodule(name)
        weight, bias = convolution.weight[1].clone(), convolution.bias[1].clone()
        with torch.no_grad():
            convolution.weight[1], convolution.bias[1] = 0, 0
            batch = model.adapter.encode([one], model)
            expected = model.adapter.logits(module, batch.features, *batch.context).numpy()
            convolution.weight[1], convolution.bias[1] = weight, bias
    (answer,) = cut(model, (one,), (name, 1))
    np.testing.assert_allclose(answer.logits, expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_can_do_without(name: str, tmp_path: Path) -> None:
    model, data = load(reference(name), "cpu"), dataset(card(name))
    few = capture(model, data.limited(3), tmp_path / "few", pool="mean")
    layer = LAYERS[name] or few.names[len(few.names) // 2]
    plain = cut(model, (data[0],), (few.names[-1], 0))
    (without,) = cut(model, (data[0],), (layer, 0), (layer, 1))
    assert without.classes == plain[0].classes
    assert np.isfinite(without.logits).all()
    assert without.provenance.parameters["cut"] == [[layer, 0], [layer, 1]]


def test_accuracy_without_units_against_counting_by_hand(tmp_path: Path) -> None:
    model = load(reference("digits_cnn"), "cpu")
    found = captured(reference("digits_cnn"), limit=60, out=tmp_path / "c")
    units = list(range(0, 128, 2))
    asked = {"capture": str(found.folder), "cut": [["relu3", unit] for unit in units]}
    metrics = ablated_metrics(model, (), asked, 0, Meter())
    data = dataset(card("digits_cnn"), limit=60)
    said = [
        int(cut(model, (data[row],), *(("relu3", unit) for unit in units))[0].logits.argmax())
        for row in range(60)
    ]
    labels = np.asarray(found.labels)
    assert metrics.after == pytest.approx((np.array(said) == labels).mean())
    assert metrics.before == pytest.approx((found.predictions == labels).mean())
    assert metrics.changed == pytest.approx((np.array(said) != found.predictions).mean())
    three = labels == 3
    assert metrics.classes_after[3] == pytest.approx((np.array(said)[three] == 3).mean())


def test_what_is_not_there_is_refused_and_cancel_leaves_no_hook() -> None:
    model, one = toy("plain"), example(SHAPE)
    with pytest.raises(UnknownName, match="no_such"):
        cut(model, (one,), ("no_such", 0))
    with model.exclusive() as module:
        name = next(name for name, each in module.named_modules() if "Conv" in type(each).__name__)
    with pytest.raises(UnknownName, match="unit of"):
        cut(model, (one,), (name, 10_000))
    for bad in ([], "conv", [["conv"]], [["conv", "x"]]):
        with pytest.raises(BadParameter):
            ablate_units(model, (one,), {"cut": bad}, 0, Meter())
    with pytest.raises(BadInput):
        ablated_metrics(model, (), {"capture": "no_such", "cut": [[name, 0]]}, 0, Meter())
    with pytest.raises(Cancelled):
        ablate_units(model, (one,), {"cut": [[name, 0]]}, 0, Meter(cancelled=lambda: True))
    with model.exclusive() as module:
        assert not any(each._forward_hooks for each in module.modules())
