"""Attention rollout and attention × gradient against what they are defined to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.attention.compute import attention, attention_flow
from core.attribution.compute import attribute
from core.errors import NotValid
from core.progress import Meter
from core.tasks import Tokens
from tests import toy_sequences, toy_texts
from tests.toy_sequences import text


def explained(model: Any, example: Any, method: str, target: str | int = "top") -> Any:
    (found,) = attribute(model, [example], {"method": method, "target": target}, 0, Meter())
    return found


def test_rollout_of_a_mean_pooled_classifier_is_the_mean_of_rows() -> None:
    model, example = toy_texts.toy("transformer"), toy_texts.example()
    (rollout,) = attention_flow(model, [example], {"kind": "rollout"}, 0, Meter())
    found = explained(model, example, "attention_rollout")
    np.testing.assert_allclose(found.values, rollout.values.mean(axis=0), atol=1e-6)
    other = explained(model, example, "attention_rollout", 2)
    np.testing.assert_allclose(other.values, found.values, atol=1e-7)  # no target in it
    assert found.values.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("place", [0, 3])
def test_rollout_of_what_is_written_is_its_row(place: int) -> None:
    example = text("a red fox")
    model = toy_sequences.small_lm()
    (rollout,) = attention_flow(model, [example], {"kind": "rollout"}, 0, Meter())
    found = explained(model, example, "attention_rollout", place)
    row = len("a red fox") - 1 + place  # the token before the produced one
    np.testing.assert_allclose(found.values, rollout.values[row], atol=1e-6)
    assert not found.values[row + 1 :].any()
    model = toy_sequences.small_translator()
    (rollout,) = attention_flow(model, [example], {"kind": "rollout"}, 0, Meter())
    found = explained(model, example, "attention_rollout", place)
    source = [part == 0 for part in found.axis.parts]
    np.testing.assert_allclose(found.values[source], rollout.values[place], atol=1e-6)
    assert found.values.sum() == pytest.approx(1, abs=1e-5)


def test_attention_x_gradient_of_one_layer_by_hand() -> None:
    model, example = toy_sequences.small_lm(), text("a red fox")
    found = explained(model, example, "attention_x_gradient", 2)
    (maps,) = attention(model, [example], {}, 0, Meter())
    weights = torch.from_numpy(maps.maps[0].copy())[None].requires_grad_()
    batch = model.adapter.encode([example], model)
    source, said = batch.context
    with model.exclusive() as module:  # the forward again, from the weights on
        x = batch.features + module.places[: batch.features.shape[1]]
        value = module.qkv(x).view(1, x.shape[1], 3, 2, -1).permute(2, 0, 3, 1, 4)[2]
        mixed = (weights @ value).transpose(1, 2).reshape(x.shape)
        scores = module.head(torch.tanh(x + module.out(mixed)))
        chance = F.log_softmax(scores[0, source.shape[1] - 1 + 2], dim=-1)[said[0, 2]]
        (gradient,) = torch.autograd.grad(chance, weights)
    expected = (weights * gradient).clamp_min(0).mean(dim=1)[0].detach().numpy()
    row = source.shape[1] - 1 + 2
    np.testing.assert_allclose(found.values, expected[row], atol=1e-6)
    assert found.values.max() > 1e-4
    assert not found.signed


def test_attention_x_gradient_through_layers_by_hand() -> None:
    """Two layers: R = I + Ā₁, then R + Ā₂R; the second's weights depend on the first's."""
    model, example = toy_texts.toy("transformer"), toy_texts.example()
    found = explained(model, example, "attention_x_gradient", 1)
    (maps,) = attention(model, [example], {}, 0, Meter())
    batch = model.adapter.encode([example], model)
    chosen = []
    with model.exclusive() as module:
        x = batch.features[0].requires_grad_()
        for layer in module.encoder.layers:
            inside = layer.self_attn
            qkv = F.linear(layer.norm1(x), inside.in_proj_weight, inside.in_proj_bias)
            query, key, value = qkv.view(len(x), 3, 2, 4).permute(1, 2, 0, 3)
            weights = (query @ key.transpose(1, 2) / 2).softmax(dim=-1)
            chosen.append(weights)
            heads = weights @ value
            x = x + inside.out_proj(heads.transpose(0, 1).reshape(len(x), 8))
            x = x + layer.linear2(layer.linear1(layer.norm2(x)).relu())
        score = module.dense(x.mean(dim=0))[1]
        gradients = torch.autograd.grad(score, chosen)
    for weights, ours in zip(chosen, maps.maps, strict=True):
        np.testing.assert_allclose(weights.detach().numpy(), ours, atol=1e-6)
    relevance = np.eye(len(batch.features[0]))
    for weights, gradient in zip(chosen, gradients, strict=True):
        layer = (weights * gradient).clamp_min(0).mean(dim=0).detach().double().numpy()
        relevance = relevance + layer @ relevance
    expected = (relevance - np.eye(len(relevance))).mean(axis=0)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-7)
    assert expected.max() > 1e-5


@pytest.mark.parametrize("method", ["attention_rollout", "attention_x_gradient"])
def test_not_for_two_outputs_nor_without_attention(method: str) -> None:
    model = toy_sequences.small_translator()
    with pytest.raises(NotValid, match="cannot contrast two outputs"):
        explained(model, text("a red fox", "fox", "cat"), method)
    with pytest.raises(NotValid, match="cannot contrast two outputs"):
        explained(toy_sequences.small_lm(), text("see ", "c", "d"), method)
    with pytest.raises(NotValid, match="no attention"):
        explained(toy_texts.toy("bag"), toy_texts.example(), method)


@pytest.mark.parametrize("method", ["attention_rollout", "attention_x_gradient"])
def test_one_value_for_every_token(method: str) -> None:
    found = explained(toy_sequences.small_translator(), text("a red fox"), method, "whole output")
    assert isinstance(found.axis, Tokens)
    assert found.values.shape == found.axis.shape
    assert (found.values >= 0).all()
    assert found.values.max() > 0
