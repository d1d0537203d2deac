"""What is said about how well a method fits, held against what happens when it is run anyway."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toy_models import CLASSES, SHAPE, PlainCNN, ResidualCNN, SmallViT, example, load

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.registry import METHODS
from core.errors import NotValid
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.results import Attribution, Fit

HEAD = len(CLASSES)


def stack(*middle: nn.Module) -> nn.Module:
    """Two convolutions with ``middle`` after each, and a dense layer."""
    first = nn.Sequential(nn.Conv2d(3, 4, 3), *middle)
    second = nn.Sequential(nn.Conv2d(4, 4, 3), *copy.deepcopy(middle))
    with torch.no_grad():
        size = second(first(torch.zeros(1, *SHAPE))).numel()
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(size, HEAD))


def dense(middle: nn.Module) -> nn.Module:
    """Two dense layers with ``middle`` between: nothing lies over the image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 6), middle, nn.Linear(6, HEAD))


class Functional(nn.Module):
    """``function`` between two convolutions; ``branching`` makes it impossible to trace."""

    def __init__(self, function: Callable[[Tensor], Tensor], branching: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.dense = nn.Linear(256, HEAD)
        self.function, self.branching = function, branching

    def forward(self, x: Tensor) -> Tensor:
        if self.branching and bool(x.sum() > 1e9):
            return self.dense(x)  # type: ignore[no-any-return]
        x = self.conv2(self.function(self.conv1(x)))
        out: Tensor = self.dense(self.function(x).flatten(1))
        return out


class Gated(nn.Module):
    """One half of the channels multiplied by the sigmoid of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 4, 3), nn.Sigmoid()
        self.dense = nn.Linear(200, HEAD)

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.conv(x).chunk(2, 1)
        out: Tensor = self.dense((one * self.gate(other)).flatten(1))
        return out


class Rounded(PlainCNN):
    """No gradient passes the rounding."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.round())


class Branching(ResidualCNN):
    """Residual, and impossible to trace."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if bool(x.sum() < 1e9) else -x)


class PreActivation(nn.Module):
    """The tensor that goes into the ReLU goes past it as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.dense = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(400, HEAD)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        out: Tensor = self.dense((self.relu(x) + x).flatten(1))
        return out


def network(make: Callable[[], nn.Module]) -> LoadedModel:
    torch.manual_seed(2)
    module = make()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    return load(module, SHAPE)


def run(loaded: LoadedModel, name: str, force: bool = False, **settings: Any) -> Attribution:
    fits = describe(loaded).fits
    if force:
        allowed = {**fits, name: Fit("exact")}
        loaded.memo["architecture"] = replace(describe(loaded), fits=allowed)
    parameters = {"method": name, "target": 1, "settings": settings}
    try:
        (found,) = attribute(loaded, [example(SHAPE)], parameters, 0, Meter())
    finally:
        loaded.memo["architecture"] = replace(describe(loaded), fits=fits)
    return found


EXACT_IN_DEEPLIFT: dict[str, Callable[[], nn.Module]] = {
    "ReLU": lambda: stack(nn.ReLU()),
    "in-place ReLU": lambda: stack(nn.ReLU(inplace=True)),
    "ELU": lambda: stack(nn.ELU()),
    "LeakyReLU": lambda: stack(nn.LeakyReLU()),
    "Sigmoid": lambda: stack(nn.Sigmoid()),
    "Tanh": lambda: stack(nn.Tanh()),
    "Softplus": lambda: stack(nn.Softplus()),
    "ReLU and max-pooling": lambda: stack(nn.ReLU(), nn.MaxPool2d(2)),
    "max-pooling and ReLU": lambda: stack(nn.MaxPool2d(2), nn.ReLU()),
    "BatchNorm": lambda: stack(nn.BatchNorm2d(4), nn.ReLU()),
    "functional ReLU": lambda: Functional(F.relu),
    "functional in-place ReLU": lambda: Functional(lambda x: F.relu(x, inplace=True)),
    "method relu_": lambda: Functional(lambda x: x.relu_()),
    "functional tanh": lambda: Functional(torch.tanh),
    "residual": ResidualCNN,
    "pre-activation": PreActivation,
}
NOT_IN_DEEPLIFT: dict[str, Callable[[], nn.Module]] = {
    "GELU": lambda: stack(nn.GELU()),
    "SiLU": lambda: stack(nn.SiLU()),
    "ReLU6": lambda: stack(nn.ReLU6()),
    "Mish": lambda: stack(nn.Mish()),
    "Hardswish": lambda: stack(nn.Hardswish()),
    "functional gelu": lambda: Functional(F.gelu),
    "untraceable relu": lambda: Functional(F.relu, branching=True),
    "gate": Gated,
    "ViT": SmallViT,
}


@pytest.mark.parametrize("name", EXACT_IN_DEEPLIFT)
@pytest.mark.parametrize("baseline", ["white", "gaussian"])
def test_deeplift_is_exact_where_it_says_so(name: str, baseline: str) -> None:
    loaded = network(EXACT_IN_DEEPLIFT[name])
    assert describe(loaded).fits["deeplift"].level == "exact"
    found = run(loaded, "deeplift", baseline=baseline)
    assert found.delta is not None
    assert found.baseline_score is not None
    scale = max(1.0, abs(found.score), abs(found.baseline_score))
    assert abs(found.delta) < 2e-5 * scale


@pytest.mark.parametrize("name", NOT_IN_DEEPLIFT)
def test_deeplift_is_refused_where_it_would_miss(name: str) -> None:
    loaded = network(NOT_IN_DEEPLIFT[name])
    fit = describe(loaded).fits["deeplift"]
    assert fit.level == "not valid"
    assert fit.reason.endswith(".")
    with pytest.raises(NotValid):
        run(loaded, "deeplift")
    found = run(loaded, "deeplift", force=True, baseline="gaussian")
    assert found.delta is not None
    assert abs(found.delta) > 1e-3


def test_deeplift_through_softmax_is_approximate() -> None:
    loaded = network(lambda: dense(nn.Softmax(1)))
    assert describe(loaded).fits["deeplift"].level == "approximate"
    found = run(loaded, "deeplift", baseline="gaussian")
    assert abs(found.delta or 0) > 1e-4


GUIDED = ("guided_backprop", "deconvolution", "guided_grad_cam")


@pytest.mark.parametrize("make", [SmallViT, lambda: stack(nn.GELU()), lambda: stack(nn.ReLU6())])
@pytest.mark.parametrize("name", GUIDED)
def test_guided_methods_without_relu_would_be_the_plain_gradient(
    make: Callable[[], nn.Module], name: str
) -> None:
    loaded = network(make)
    fit = describe(loaded).fits[name]
    assert fit.level == "not valid"
    assert "ReLU" in fit.reason
    if name != "guided_grad_cam":
        np.testing.assert_allclose(
            run(loaded, name, force=True).values, run(loaded, "saliency").values, atol=1e-6
        )


@pytest.mark.parametrize("name", GUIDED)
def test_guided_methods_need_relu_that_can_be_made_modules(name: str) -> None:
    possible = network(lambda: Functional(F.relu))
    impossible = network(lambda: Functional(F.relu, branching=True))
    assert describe(possible).fits[name].level == "exact"
    assert describe(impossible).fits[name].level == "not valid"
    assert describe(impossible).unrewritable
    if name != "guided_grad_cam":
        assert np.abs(run(possible, name).values - run(possible, "saliency").values).max() > 1e-3


def test_guided_methods_are_approximate_beside_other_activations() -> None:
    loaded = network(lambda: stack(nn.ReLU(), nn.Tanh()))
    fit = describe(loaded).fits["guided_backprop"]
    assert fit.level == "approximate"
    assert "Tanh" in fit.reason


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: stack(nn.GELU()), "GELU"),
        (lambda: stack(nn.ELU()), "ELU"),
        (lambda: Functional(torch.tanh, True), "tanh"),
        (SmallViT, "LayerNorm"),
        (Branching, "relu"),
        (PreActivation, ""),
        (lambda: stack(nn.ReLU()), "Biases"),
        (ResidualCNN, "Biases"),
    ],
)
def test_lrp_needs_a_rule_everywhere(make: Callable[[], nn.Module], word: str) -> None:
    fit = describe(network(make)).fits["lrp"]
    assert fit.level == ("approximate" if word in ("Biases", "") else "not valid")
    assert word in fit.reason


@pytest.mark.parametrize("part", [nn.GELU(), nn.ELU(), nn.ReLU6(), nn.LayerNorm(6)], ids=str)
def test_captum_has_no_rule_where_we_say_so(part: nn.Module) -> None:
    assert describe(load(dense(part), SHAPE)).fits["lrp"].level == "not valid"
    layers = nn.Sequential(nn.Linear(432, 6), part)
    with pytest.raises(TypeError, match="no rule"):
        captum.LRP(layers).attribute(torch.ones(1, 432), target=0)


def test_lrp_conserves_without_biases() -> None:
    torch.manual_seed(2)
    loaded = load(ResidualCNN(bias=False), SHAPE)
    found = run(loaded, "lrp")
    assert found.score != 0
    assert abs(found.delta or 1) < 1e-6


@pytest.mark.parametrize("each", METHODS, ids=lambda each: each.name)
def test_without_a_gradient_only_perturbation_is_left(each: Any) -> None:
    loaded = network(Rounded)
    assert not describe(loaded).differentiable
    fit = describe(loaded).fits[each.name]
    assert fit.usable is (each.family == "perturbation")
    if fit.usable:
        settings = {"n_samples": 5} if any(p.name == "n_samples" for p in each.parameters) else {}
        assert math.isfinite(run(loaded, each.name, **settings).values.sum())
    else:
        assert "gradient" in fit.reason


@pytest.mark.parametrize("name", ["grad_cam", "guided_grad_cam", "layer_gradient_x_activation"])
def test_maps_need_a_layer_over_the_image(name: str) -> None:
    loaded = network(lambda: dense(nn.ReLU()))
    fit = describe(loaded).fits[name]
    assert fit.level == "not valid"
    assert "grid" in fit.reason


def test_maps_of_tokens_are_approximate() -> None:
    fits = describe(network(SmallViT)).fits
    assert fits["grad_cam"].level == fits["layer_gradient_x_activation"].level == "approximate"
    assert "9 tokens" in fits["grad_cam"].reason


def test_every_fit_has_a_reason_unless_exact() -> None:
    for make in (PlainCNN, ResidualCNN, SmallViT, Rounded, Branching):
        fits = describe(network(make)).fits
        assert list(fits) == [each.name for each in METHODS]
        for fit in fits.values():
            assert (fit.reason == "") is (fit.level == "exact")
