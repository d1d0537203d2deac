"""Networks saved by ``torch.export.save`` and taken in again are what they were: outputs, layers,
attributions and attention equal those of the live module.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor, nn

from core.models.embedded import embedding_of
from core.models.exported.clean import clean
from core.models.exported.guarded import CHECKED
from core.models.exported.module import ExportedModule, program
from core.models.exported.trial import tried
from core.models.loaded import twin

AUTO = torch.export.Dim.AUTO


class Cnn(nn.Module):
    """Convolutions, pooling and batch norm, and an activation that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.last = nn.Conv2d(4, 6, 3)
        self.head = nn.Linear(6, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.head(F.gelu(self.last(self.features(pixels))).mean((2, 3)))


class Residual(nn.Module):
    """Residual adds, one activation in place that is used several times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        hidden = self.relu(self.stem(pixels))
        deeper = self.norm(self.body(hidden))
        deeper += hidden
        return self.fc(self.pool(self.relu(deeper)).flatten(1))


class Vision(nn.Module):
    """Patches, a class token, blocks of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.rand(1, 1, 8))
        self.places = nn.Parameter(torch.rand(1, 10, 8))
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.head = nn.Linear(8, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        hidden = self.patches(pixels).flatten(2).transpose(1, 2)
        hidden = torch.cat([self.token.expand(hidden.shape[0], -1, -1), hidden], 1) + self.places
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(hidden[:, 0])


class Block(nn.Module):
    """Attention by the fused kernel, and a small network."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, hidden: Tensor) -> Tensor:
        """``[example, token, width]``."""
        query, key, value = (
            each.unflatten(-1, (2, 4)).transpose(1, 2)
            for each in self.qkv(self.norm(hidden)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        return hidden + self.mlp(hidden)


class Recurrent(nn.Module):
    """Word embeddings and a recurrent layer in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(12, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        hidden, _ = self.lstm(self.embedding(ids))
        return self.fc(hidden.mean(1))


class Two(nn.Module):
    """Two inputs that meet in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 6)
        self.other = nn.Linear(3, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, numbers: Tensor, more: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.out(torch.tanh(self.one(numbers)) * torch.sigmoid(self.other(more)))


def bert() -> nn.Module:
    """A classifier of the transformers library."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def gpt() -> nn.Module:
    """A language model of the transformers library."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=30, n_embd=8, n_layer=2, n_head=2, n_positions=16, use_cache=False,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


@dataclass(frozen=True)
class Case:
    """A network, what it is exported with, and which axes are free."""

    make: Any
    positional: tuple[Tensor, ...] = ()
    named: Mapping[str, Tensor] = field(default_factory=dict)
    free: Any = None


def ids(most: int) -> Tensor:
    """Some tokens."""
    return torch.arange(14).reshape(2, 7) * 5 % most


TEXT = {"input_ids": ids(30), "attention_mask": torch.ones(2, 7, dtype=torch.int64)}
BOTH = {name: {0: AUTO, 1: AUTO} for name in TEXT}
CASES = {
    "cnn": Case(Cnn, (torch.rand(2, 1, 10, 10),), free=({0: AUTO},)),
    "residual, of a fixed batch": Case(Residual, (torch.rand(2, 3, 8, 8),)),
    "vision": Case(Vision, (torch.rand(2, 3, 12, 12),), free=({0: AUTO},)),
    "vision, of a fixed batch": Case(Vision, (torch.rand(2, 3, 12, 12),)),
    "lstm, of a fixed batch": Case(Recurrent, (ids(20),)),
    "bert": Case(bert, named=TEXT, free=BOTH),
    "gpt": Case(gpt, named=TEXT, free=BOTH),
    "lstm": Case(Recurrent, (ids(20),), free=({0: AUTO, 1: AUTO},)),
    "two inputs": Case(Two, (torch.rand(2, 4), torch.rand(2, 3)), free=({0: AUTO}, {0: AUTO})),
}


@dataclass(frozen=True)
class Pair:
    """The live network and the one that was taken in, with what the trial told."""

    live: nn.Module
    taken: ExportedModule
    found: dict[str, Any]
    given: tuple[Tensor, ...]

    def answer(self, *given: Tensor) -> Tensor:
        """That of the live network, as the taken one is called."""
        if self.found["widths"]:
            given = given[0].split(self.found["widths"], dim=1)
        if self.found["filled"]:
            return self.live(input_ids=given[0], attention_mask=torch.ones_like(given[0])).logits
        return self.live(*given)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Pairs by the name of a case."""
    folder = tmp_path_factory.mktemp("pairs")

    @cache
    def pair(name: str) -> Pair:
        return taken_in(CASES[name], folder / f"{name}.pt2")

    return pair


def taken_in(case: Case, path: Path) -> Pair:
    """Export by torch's own tools, clean, try, rebuild."""
    torch.manual_seed(0)
    live = case.make().eval()
    for parameter in live.parameters():
        parameter.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        saved = torch.export.export(
            live, case.positional, dict(case.named), dynamic_shapes=case.free
        )
        torch.export.save(saved, path)
    target = path.with_suffix(".clean.pt2")
    found = tried(clean(path, target), target)
    taken = ExportedModule(
        program(target),
        found["filled"],
        found["widths"],
        found["batch"],
        found["output"],
        found["freed"],
    ).eval()
    given = case.positional or (case.named["input_ids"],)
    if found["widths"]:
        given = (torch.cat(given, dim=1),)
    return Pair(live, taken, found, given)


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_layers(name: str, pairs: Any) -> None:
    pair = pairs(name)
    with torch.no_grad():
        assert torch.equal(pair.taken(*pair.given), pair.answer(*pair.given))
        more = [torch.cat([each, each.flip(0), each[:1]]) for each in pair.given]
        torch.testing.assert_close(pair.taken(*more), pair.answer(*more))
        one = [each[:1] for each in pair.given]
        torch.testing.assert_close(pair.taken(*one), pair.answer(*one))
    kinds = {path: type(part).__name__ for path, part in pair.taken.named_modules() if path}
    live = {path: type(part).__name__ for path, part in pair.live.named_modules() if path}
    functions = {path for path in live if live[path] == "Dropout"}  # of attention, called as one
    assert {k: v for k, v in kinds.items() if k not in functions} == {
        k: v for k, v in live.items() if k not in functions
    }
    assert pair.found["steady"]
    assert pair.found["batch"] == 0
    assert not pair.found["training"]
    weights = dict(pair.live.named_parameters())
    for path, tensor in pair.taken.named_parameters():
        assert torch.equal(tensor, weights[path])


@pytest.mark.parametrize("name", [name for name in CASES if "fixed" in name or "two" in name])
def test_reasons(name: str, pairs: Any) -> None:
    """Of the others, and of their attention: ``tests/test_ways_in.py``."""
    pair = pairs(name)
    (given,) = pair.given
    target = 1
    if given.is_floating_point():
        ours = IntegratedGradients(pair.taken).attribute(given, target=target, n_steps=8)
        theirs = IntegratedGradients(pair.answer).attribute(given, target=target, n_steps=8)
    else:
        settings = {"baselines": torch.zeros_like(given), "target": target, "n_steps": 8}
        part = embedding_of(pair.taken)
        live = dict(pair.live.named_modules())[
            next(path for path, each in pair.taken.named_modules() if each is part)
        ]
        ours = LayerIntegratedGradients(pair.taken, part).attribute(given, **settings)
        theirs = LayerIntegratedGradients(pair.answer, live).attribute(given, **settings)
    assert torch.equal(ours, theirs)
    assert ours.abs().max() > 0


def test_pooling_keeps_its_settings(tmp_path: Path) -> None:
    """What is at the edges is counted as the author said."""
    pools = {
        "inside": nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "up": nn.AvgPool2d(2, 2, ceil_mode=True),
        "by": nn.AvgPool2d(2, divisor_override=3),
        "largest": nn.MaxPool2d(2, 2, ceil_mode=True),
    }
    case = Case(lambda: nn.Sequential(*pools.values(), nn.Flatten()), (torch.rand(2, 3, 30, 30),))
    pair = taken_in(case, tmp_path / "pools.pt2")
    with torch.no_grad():
        assert torch.equal(pair.taken(*pair.given), pair.live(*pair.given))
    for number, pool in enumerate(pools.values()):
        assert type(pair.taken.get_submodule(str(number))) is type(pool)


STANDARD = {
    "transposed": (
        nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), nn.ConvTranspose2d(6, 4, 2, bias=False),
    ),
    "instance": (nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True, eps=1e-3)),
    "of training": (nn.InstanceNorm2d(4, track_running_stats=True),),
    "slopes": (nn.PReLU(), nn.PReLU(4, 0.1), nn.SELU(), nn.CELU(0.5)),
    "shuffled": (nn.PixelShuffle(2),),
    "in one dimension": (
        nn.Flatten(2), nn.InstanceNorm1d(4, affine=True), nn.ConvTranspose1d(4, 3, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", STANDARD)
def test_layers_of_torch_are_themselves(what: str, tmp_path: Path) -> None:
    """Rules of methods go by the class: an unknown one is passed through as if it were linear."""
    torch.manual_seed(0)
    network = nn.Sequential(*STANDARD[what])
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.rand_like(weight))
        network(torch.rand(2, 4, 6, 6))
    pair = taken_in(Case(lambda: network, (torch.rand(3, 4, 6, 6),)), tmp_path / "net.pt2")
    for name, layer in network.named_children():
        assert type(pair.taken.get_submodule(name)) is type(layer)
        assert repr(pair.taken.get_submodule(name)) == repr(layer)
    with torch.no_grad():
        assert torch.equal(pair.taken(*pair.given), pair.live(*pair.given))


def test_a_module_used_twice_is_used_twice(pairs: Any) -> None:
    pair = pairs("residual, of a fixed batch")
    calls = []
    handle = pair.taken.relu.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        pair.taken(*pair.given)
    handle.remove()
    assert len(calls) == 2
    assert pair.taken.relu.inplace


def test_it_can_be_traced_for_methods_that_hook(pairs: Any) -> None:
    """As DeepLIFT needs it, which wants a module for each use of an activation."""
    for name in ("cnn", "residual, of a fixed batch", "two inputs"):
        pair = pairs(name)
        with torch.no_grad():
            traced = torch.fx.symbolic_trace(pair.taken)
            assert torch.equal(traced(*pair.given), pair.taken(*pair.given))


def test_a_twin_answers_the_same(pairs: Any) -> None:
    for name in ("cnn", "bert"):
        pair = pairs(name)
        with torch.no_grad():
            double = twin(pair.taken)
            assert torch.equal(double(*pair.given), pair.taken(*pair.given))
        assert next(double.parameters()).data_ptr() == next(pair.taken.parameters()).data_ptr()


def test_how_long_a_text_may_be(pairs: Any) -> None:
    assert pairs("gpt").found["lengths"] == [1, 16]  # nothing in the file says so: it was tried
    assert pairs("bert").found["lengths"] == [1, 16]
    pair = pairs("lstm")  # torch fixes its length to that of the example: it was 7
    assert pair.found["inputs"][0]["most"][1] == 7
    assert pair.found["lengths"] == [1, None]
    longer = torch.cat([*pair.given, *pair.given], dim=1)
    with torch.no_grad():
        assert torch.equal(pair.taken(longer), pair.answer(longer))


def test_a_language_model_writes(pairs: Any) -> None:
    pair = pairs("gpt")
    (start,) = pair.given
    written = pair.taken.produce(start[:1], 3)
    with torch.no_grad():
        ids = start[:1]
        for _ in range(3):
            ids = torch.cat([ids, pair.answer(ids)[:, -1:].argmax(-1)], 1)
    assert written.tolist() == ids[:, start.shape[1] :].tolist()


def test_recurrent_operators_look_at_their_shapes() -> None:
    """Below ``nn.LSTM`` nothing does: for a state of fewer examples torch reads beyond it."""
    torch.manual_seed(0)
    layer = nn.LSTM(8, 6, batch_first=True)
    given, weights = torch.rand(3, 5, 8), [*layer.parameters()]
    settings = (True, 1, 0.0, False, False, True)
    fine = [torch.zeros(1, 3, 6)] * 2
    with torch.no_grad():
        assert torch.equal(CHECKED["lstm"](given, fine, weights, *settings)[0], layer(given)[0])
        for state, tensors in (
            ([torch.zeros(1, 2, 6)] * 2, weights),
            (fine[:1], weights),
            ([torch.zeros(1, 3, 5)] * 2, weights),
            (fine, weights[:3]),
            (fine, [weights[0][:20], *weights[1:]]),
            (fine, [*weights[:3], torch.zeros(3)]),
        ):
            with pytest.raises(ValueError, match="recurrent layer"):
                CHECKED["lstm"](given, state, tensors, *settings)


def test_normalisations_look_at_their_shapes() -> None:
    """Below the layers nothing does: torch reads beyond statistics of fewer channels."""
    given, one = torch.rand(2, 3, 4), torch.ones(3)
    norm = CHECKED["_native_batch_norm_legit_no_training"]
    answer = norm(given, one, None, one * 0, one, 0.1, 0.0)[0]
    assert torch.allclose(answer, given)
    for wrong in range(4):
        about: list[Any] = [one, one, one, one]
        about[wrong] = torch.ones(1)
        with pytest.raises(ValueError, match="channels"):
            norm(given, *about, 0.1, 1e-5)
    weight = torch.rand(4, 3)
    lengths = weight.norm(dim=1, keepdim=True)
    scaled = CHECKED["_weight_norm_interface"]
    assert torch.allclose(scaled(weight, lengths)[0], weight)
    for length, dim in ((torch.ones(1, 1), 0), (lengths, 1), (lengths, 7), (lengths.double(), 0)):
        with pytest.raises(ValueError, match="weight normalisation"):
            scaled(weight, length, dim)
    apart = weight[:1].expand(4, 3)  # rows that lie on one another, which the kernel ran beyond
    assert torch.equal(scaled(apart, lengths)[0], scaled(apart.clone(), lengths)[0])
    with pytest.raises(ValueError, match="axis"):
        CHECKED["_safe_softmax"](torch.ones(2, 2, dtype=torch.int64), -(2**31), None)


def test_weights_of_a_length_each_look_at_them() -> None:
    """Below ``weight_norm`` nothing does: torch writes beyond lengths that are too few."""
    torch.manual_seed(0)
    weight, scaled = torch.rand(4, 3, 2), CHECKED["_weight_norm"]
    for dim in range(3):
        others = [axis for axis in range(3) if axis != dim]
        lengths = weight.square().sum(others, keepdim=True).sqrt()
        assert torch.allclose(scaled(weight, lengths, dim), weight)
        with pytest.raises(ValueError, match="lengths"):
            scaled(weight, lengths.flatten()[:1], dim)
    assert torch.allclose(scaled(weight, weight.norm(), -1), weight)
    for length, dim in ((torch.ones(4), -1), (torch.ones(4, 1, 1), -3), (torch.ones(4, 1, 1), 9)):
        with pytest.raises(ValueError, match="weight normalisation"):
            scaled(weight, length, dim)


class Frozen(nn.Module):
    """A recurrent layer under a setting of its own, which is a graph within the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)
        self.head = nn.Linear(3, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits ``[example, class]``."""
        with torch.no_grad():
            hidden, _ = self.lstm(rows)
            hidden = hidden * 1.0
        return self.head(hidden[:, -1])


def test_graphs_within_the_graph_call_what_is_checked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    live, rows = Frozen().eval(), torch.rand(2, 5, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own layers
        torch.export.save(torch.export.export(live, (rows,)), tmp_path / "model.pt2")
    clean(tmp_path / "model.pt2", tmp_path / "clean.pt2")
    taken = ExportedModule(program(tmp_path / "clean.pt2"), {}).eval()
    inner = [part for part in taken.modules() if isinstance(part, torch.fx.GraphModule)]
    assert inner
    assert not any("torch.ops.aten.lstm" in str(part.code) for part in inner)
    assert torch.equal(taken(rows), live(rows))
