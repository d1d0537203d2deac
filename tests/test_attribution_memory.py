"""Memory that runs out, input that is no number, and requests that cannot be served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_attribution_contract import fitting, model, settings
from torch import Tensor, nn
from toy_models import SHAPE, PlainCNN, example, linear, load, tensor, toy

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.errors import (
    BadInput,
    BadModel,
    BadParameter,
    FluoroscopeError,
    NotValid,
    OutOfMemory,
    UnknownName,
)
from core.models.loaded import LoadedModel
from core.progress import Meter

PAIRS = ("deeplift", "deeplift_shap")  # input and baseline have to be in memory together


def run(loaded: LoadedModel, name: str, **options: Any) -> Any:
    parameters = {"method": name, "settings": settings(name)}
    return attribute(loaded, [example(SHAPE)], parameters, 3, Meter(), **options)[0]


@pytest.mark.parametrize(("name", "network"), fitting())
@pytest.mark.parametrize("ceiling", [1, 2, 3, 8])
def test_a_memory_limit_gives_the_same_result(name: str, network: str, ceiling: int) -> None:
    loaded = model(network)
    if name in PAIRS and ceiling == 1:
        with pytest.raises(OutOfMemory, match="single example"):
            run(loaded, name, ceiling=ceiling)
        return
    whole, cramped = run(loaded, name), run(loaded, name, ceiling=ceiling)
    np.testing.assert_allclose(cramped.values, whole.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "occlusion", "grad_cam"])
def test_memory_that_ends_at_one_example_is_said(name: str) -> None:
    with pytest.raises(OutOfMemory, match="single example") as caught:
        run(model("plain"), name, ceiling=0)
    assert caught.value.next_step


class Brittle(PlainCNN):
    """Raises ``error`` for a batch above two, once it is armed."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.armed = False

    def forward(self, x: Tensor) -> Tensor:
        if self.armed and len(x) > 2:
            raise self.error
        return super().forward(x)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("name", ["smoothgrad", "integrated_gradients", "kernel_shap"])
def test_every_spelling_of_no_memory_is_understood(name: str, error: Exception) -> None:
    network = Brittle(error)
    loaded = load(network, SHAPE)
    whole = run(loaded, name)
    network.armed = True
    np.testing.assert_allclose(run(loaded, name).values, whole.values, rtol=1e-4, atol=1e-6)


def test_another_error_is_not_taken_for_memory() -> None:
    network = Brittle(RuntimeError("shapes do not match"))
    loaded = load(network, SHAPE)
    describe(loaded)
    network.armed = True
    with pytest.raises(RuntimeError, match="do not match"):
        run(loaded, "integrated_gradients")
    network.armed = False
    assert np.isfinite(run(loaded, "integrated_gradients").values).all()


class Overflowing(nn.Module):
    """NaN as soon as something is covered; finite on the input itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = PlainCNN()
        self.armed = False

    def forward(self, x: Tensor) -> Tensor:
        bad = (x == 0).any() if self.armed else torch.tensor(False)
        out: Tensor = torch.where(bad, torch.tensor(float("nan")), self.inner(x))
        return out


@pytest.mark.parametrize("name", ["occlusion", "lime", "integrated_gradients"])
def test_nan_on_the_way_is_refused(name: str) -> None:
    network = Overflowing()
    loaded = load(network, SHAPE)
    describe(loaded)
    network.armed = True
    parameters = {"method": name, "settings": settings(name) | {"baseline": "zero"}}
    with pytest.raises(BadModel, match="NaN"):
        attribute(loaded, [example(SHAPE)], parameters, 0, Meter())


def test_nan_weights_are_refused() -> None:
    loaded = toy("plain")
    describe(loaded)
    with torch.no_grad():
        loaded._module.dense.bias.fill_(float("nan"))
    with pytest.raises(BadModel, match="NaN"):
        run(loaded, "saliency")


@pytest.mark.parametrize(
    ("parameters", "kind", "word"),
    [
        ({"method": "salience"}, UnknownName, "saliency"),
        ({"method": "saliency", "target": "cow"}, UnknownName, "class"),
        ({"method": "saliency", "settings": {"n_steps": 3}}, UnknownName, "takes none"),
        ({"method": "grad_cam", "settings": {"layer": "relu9"}}, UnknownName, "relu2"),
        ({"method": "grad_cam", "settings": {"layer": "dense"}}, UnknownName, "layer"),
        (
            {"method": "integrated_gradients", "settings": {"n_steps": 0}},
            BadParameter,
            "from 2 to 1000",
        ),
        (
            {"method": "integrated_gradients", "settings": {"baseline": "image"}},
            BadInput,
            "another picture",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    parameters: dict[str, Any], kind: type[FluoroscopeError], word: str
) -> None:
    with pytest.raises(kind, match=word):
        attribute(model("plain"), [example(SHAPE)], parameters, 0, Meter())


def test_not_valid_is_refused_with_the_reason() -> None:
    with pytest.raises(NotValid, match="GELU"):
        run(model("vit"), "deeplift")


def test_another_image_as_baseline() -> None:
    """On the linear model the values are ``w·(x − other)``."""
    loaded = linear()
    shape = loaded.adapter.feature_shape
    one, other = example(shape, 0), example(shape, 1)
    parameters = {
        "method": "integrated_gradients",
        "target": 2,
        "settings": {"baseline": "image"},
        "baseline_example": 0,
    }
    (found,) = attribute(loaded, [other, one], parameters, 0, Meter())
    weight = loaded._module.dense.weight[2].detach().reshape(1, *shape)
    expected = weight * (tensor(one, shape) - tensor(other, shape))
    assert found.example == one.name
    np.testing.assert_allclose(found.values, expected[0], atol=1e-5)
    assert found.provenance.inputs == (one.sha256, other.sha256)
