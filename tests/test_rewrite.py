"""The rewritten form of a network: what Captum does without it, and that it is what a person would
have written by hand.
"""

from __future__ import annotations

from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_models import CLASSES, SHAPE, example, tensor, toy

from core.attribution.compute import attribute
from core.attribution.describe import describe, hooked_form
from core.models.loaded import LoadedModel
from core.progress import Meter

pytestmark = pytest.mark.filterwarnings("ignore")  # Captum's, when it is called directly
X = tensor(example(SHAPE), SHAPE)
WHITE = torch.full_like(X, 1.5)
TARGET = 2


class Copy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class ByHand(nn.Module):
    """``ResidualCNN`` with a module of its own for every activation, none of them in place."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.stem, self.blocks, self.dense = source.stem, source.stage, source.dense
        self.relu, self.copy, self.pool = nn.ReLU(), Copy(), nn.MaxPool2d(2)
        self.inner = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        self.outer = nn.ModuleList([nn.ReLU(), nn.ReLU()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.copy(self.relu(self.stem(x))))
        for block, inner, outer in zip(self.blocks, self.inner, self.outer, strict=True):
            x = outer(block.conv2(inner(block.conv1(x))) + x)
        out: Tensor = self.dense(x.mean(dim=(2, 3)))
        return out


def ours(loaded: LoadedModel, name: str, **settings: Any) -> np.ndarray:
    parameters = {"method": name, "target": TARGET, "settings": settings}
    (found,) = attribute(loaded, [example(SHAPE)], parameters, 0, Meter())
    return found.values


def leaf() -> Tensor:
    return X.clone().requires_grad_()


def test_the_network_by_hand_answers_the_same() -> None:
    network = toy("residual")._module
    torch.testing.assert_close(ByHand(network)(X), network(X), rtol=0, atol=1e-6)


def test_guided_backprop_and_deeplift_equal_those_of_the_network_by_hand() -> None:
    loaded = toy("residual")
    hand = ByHand(toy("residual")._module)
    guided = captum.GuidedBackprop(hand).attribute(leaf(), TARGET)
    np.testing.assert_allclose(ours(loaded, "guided_backprop"), guided[0].detach(), atol=1e-6)
    lifted = captum.DeepLift(hand).attribute(leaf(), WHITE, TARGET)
    found = ours(loaded, "deeplift", baseline="white")
    np.testing.assert_allclose(found, lifted[0].detach(), rtol=1e-5, atol=2e-6)
    assert np.abs(found).max() > 1e-2


def test_a_reused_activation_defeats_captum_and_not_us() -> None:
    network = toy("reused")._module
    score = network(X)[0, TARGET] - network(WHITE)[0, TARGET]
    try:
        alone = captum.DeepLift(network).attribute(leaf(), WHITE, TARGET)
        missed = abs(float(alone.sum() - score)) > 1e-3
    except Exception:
        missed = True
    assert missed
    loaded = toy("reused")
    assert describe(loaded).rewrites
    found = ours(loaded, "deeplift", baseline="white")
    assert abs(float(found.sum()) - float(score)) < 1e-5
    twice = toy("apart")._module
    twice.load_state_dict(network.state_dict())  # the same network, each activation on its own
    lifted = captum.DeepLift(twice).attribute(leaf(), WHITE, TARGET)
    np.testing.assert_allclose(found, lifted[0].detach(), rtol=1e-5, atol=1e-6)


def test_functional_relu_is_overlooked_by_captum_and_not_by_us() -> None:
    network = toy("residual")._module
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    stem = nn.Sequential(network.stem, Functional(), nn.Flatten(), nn.Linear(6 * 144, 5))
    plain = captum.Saliency(stem).attribute(leaf(), TARGET, abs=False)
    guided = captum.GuidedBackprop(stem).attribute(leaf(), TARGET)
    torch.testing.assert_close(guided, plain, rtol=0, atol=0)
    loaded = toy("residual")
    assert np.abs(ours(loaded, "guided_backprop") - ours(loaded, "saliency")).max() > 1e-3


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x)


def test_what_cannot_be_traced_says_why() -> None:
    loaded = toy("branching")
    found = describe(loaded)
    assert hooked_form(loaded) is None
    assert "traced" in found.unrewritable
    assert not found.rewrites
    for name in ("guided_backprop", "deeplift", "lrp"):
        assert found.fits[name].level == "not valid"
    assert found.fits["saliency"].level == "exact"


@pytest.mark.parametrize("name", ["residual", "reused"])
def test_outputs_are_equal_and_weights_shared(name: str) -> None:
    loaded = toy(name)
    describe(loaded)
    form = hooked_form(loaded)
    assert form is not None
    many = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(form(many), loaded._module(many))
    assert form(many).shape == (5, len(CLASSES))
    shared = {parameter.data_ptr() for parameter in loaded._module.parameters()}
    assert {parameter.data_ptr() for parameter in form.parameters()} == shared
    calls: list[nn.Module] = []
    for part in form.modules():
        if isinstance(part, nn.ReLU):
            part.register_forward_hook(lambda part, *_: calls.append(part))
    form(X)
    assert len(calls) == len(set(calls)) == {"residual": 5, "reused": 2}[name]
