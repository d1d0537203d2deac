"""Every wrapped method gives what Captum gives when it is called directly, to 1e-6."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import captum.attr as ca
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn
from toy_models import MAKERS, SHAPE, example, tensor, toy

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.gradient import DRAWS
from core.attribution.registry import METHODS, method
from core.models.loaded import LoadedModel
from core.progress import Meter

SEED = 11
NETWORKS = ("apart", "vit")
SMALL = {"n_samples": 20, "n_steps": 12, "n_baselines": 4}  # three chunks of draws
SEGMENTED = ("feature_ablation", "shapley_value_sampling", "kernel_shap", "lime")


@cache
def model(name: str) -> LoadedModel:
    return toy(name)


def level(kind: float, x: Tensor) -> Tensor:
    return torch.full_like(x, kind)


class Direct:
    """Captum's own calls, on the module itself; one method each, named as ours."""

    def __init__(self, loaded: LoadedModel, x: Tensor, target: int) -> None:
        self.adapter, self.net = loaded.adapter, loaded._module
        self.x, self.target = x.clone().requires_grad_(), target
        self.layer = self.net.get_submodule(describe(loaded).cam_layer)
        self.blur = level(0.125, x)
        self.spread = float(x.max() - x.min())

    def drawn(self) -> Tensor:
        def one(seed: int) -> Tensor:
            return torch.rand(self.x.shape[1:], generator=torch.Generator().manual_seed(seed))

        return torch.stack([one(SEED + draw) for draw in range(SMALL["n_baselines"])])

    def saliency(self) -> Tensor:
        return ca.Saliency(self.net).attribute(self.x, target=self.target, abs=False)

    def input_x_gradient(self) -> Tensor:
        return ca.InputXGradient(self.net).attribute(self.x, target=self.target)

    def integrated_gradients(self) -> Tensor:
        steps = SMALL["n_steps"]
        return ca.IntegratedGradients(self.net).attribute(self.x, target=self.target, n_steps=steps)

    def noise(self, kind: str) -> Tensor:
        return ca.NoiseTunnel(ca.Saliency(self.net)).attribute(
            self.x, nt_type=kind, nt_samples=SMALL["n_samples"], nt_samples_batch_size=DRAWS,
            stdevs=0.15 * self.spread, abs=False, target=self.target,
        )  # fmt: skip

    def smoothgrad(self) -> Tensor:
        return self.noise("smoothgrad")

    def smoothgrad_squared(self) -> Tensor:
        return self.noise("smoothgrad_sq")

    def vargrad(self) -> Tensor:
        return self.noise("vargrad")

    def gradient_shap(self) -> Tensor:
        parts = [
            size * ca.GradientShap(self.net).attribute(
                self.x, baselines=self.drawn(), n_samples=size, stdevs=0.0, target=self.target
            )
            for size in (DRAWS, DRAWS, SMALL["n_samples"] - 2 * DRAWS)
        ]  # fmt: skip
        return torch.stack(parts).sum(0) / SMALL["n_samples"]

    def deeplift(self) -> Tensor:
        return ca.DeepLift(self.net).attribute(self.x, target=self.target)

    def deeplift_shap(self) -> Tensor:
        return ca.DeepLiftShap(self.net).attribute(self.x, self.drawn(), target=self.target)

    def guided_backprop(self) -> Tensor:
        return ca.GuidedBackprop(self.net).attribute(self.x, target=self.target)

    def deconvolution(self) -> Tensor:
        return ca.Deconvolution(self.net).attribute(self.x, target=self.target)

    def grad_cam(self) -> Tensor:
        values = ca.LayerGradCam(self.net, self.layer).attribute(self.x, target=self.target)
        return F.interpolate(values, size=SHAPE[1:], mode="bilinear", align_corners=False)

    def guided_grad_cam(self) -> Tensor:
        return ca.GuidedGradCam(self.net, self.layer).attribute(self.x, target=self.target)

    def layer_gradient_x_activation(self) -> Tensor:
        layer = ca.LayerGradientXActivation(self.net, self.layer)
        values = layer.attribute(self.x, target=self.target).sum(1, keepdim=True)
        return F.interpolate(values, size=SHAPE[1:], mode="bilinear", align_corners=False)

    def lrp(self) -> Tensor:
        for part in self.net.modules():
            if isinstance(part, nn.Flatten):
                part.rule = EpsilonRule()
        return ca.LRP(self.net).attribute(self.x, target=self.target)

    def occlusion(self) -> Tensor:
        window = (3, 2, 2)  # 18 % of 12
        values = ca.Occlusion(self.net).attribute(
            self.x, window, strides=(3, 1, 1), target=self.target
        )
        return values[:, :1] / 4

    def by_segment(self, kind: Callable[..., Any], **settings: Any) -> Tensor:
        rows = torch.arange(12) // 4
        mask = (rows[:, None] * 3 + rows)[None, None]
        values = kind(self.net).attribute(
            self.x, baselines=self.blur, feature_mask=mask, target=self.target, **settings
        )
        return values[:, 0, ::4, ::4]

    def feature_ablation(self) -> Tensor:
        return self.by_segment(ca.FeatureAblation)

    def shapley_value_sampling(self) -> Tensor:
        return self.by_segment(ca.ShapleyValueSampling, n_samples=SMALL["n_samples"])

    def kernel_shap(self) -> Tensor:
        return self.by_segment(ca.KernelShap, n_samples=SMALL["n_samples"])

    def lime(self) -> Tensor:
        return self.by_segment(ca.Lime, n_samples=SMALL["n_samples"])


def pairs() -> list[tuple[str, str]]:
    fits = {network: describe(model(network)).fits for network in NETWORKS}
    by_hand = {("grad_cam", "vit"), ("layer_gradient_x_activation", "vit")}  # tokens: see truth
    return [
        (each.name, network)
        for network in NETWORKS
        for each in METHODS
        if fits[network][each.name].usable and (each.name, network) not in by_hand
    ]


@pytest.mark.parametrize(("name", "network"), pairs())
@pytest.mark.filterwarnings("ignore")  # Captum's about hooks and gradients
def test_equals_captum(name: str, network: str) -> None:
    one = example(SHAPE, 5)
    chosen = {p.name: SMALL[p.name] for p in method(name).parameters if p.name in SMALL}
    parameters = {"method": name, "target": "cat", "settings": chosen}
    (found,) = attribute(model(network), [one], parameters, SEED, Meter())
    direct = Direct(toy(network), tensor(one, SHAPE), target=2)
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    random.seed(SEED)
    expected = getattr(direct, name)()[0].detach().numpy()
    got = found.values
    if name in SEGMENTED:
        got = got[0].reshape(3, 4, 3, 4).sum(axis=(1, 3))
        expected = expected.reshape(3, 3)
    assert got.shape == expected.shape
    peak = np.abs(expected).max()
    assert peak > 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=min(1e-6, 1e-5 * peak))


def test_every_method_is_compared() -> None:
    assert {name for name, _ in pairs()} == {each.name for each in METHODS}
    assert set(NETWORKS) <= set(MAKERS)


@pytest.mark.filterwarnings("ignore")
def test_where_captum_itself_does_not_add_up() -> None:
    """ReLU straight before max-pooling is one tensor under two of Captum's hooks: called directly,
    its contributions miss the score's difference; ours do not, and equal Captum's on the same
    network with an identity between the two.
    """
    x = tensor(example(SHAPE, 5), SHAPE)
    plain = toy("plain")
    spaced = toy("plain")
    spaced._module.pool1 = nn.Sequential(_Copy(), nn.MaxPool2d(2))
    parameters = {"method": "deeplift", "target": "cat", "settings": {"baseline": "white"}}
    (found,) = attribute(plain, [example(SHAPE, 5)], parameters, SEED, Meter())
    assert found.delta is not None
    assert abs(found.delta) < 1e-5
    white, leaf = level(1.5, x), x.clone().requires_grad_()
    directly = ca.DeepLift(toy("plain")._module).attribute(leaf, white, target=2)
    expected = ca.DeepLift(spaced._module).attribute(leaf, white, target=2)
    gain = plain._module(x)[0, 2] - plain._module(white)[0, 2]
    assert abs(float(directly.sum() - gain)) > 1e-2
    assert abs(float(expected.sum() - gain)) < 1e-5
    np.testing.assert_allclose(found.values, expected[0].detach().numpy(), rtol=0, atol=1e-6)


class _Copy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def test_a_contrast_is_the_difference_of_its_classes() -> None:
    """Exact for methods that are linear in the explained score."""
    linear_in_score = (
        "saliency", "input_x_gradient", "integrated_gradients", "deeplift", "lrp", "grad_cam",
        "occlusion", "feature_ablation", "shapley_value_sampling", "kernel_shap",
    )  # fmt: skip
    loaded = toy("apart")
    for name in linear_in_score:
        found = {}
        for target in ("cat vs dog", "cat", "dog"):
            parameters = {"method": name, "target": target}
            (found[target],) = attribute(loaded, [example(SHAPE)], parameters, SEED, Meter())
        difference = found["cat"].values - found["dog"].values
        assert np.abs(difference).max() > 1e-3
        np.testing.assert_allclose(found["cat vs dog"].values, difference, rtol=0, atol=2e-6)
