"""A network taken apart: shapes, parameters and operations by hand, and its rewritten form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toy_models import CLASSES, MAKERS, SHAPE, PlainCNN, ResidualCNN, load, toy

from core.attribution.describe import describe, hooked_form
from core.models.loaded import twin
from core.results import Architecture, LayerInfo


def layer(architecture: Architecture, name: str) -> LayerInfo:
    return next(each for each in architecture.layers if each.name == name)


def test_a_plain_network_by_hand() -> None:
    found = describe(toy("plain"))
    conv1, conv2, dense = (layer(found, name) for name in ("conv1", "conv2", "dense"))
    assert (conv1.input_shape, conv1.output_shape, conv1.grid) == (SHAPE, (6, 12, 12), (12, 12))
    assert (conv2.output_shape, conv2.grid) == ((8, 6, 6), (6, 6))
    assert (dense.output_shape, dense.grid) == ((5,), None)
    assert conv1.parameters == 6 * (3 * 9 + 1)
    assert conv1.multiply_adds == 6 * 12 * 12 * 3 * 9
    assert conv2.multiply_adds == 8 * 6 * 6 * 6 * 9
    assert dense.multiply_adds == 72 * 5
    assert found.multiply_adds == conv1.multiply_adds + conv2.multiply_adds + dense.multiply_adds
    assert found.parameters == sum(p.numel() for p in PlainCNN().parameters())
    assert (found.rewrites, found.unrewritable, found.functions) == ((), "", ())
    assert found.pass_seconds > 0
    assert found.backward_seconds > 0
    assert found.batch_size >= 1
    assert found.backward_batch_size >= 1


def test_attention_by_hand() -> None:
    found = describe(toy("vit"))
    tokens, width, hidden, heads = 10, 8, 16, 2
    block = (
        tokens * width * 3 * width  # queries, keys, values
        + 2 * heads * tokens * tokens * (width // heads)  # Q·Kᵀ and weights·V
        + tokens * width * width
        + 2 * tokens * width * hidden
    )
    patches = 9 * width * 3 * 16
    assert found.multiply_adds == patches + 2 * block + width * len(CLASSES)
    norm = layer(found, "blocks.1.norm1")
    assert (norm.output_shape, norm.grid, norm.prefix_tokens) == ((10, 8), (3, 3), 1)
    assert found.functions.count("scaled_dot_product_attention") == 2


@pytest.mark.parametrize("name", MAKERS)
def test_parameters_are_counted_once(name: str) -> None:
    loaded = toy(name)
    assert describe(loaded).parameters == sum(p.numel() for p in loaded._module.parameters())


class Shared(nn.Module):
    """One dense layer's weight used by two modules, and one module called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.first, self.again = nn.Linear(432, 432, bias=False), nn.Linear(432, 432, bias=False)
        self.again.weight = self.first.weight
        self.relu, self.dense = nn.ReLU(), nn.Linear(432, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(x)
        for part in (self.first, self.again, self.first):
            x = self.relu(part(x))
        out: Tensor = self.dense(x)
        return out


def test_shared_weights_and_repeated_calls() -> None:
    found = describe(load(Shared(), SHAPE))
    assert layer(found, "relu").calls == 3
    assert layer(found, "first").calls == 2
    assert layer(found, "first").multiply_adds == 2 * 432 * 432
    assert found.parameters == 432 * 432 + 433 * len(CLASSES)


def test_grouped_and_transposed_convolutions() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, groups=3, padding=1),
        nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear(4 * 24 * 24, len(CLASSES)),
    )
    found = describe(load(module, SHAPE))
    assert layer(found, "0").multiply_adds == 6 * 144 * 1 * 9
    assert layer(found, "1").multiply_adds == 6 * 144 * (4 // 2) * 4


@pytest.mark.parametrize(
    ("name", "expected"), [("plain", "relu2"), ("residual", "stage"), ("vit", "blocks.1.norm1")]
)
def test_the_last_useful_layer(name: str, expected: str) -> None:
    """After the last block of a ViT only the class token matters: its tokens get no gradient."""
    found = describe(toy(name))
    assert found.cam_layer == expected
    module = toy(name)._module
    assert all(each.name in dict(module.named_modules()) for each in found.spatial_layers)
    if name == "vit":
        assert not layer(found, "blocks.1").reached
        assert layer(found, "blocks.0").reached


def test_inspecting_leaves_nothing_behind() -> None:
    loaded = toy("residual")
    module = loaded._module.train()
    before = [sorted(part.__dict__) for part in module.modules()]
    state = torch.get_rng_state()
    describe(loaded)
    assert torch.equal(torch.get_rng_state(), state)
    assert [sorted(part.__dict__) for part in module.modules()] == before
    assert all(part.training for part in module.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert all(p.requires_grad for p in module.parameters())


def test_the_description_does_not_depend_on_the_seed() -> None:
    one, other = describe(toy("residual"), seed=1), describe(toy("residual"), seed=2)
    assert (one.layers, one.functions, one.fits) == (other.layers, other.functions, other.fits)


def test_the_rewritten_form_answers_the_same_from_the_same_weights() -> None:
    loaded = toy("residual")
    found = describe(loaded)
    form = hooked_form(loaded)
    assert form is not None
    assert found.rewrites
    x = torch.randn(4, *SHAPE)
    with torch.no_grad():
        assert torch.equal(form(x), loaded._module(x))
        loaded._module.stem.weight.mul_(3)  # the same memory
        assert torch.equal(form(x), loaded._module(x))
    activations = [part for part in form.modules() if isinstance(part, nn.ReLU)]
    assert len(activations) >= 5
    assert not any(part.inplace for part in activations)
    assert "relu" not in found.hooked_functions
    assert all(x.calls == 1 for x in found.hooked_layers if x.base == "ReLU" and x.calls)


def test_the_rewritten_form_has_twins() -> None:
    loaded = toy("residual")
    describe(loaded)
    form = hooked_form(loaded)
    assert form is not None
    double = twin(form)
    x = torch.randn(2, *SHAPE)
    assert torch.equal(double(x), form(x))
    assert {p.data_ptr() for p in double.parameters()} == {
        p.data_ptr() for p in loaded._module.parameters()
    }


def test_a_plain_network_needs_no_other_form() -> None:
    loaded = toy("plain")
    describe(loaded)
    assert hooked_form(loaded) is None


class OverwritesWhatItUsesLater(ResidualCNN):
    """The in-place ReLU's effect on ``x`` is needed further down: its result is thrown away."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        torch.nn.functional.relu(x, inplace=True)
        out: Tensor = self.dense(torch.flatten(self.pool(x), 1))
        return out


def test_a_rewrite_that_would_change_the_answer_is_not_used() -> None:
    loaded = load(OverwritesWhatItUsesLater(), SHAPE)
    found = describe(loaded)
    assert hooked_form(loaded) is None
    assert "differently" in found.unrewritable
    assert found.fits["guided_backprop"].level == found.fits["deeplift"].level == "not valid"
