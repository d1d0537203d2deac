"""Channels and heads removed, and static int8: closed forms, and twins that ignore instead."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.compression import calibrated
from core.compression.apply import apply
from core.compression.calibrated import static
from core.compression.cost import compression_costs
from core.compression.given import Given
from core.compression.made import compress
from core.errors import NotValid
from core.models.adapter import Batch
from core.models.catalogue import reference, weights_file
from core.models.loader import load
from core.progress import Meter
from core.tasks import PixelGrid
from tests.test_compression import answers, made


class Plain:
    """An adapter that hands tensors on."""

    def logits(self, module: nn.Module, features: torch.Tensor, *context: torch.Tensor) -> Any:
        return module(features)


def given(values: torch.Tensor, examples: int = 1) -> Given:
    count = len(values)
    batch = Batch(values, (), (PixelGrid(1, 1, 1),) * count, (None,) * count, ("x",) * count, ((),))
    return Given(Plain(), batch, lambda: [batch] * examples)  # type: ignore[arg-type]


class Residual(nn.Module):
    """Convolutions with batch normalisation, a sum, and flattened dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 12, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(12)
        self.outer = nn.Conv2d(12, 8, 1)
        self.dense = nn.Linear(8 * 16, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.stem(values)).relu()
        x = x + self.outer(self.norm2(self.inner(x)).relu())
        found: torch.Tensor = self.head(self.dense(x.flatten(1)).relu())
        return found


def residual() -> nn.Module:
    torch.manual_seed(0)
    module = Residual().eval()
    with torch.no_grad():
        for part in (module.norm1, module.norm2):
            part.running_mean.normal_()
            part.weight.normal_()
            part.bias.normal_()
    return module


STEP = {"method": "channels", "scope": "layer", "norm": "l2"}


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_channels_with_the_smallest_filters_go_with_all_that_reads_them(norm: str) -> None:
    module, values = residual(), torch.randn(5, 2, 4, 4)
    twin: Any = copy.deepcopy(module)
    found = apply(module, {**STEP, "amount": 0.5, "norm": norm}, given(values))
    assert {each["layer"]: each["shape"] for each in found} == {
        "stem": [4, 2, 3, 3], "norm1": [4], "inner": [6, 4, 3, 3], "norm2": [6],
        "outer": [4, 6, 1, 1], "dense": [3, 64], "head": [3, 3],
    }  # fmt: skip

    def size(part: Any) -> torch.Tensor:
        return part.weight.detach().flatten(1).norm(p=1 if norm == "l1" else 2, dim=1)

    added = (size(twin.stem) + size(twin.outer)).argsort()  # what is summed goes together
    inner, units = size(twin.inner).argsort(), size(twin.dense).argsort()
    kept = twin.inner.weight[inner[6:].sort().values][:, added[4:].sort().values]
    torch.testing.assert_close(module.inner.weight, kept)
    with torch.no_grad():  # the twin in which nobody listens to them
        twin.inner.weight[:, added[:4]] = 0
        twin.dense.weight.view(6, 8, 16)[:, added[:4]] = 0
        twin.outer.weight[:, inner[:6]] = 0
        twin.head.weight[:, units[:3]] = 0
        torch.testing.assert_close(module(values), twin(values), atol=1e-5, rtol=1e-5)


def test_all_layers_together_lose_the_share_that_is_asked_for() -> None:
    module = residual()
    apply(module, {**STEP, "amount": 0.5, "scope": "global"}, given(torch.randn(1, 2, 4, 4)))
    left = module.inner.out_channels + module.stem.out_channels + module.dense.out_features
    assert left == 13  # of 12 + 8 + 6
    same = residual()
    assert apply(same, {**STEP, "amount": 0}, given(torch.randn(1, 2, 4, 4))) == []
    for name, tensor in residual().state_dict().items():
        assert torch.equal(same.state_dict()[name], tensor)


def test_channels_of_nothing_change_no_answer_and_shrink_the_file(tmp_path: Path) -> None:
    model = load(reference("digits_cnn"), "cpu")
    with model.exclusive() as module, torch.no_grad():
        for name in ("conv1", "conv2", "dense1"):  # a third of each says nothing
            part = module.get_submodule(name)
            part.weight[::3] = 0
            part.bias[::3] = 0
    settings = {"method": "channels", "amount": 0.33, "scope": "layer"}
    before = answers(model)
    called = compress(model, (), {"steps": [settings], "out": str(tmp_path / "c")}, 0, Meter())
    small = load(reference(called), "cpu")
    np.testing.assert_allclose(answers(small), before, atol=1e-5)
    size = weights_file(small.card).stat().st_size
    assert size < 0.5 * weights_file(model.card).stat().st_size
    costs = compression_costs(small, (), {}, 0, Meter())
    channels, more, units = 32 - 10, 64 - 21, 128 - 42
    assert costs.small.multiply_adds == (
        28**2 * 9 * channels + 14**2 * 9 * channels * more + 7**2 * more * units + units * 10
    )
    assert small.card.raw["parameters"] == costs.small.parameters
    assert costs.small.parameters < 0.5 * costs.original.parameters


def test_what_is_normalised_across_channels_or_too_small_stays() -> None:
    normed = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)).eval()
    with pytest.raises(NotValid, match="normalised across"):
        apply(normed, {**STEP, "amount": 0.5}, given(torch.randn(1, 4)))
    narrow = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3)).eval()
    with pytest.raises(NotValid, match="too small to prune"):
        apply(narrow, {**STEP, "amount": 0.3}, given(torch.randn(1, 4)))


def test_heads_of_our_own_attention_are_gone(tmp_path: Path) -> None:
    step = {"method": "heads", "amount": 0.5, "scope": "layer"}
    small = made("fashion_vit", tmp_path / "c", step)
    original = load(reference("fashion_vit"), "cpu")
    values = original.adapter.typical(original).features
    with original.exclusive() as module, small.exclusive() as thin, torch.no_grad():
        for block, less in zip(module.blocks, thin.blocks, strict=True):
            read = block.attention.projection.weight.view(64, 4, 16)
            gone = read.norm(dim=(0, 2)).argsort()[:2]
            read[:, gone] = 0
            assert less.attention.heads == 2
        torch.testing.assert_close(thin(values), module(values), atol=1e-5, rtol=1e-5)
    assert "8 of 16 heads are gone" in small.card.raw["compression"]["notes"][0]


def test_heads_of_pytorchs_attention_are_silenced(tmp_path: Path) -> None:
    step = {"method": "heads", "amount": 0.5, "scope": "global"}
    small = made("sentiment", tmp_path / "c", step)
    with small.exclusive() as module:
        read = [
            part.out_proj.weight.view(part.embed_dim, part.num_heads, -1).norm(dim=(0, 2))
            for part in module.modules()
            if isinstance(part, nn.MultiheadAttention)
        ]
    assert sum(int((each == 0).sum()) for each in read) == 4
    assert small.card.raw["compression"]["structure"] == []
    assert "say nothing any more" in small.card.raw["compression"]["notes"][0]


@pytest.mark.parametrize("low", [0.0, -3.0])
def test_static_int8_is_within_its_steps(low: float, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, values = nn.Linear(40, 7), torch.rand(9, 40) * (3 - low) + low
    small: Any = static(layer, low, 3.0)
    assert float(small.step) == pytest.approx((3 - low) / 255)
    with torch.no_grad():
        error = (small(values) - layer(values)).abs()
        half = small.scale / 2
        inputs = layer.weight.abs().sum(dim=1) * small.step / 2
        largest = values.abs().sum(dim=1, keepdim=True) + 20 * small.step
    assert bool((error <= inputs + largest * half + 1e-5).all())
    assert float(error.max()) > 1e-4
    with torch.no_grad():
        whole = small(values)
        monkeypatch.setattr(calibrated, "kernels", lambda device: "none here")
        torch.testing.assert_close(small(values), whole, atol=1e-5, rtol=1e-5)
    leaf = torch.cat([values[:1], values[:1] + 100]).requires_grad_(True)
    (gradient,) = torch.autograd.grad(small(leaf).sum(), leaf)
    torch.testing.assert_close(gradient[0], small.weight.sum(dim=0))
    assert not gradient[1].any()  # beyond the range nothing moves


@pytest.mark.parametrize("groups", [1, 2])
def test_static_convolutions_are_those_of_rounded_numbers(groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=groups)
    values = torch.randn(2, 4, 9, 9)
    small: Any = static(layer, float(values.min()), float(values.max()))
    rounded = ((values / small.step).round() + small.zero - small.zero) * small.step
    by_hand = nn.functional.conv2d(rounded, small.weight, layer.bias, 2, 1, 1, groups)
    with torch.no_grad():
        torch.testing.assert_close(small(values), by_hand, atol=1e-4, rtol=1e-4)
        assert float((small(values) - layer(values)).abs().max()) < 0.1


def test_ranges_are_those_of_the_examples_and_none_is_told() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    values = torch.randn(6, 3)
    with torch.no_grad():
        hidden = module[1](module[0](values))
    found = apply(copy.deepcopy(module), {"method": "int8_static"}, given(values))
    assert [each["kind"] for each in found] == ["int8_static"] * 2
    small = copy.deepcopy(module)
    apply(small, {"method": "int8_static"}, given(values))
    assert float(small[2].step) == pytest.approx(float(hidden.max()) / 255)
    with pytest.raises(NotValid, match="there are none"):
        apply(module, {"method": "int8_static"}, given(values, 0))
    assert "no kernels" in calibrated.kernels("cuda")
