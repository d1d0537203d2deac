"""Every wrapped method against Captum called directly."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toy_models import SHAPE, example, load, tensor, toy

from core.attribution.compute import attribute
from core.attribution.gradient import DRAWS
from core.progress import Meter
from core.results import Attribution

SEED = 5
TARGET = 2
X = tensor(example(SHAPE), SHAPE)
ZERO = torch.zeros_like(X)
SEGMENTS = (torch.arange(12)[:, None] // 4 * 3 + torch.arange(12) // 4)[None, None]


class Copy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def plain() -> nn.Module:
    module: nn.Module = toy("plain")._module
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def apart() -> nn.Module:
    """The plain network with a module between ReLU and max-pooling: what Captum needs."""
    module = plain()
    module.pool1 = nn.Sequential(Copy(), module.pool1)
    return module


def ours(name: str, network: nn.Module | None = None, **settings: Any) -> Attribution:
    parameters = {"method": name, "target": TARGET, "settings": settings}
    loaded = load(network or plain(), SHAPE)
    (found,) = attribute(loaded, [example(SHAPE)], parameters, SEED, Meter())
    return found


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum's, when it is called directly
        yield


def seeded() -> None:
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)


def leaf() -> Tensor:
    return X.clone().requires_grad_()


def drawn(count: int) -> Tensor:
    """The toy adapter's uniform baselines."""
    generators = [torch.Generator().manual_seed(SEED + draw) for draw in range(count)]
    return torch.stack([torch.rand(SHAPE, generator=generator) for generator in generators])


def tunnel(net: nn.Module, kind: str, n_samples: int = 6) -> Tensor:
    method = captum.NoiseTunnel(captum.Saliency(net))
    noise = 0.2 * float(X.max() - X.min())
    values: Tensor = method.attribute(
        leaf(),
        nt_type=kind,
        nt_samples=n_samples,
        nt_samples_batch_size=min(DRAWS, n_samples),
        stdevs=noise,
        target=TARGET,
        abs=False,
    )
    return values


def expected_gradients(net: nn.Module, sizes: tuple[int, ...]) -> Tensor:
    method = captum.GradientShap(net)
    parts = [
        size * method.attribute(leaf(), drawn(3), n_samples=size, target=TARGET) for size in sizes
    ]
    return torch.stack(parts).sum(0) / sum(sizes)


def shared(method: Any, **options: Any) -> Tensor:
    """Captum gives every feature the value of its whole segment; ours share it."""
    values: Tensor = method.attribute(
        X, baselines=ZERO, target=TARGET, feature_mask=SEGMENTS, **options
    )
    return values[:, :1] / 16


def lrp(module: Any) -> Tensor:
    module.flatten.rule = captum._utils.lrp_rules.EpsilonRule()
    values: Tensor = captum.LRP(module).attribute(leaf(), target=TARGET)
    return values


def laid_over(values: Tensor) -> Tensor:
    values = values.detach() * values[0, 0].numel() / (SHAPE[1] * SHAPE[2])  # shared by its pixels
    return F.interpolate(values, SHAPE[1:], mode="bilinear", align_corners=False)


NOISE = {"n_samples": 6, "stdevs": 0.2}
CELLS = {"baseline": "zero"}
CAPTUM: dict[str, tuple[dict[str, Any], Callable[[Any], Tensor]]] = {
    "saliency": ({}, lambda net: captum.Saliency(net).attribute(leaf(), TARGET, abs=False)),
    "input_x_gradient": ({}, lambda net: captum.InputXGradient(net).attribute(leaf(), TARGET)),
    "integrated_gradients": (
        {"baseline": "zero", "n_steps": 12},
        lambda net: captum.IntegratedGradients(net).attribute(X, ZERO, TARGET, n_steps=12),
    ),
    "smoothgrad": (NOISE, lambda net: tunnel(net, "smoothgrad")),
    "smoothgrad_squared": (NOISE, lambda net: tunnel(net, "smoothgrad_sq")),
    "vargrad": (NOISE, lambda net: tunnel(net, "vargrad")),
    "gradient_shap": (
        {"baseline": "uniform", "n_baselines": 3, "n_samples": 6},
        lambda net: expected_gradients(net, (6,)),
    ),
    "deeplift": (
        {"baseline": "zero"},
        lambda net: captum.DeepLift(net).attribute(leaf(), ZERO, TARGET),
    ),
    "deeplift_shap": (
        {"baseline": "uniform", "n_baselines": 3},
        lambda net: captum.DeepLiftShap(net).attribute(leaf(), drawn(3), TARGET),
    ),
    "guided_backprop": ({}, lambda net: captum.GuidedBackprop(net).attribute(leaf(), TARGET)),
    "deconvolution": ({}, lambda net: captum.Deconvolution(net).attribute(leaf(), TARGET)),
    "grad_cam": (
        {"layer": "relu2"},
        lambda net: laid_over(captum.LayerGradCam(net, net.relu2).attribute(X, TARGET)),
    ),
    "guided_grad_cam": (
        {"layer": "relu2"},
        lambda net: captum.GuidedGradCam(net, net.relu2).attribute(leaf(), TARGET),
    ),
    "layer_gradient_x_activation": (
        {"layer": "relu2"},
        lambda net: laid_over(
            captum.LayerGradientXActivation(net, net.relu2)
            .attribute(X, TARGET)
            .sum(1, keepdim=True)
        ),
    ),
    "lrp": ({}, lrp),
    "occlusion": (
        {"baseline": "zero", "window": 33, "stride": 17},
        lambda net: (
            captum.Occlusion(net).attribute(X, (3, 4, 4), (3, 2, 2), ZERO, TARGET)[:, :1] / 16
        ),
    ),
    "feature_ablation": (CELLS, lambda net: shared(captum.FeatureAblation(net))),
    "shapley_value_sampling": (
        CELLS | {"n_samples": 7},
        lambda net: shared(captum.ShapleyValueSampling(net), n_samples=7),
    ),
    "kernel_shap": (
        CELLS | {"n_samples": 40},
        lambda net: shared(captum.KernelShap(net), n_samples=40),
    ),
    "lime": (CELLS | {"n_samples": 40}, lambda net: shared(captum.Lime(net), n_samples=40)),
}


@pytest.mark.parametrize("name", CAPTUM)
def test_equals_captum(name: str) -> None:
    settings, direct = CAPTUM[name]
    found = ours(name, **settings)
    network = apart() if name.startswith("deeplift") else plain()
    seeded()
    expected = direct(network).detach()[0].numpy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected).max() > 1e-4


@pytest.mark.parametrize("name", ["smoothgrad", "smoothgrad_squared", "vargrad", "gradient_shap"])
def test_equals_captum_when_the_draws_take_several_passes(name: str) -> None:
    count = 2 * DRAWS + 4
    found = ours(
        name, n_samples=count, **({"n_baselines": 3} if "shap" in name else {"stdevs": 0.2})
    )
    network = plain()
    seeded()
    if name == "gradient_shap":
        expected = expected_gradients(network, (DRAWS, DRAWS, 4))
    else:
        kind = "smoothgrad_sq" if name == "smoothgrad_squared" else name
        expected = tunnel(network, kind, count)
    np.testing.assert_allclose(found.values, expected[0].detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "saliency", "input_x_gradient", "integrated_gradients", "deeplift", "deeplift_shap", "lrp",
        "grad_cam", "layer_gradient_x_activation", "occlusion", "feature_ablation", "smoothgrad",
        "shapley_value_sampling", "kernel_shap", "gradient_shap",
    ],
)  # fmt: skip
def test_a_contrast_is_the_difference_of_its_classes(name: str) -> None:
    """Exact for methods that are linear in the explained score, given the same draws."""
    loaded, found = toy("plain"), {}
    for target in ("cat vs dog", "cat", "dog"):
        parameters = {"method": name, "target": target}
        (found[target],) = attribute(loaded, [example(SHAPE)], parameters, SEED, Meter())
    difference = found["cat"].values - found["dog"].values
    assert np.abs(difference).max() > 1e-3
    np.testing.assert_allclose(found["cat vs dog"].values, difference, rtol=0, atol=5e-6)


def test_every_method_is_compared() -> None:
    from core.attribution.registry import METHODS

    assert set(CAPTUM) == {each.name for each in METHODS}
