"""Methods against slow twins written out here, by loops and by hand."""

from __future__ import annotations

import itertools
from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_models import SHAPE, PlainCNN, ResidualCNN, example, load, tensor, toy

from core.attribution.compute import attribute
from core.attribution.window import sliding_window
from core.progress import Meter
from core.results import Attribution
from core.tasks import PixelGrid

SEED = 5
TARGET = 2
X = tensor(example(SHAPE), SHAPE)


def plain() -> nn.Module:
    module: nn.Module = toy("plain")._module
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def ours(name: str, network: nn.Module | None = None, **settings: Any) -> Attribution:
    parameters = {"method": name, "target": TARGET, "settings": settings}
    loaded = load(network or plain(), SHAPE)
    (found,) = attribute(loaded, [example(SHAPE)], parameters, SEED, Meter())
    return found


def leaf() -> Tensor:
    return X.clone().requires_grad_()


def drawn(count: int) -> Tensor:
    """The toy adapter's uniform baselines."""
    generators = [torch.Generator().manual_seed(SEED + draw) for draw in range(count)]
    return torch.stack([torch.rand(SHAPE, generator=generator) for generator in generators])


def test_captum_alone_misses_where_rules_are_adjacent() -> None:
    """The reason for ``keep_apart``; when this fails, Captum has mended it."""
    baseline = drawn(1)
    with pytest.warns(UserWarning, match="hooks"):
        loose = captum.DeepLift(plain()).attribute(leaf(), baseline, TARGET)
    with torch.no_grad():
        gain = float((plain()(X) - plain()(baseline))[0, TARGET])
    assert abs(float(loose.detach().sum()) - gain) > 0.05 * abs(gain)
    assert abs(float(ours("deeplift", baseline="uniform").delta or 0)) < 1e-5


def test_grad_cam_written_out() -> None:
    network = plain()
    kept: list[Tensor] = []
    network.relu2.register_forward_hook(lambda _, __, out: kept.append(out))
    score = network(leaf())[0, TARGET]
    (gradient,) = torch.autograd.grad(score, kept[0])
    coarse = torch.zeros(6, 6)
    for channel in range(8):
        weight = gradient[0, channel].sum() / 36
        coarse += weight * kept[0][0, channel].detach()
    found = ours("grad_cam", layer="relu2", upsampling="nearest").values[0]
    np.testing.assert_allclose(
        found, coarse.repeat_interleave(2, 0).repeat_interleave(2, 1) / 4, atol=1e-6
    )
    assert found.sum() == pytest.approx(float(coarse.sum()), rel=1e-5)
    assert found.min() < 0 < found.max()  # signed: what speaks against stays visible


def test_grad_cam_of_tokens_written_out() -> None:
    loaded = toy("vit")
    network = loaded._module
    kept: list[Tensor] = []
    handle = network.blocks[0].register_forward_hook(lambda _, __, out: kept.append(out))
    score = network(leaf())[0, TARGET]
    (gradient,) = torch.autograd.grad(score, kept[0])
    handle.remove()
    weight = gradient[0, 1:].mean(0)  # the class token lies nowhere
    coarse = (kept[0][0, 1:].detach() @ weight).reshape(3, 3)
    parameters = {
        "method": "grad_cam",
        "target": TARGET,
        "settings": {"layer": "blocks.0", "upsampling": "nearest"},
    }
    (found,) = attribute(loaded, [example(SHAPE)], parameters, SEED, Meter())
    expected = coarse.repeat_interleave(4, 0).repeat_interleave(4, 1) / 16
    np.testing.assert_allclose(found.values[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "stride", "side", "places"),
    [
        (33, 17, 4, (0, 2, 4, 6, 8)),
        (40, 33, 8, (0, 4)),  # 5 pixels would leave 3 over at the edge
        (25, 25, 3, (0, 3, 6, 9)),
        (42, 42, 7, (0, 5)),  # 5 pixels, twice, would leave 2
    ],
)
def test_occlusion_written_out(
    window: int, stride: int, side: int, places: tuple[int, ...]
) -> None:
    network = plain()
    total, seen = np.zeros((12, 12)), np.zeros((12, 12))
    with torch.no_grad():
        whole = network(X)[0, TARGET].item()
        for row, column in itertools.product(places, places):
            covered = X.clone()
            here = (..., slice(row, row + side), slice(column, column + side))
            covered[here] = 1.5
            total[here] += (whole - network(covered)[0, TARGET].item()) / side**2
            seen[here] += 1
    found = ours("occlusion", baseline="white", window=window, stride=stride).values[0]
    np.testing.assert_allclose(found, total / seen, atol=1e-5)


@pytest.mark.parametrize("size", [(28, 28), (28, 45), (45, 28), (224, 311), (1, 9), (7, 7)])
def test_the_last_window_ends_at_the_edge(size: tuple[int, int]) -> None:
    """Along the long side of an input too, where a cut window would take less away."""
    for percent, step in itertools.product((1, 13, 25, 40, 100), (1, 9, 20, 100)):
        window = sliding_window({"window": percent, "stride": step}, PixelGrid(3, *size))
        height, width = window.sides
        down, right = window.strides
        seen = np.zeros(size, dtype=int)
        places = 0
        for row in range(0, size[0] - height + 1, down):
            for column in range(0, size[1] - width + 1, right):
                seen[row : row + height, column : column + width] += 1
                places += 1
        assert seen.min() > 0, "a pixel that no window covers"
        assert places == window.positions(size)


@pytest.mark.parametrize("name", ["guided_backprop", "deconvolution"])
def test_guided_rules_written_out(name: str) -> None:
    """The backward pass of the plain network by hand, with the rule at each ReLU."""
    network = plain()
    before1 = network.conv1(leaf())
    hidden1 = before1.relu()
    before2 = network.conv2(network.pool1(hidden1))
    hidden2 = before2.relu()
    score = network.dense(network.pool2(hidden2).flatten(1))[0, TARGET]

    def rule(gradient: Tensor, before: Tensor) -> Tensor:
        positive = gradient.clamp(min=0)
        return positive * (before > 0) if name == "guided_backprop" else positive

    at2 = rule(torch.autograd.grad(score, hidden2, retain_graph=True)[0], before2)
    at1 = rule(torch.autograd.grad(before2, hidden1, at2, retain_graph=True)[0], before1)
    x = leaf()
    (expected,) = torch.autograd.grad(network.conv1(x), x, at1)
    np.testing.assert_allclose(ours(name).values, expected[0], atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_lrp_is_input_x_gradient_on_relu_networks(kind: str, bias: bool) -> None:
    """Ancona et al. 2018, proposition 1: true of the epsilon rule, residual branches included."""
    torch.manual_seed(11)
    network = PlainCNN(bias) if kind == "plain" else ResidualCNN(bias)
    found = ours("lrp", network)
    np.testing.assert_allclose(found.values, ours("input_x_gradient", network).values, atol=1e-6)
    assert (abs(found.delta or 0.0) < 1e-6) is not bias
