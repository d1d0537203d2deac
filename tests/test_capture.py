"""Captured activations against hooks written by hand, one example at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from core.activations.capture import capture
from core.activations.work import layers_verb
from core.data.dataset import Dataset
from core.errors import BadParameter, NotValid, UnknownName
from core.models.card import ModelCard
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.text import TextAdapter
from core.progress import Meter
from core.results.activations import Capture
from core.tasks import Example, Task
from sample_models.text_rnn import TextRNN
from tests.toy_models import CLASSES, SHAPE, load, toy
from tests.toy_models import example as picture
from tests.toy_sequences import small_lm, small_translator
from tests.toy_texts import CLASSES as OPINIONS
from tests.toy_texts import ROWS, Syllables
from tests.toy_texts import toy as toy_text

Values = npt.NDArray[np.float32]
TEXTS = (
    "A wonderful film.",
    "Far too long.",
    "I slept.",
    "It was good, and then it was not good any more.",
    "Far too much.",
    "The old guard met the new captain at the harbour.",
)


def data(examples: Sequence[Example], labels: Sequence[int] | None = None) -> Dataset:
    return Dataset(
        name="toys",
        ids=[f"toy {row}" for row in range(len(examples))],
        read=lambda row: examples[row],
        fingerprint="1" * 64,
        labels=None if labels is None else np.array(labels, np.int64),
        classes=CLASSES,
    )


def pictures(count: int = 7, scale: float = 1.0) -> Dataset:
    return data(
        [picture(SHAPE, seed, scale) for seed in range(count)], [i % 5 for i in range(count)]
    )


def texts(*outputs: str) -> Dataset:
    return data([Example(text[:9], text.encode(), outputs) for text in TEXTS])


def by_hand(
    model: LoadedModel,
    found: Dataset,
    name: str,
    pick: Callable[[Any], Tensor] = lambda output: output,
    call: int = 0,
) -> list[Values]:
    """The output of a layer, without the dimension of examples, for one example after the other."""
    rows = []
    with model.exclusive() as module, torch.no_grad():
        for row in range(len(found)):
            heard: list[Any] = []
            hook = module.get_submodule(name).register_forward_hook(
                lambda part, args, output, heard=heard: heard.append(pick(output).clone())
            )
            batch = model.adapter.encode([found[row]], model)
            model.adapter.logits(module, batch.features, *batch.context)
            hook.remove()
            rows.append(heard[call][0].numpy())
    return rows


def close(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def full(model: LoadedModel, found: Dataset, folder: Path, *names: str, **options: Any) -> Capture:
    return capture(model, found, folder, names or None, dtype="float32", **options)


@pytest.mark.parametrize("name", ["plain", "apart", "gelu", "branching", "residual"])
def test_every_layer_of_a_convolutional_network(name: str, tmp_path: Path) -> None:
    model, found = toy(name), pictures()
    made = full(model, found, tmp_path / "whole", pool="whole")
    mean, largest = (full(model, found, tmp_path / pool, pool=pool) for pool in ("mean", "max"))
    assert made.complete
    assert made.names == mean.names
    for layer in made.names:
        truth = np.stack(by_hand(model, found, layer.partition("#")[0], call=_call(layer)))
        close(made.layer(layer), truth)
        flat = truth.reshape(len(truth), truth.shape[1], -1)
        close(mean.layer(layer), flat.mean(axis=2))
        close(largest.layer(layer), flat.max(axis=2))


def _call(name: str) -> int:
    return int(name.partition("#")[2] or 1) - 1


def test_a_layer_used_twice_is_two_layers(tmp_path: Path) -> None:
    model, found = toy("reused"), pictures()
    (relu,) = (n for n, p in model._module.named_modules() if isinstance(p, nn.ReLU))
    made = full(model, found, tmp_path, relu, pool="whole")
    assert made.names[:2] == (relu, f"{relu}#2")
    first, second = (by_hand(model, found, relu, call=call) for call in (0, 1))
    close(made.layer(relu), np.stack(first))
    close(made.layer(f"{relu}#2"), np.stack(second))
    only = full(model, found, tmp_path / "second", f"{relu}#2", pool="whole")
    assert only.names == (f"{relu}#2",)


def test_tokens_of_a_vision_transformer(tmp_path: Path) -> None:
    """[example, token, unit] becomes [example, unit, token]; the first token is the class's."""
    model, found = toy("vit"), pictures()
    names = ("blocks.0", "blocks.1.dense1", "blocks.1.gelu")
    whole = full(model, found, tmp_path / "whole", *names, pool="whole")
    for name in names:
        truth = np.stack(by_hand(model, found, name))
        close(whole.layer(name), truth.transpose(0, 2, 1))
        for pool, wanted in (
            ("first", truth[:, 0]),
            ("last", truth[:, -1]),
            ("mean", truth.mean(1)),
        ):
            close(
                full(model, found, tmp_path / f"{name}-{pool}", name, pool=pool).layer(name), wanted
            )
    everything = capture(model, found, tmp_path / "first", pool="first")
    assert (
        "grid" in everything.skipped["patches"]
    )  # nine patches in rows and columns: none is first
    assert "blocks.0.qkv" in everything.names


def test_texts_of_any_length_count_their_own_tokens_only(tmp_path: Path) -> None:
    model, found = toy_text("transformer"), texts()
    for name in ("embedding", "encoder.layers.0", "encoder.layers.1.linear1"):
        truth = by_hand(model, found, name)
        assert len({len(each) for each in truth}) > 2
        for pool, summary in (
            ("mean", lambda each: each.mean(axis=0)),
            ("max", lambda each: each.max(axis=0)),
            ("first", lambda each: each[0]),
            ("last", lambda each: each[-1]),
        ):
            made = full(model, found, tmp_path / f"{name}-{pool}", name, pool=pool)
            close(made.layer(name), np.stack([summary(each) for each in truth]))
        made = full(model, found, tmp_path / f"{name}-whole", name, pool="whole")
        assert made.about(name).ragged
        assert made.layer(name).shape[2] == max(map(len, truth))
        for row, each in enumerate(truth):
            close(made.layer(name)[row, :, : len(each)], each.T)
            assert np.isnan(made.layer(name)[row, :, len(each) :]).all()
        assert made.about(name).nonfinite == 0


def recurrent(cell: str) -> LoadedModel:
    torch.manual_seed(3)
    module = TextRNN(ROWS, 3, cell, width=8, hidden=6).eval()
    return of_texts(module)


def of_texts(module: nn.Module) -> LoadedModel:
    card = ModelCard(
        "toy", "toy", Task.TEXT_CLASSIFICATION, "", "", OPINIONS, None,
        Path(), None, None, None, (), {},
    )  # fmt: skip
    adapter = TextAdapter(OPINIONS, Syllables())
    return LoadedModel(ModelRef("toy", "0" * 64), card, adapter, torch.device("cpu"), module.eval())


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_packed_sequences_of_recurrent_networks(cell: str, tmp_path: Path) -> None:
    model, found = recurrent(cell), texts()

    def padded(output: Any) -> Tensor:
        return nn.utils.rnn.pad_packed_sequence(output[0], batch_first=True)[0]

    truth = by_hand(model, found, "recurrent", padded)
    mean = full(model, found, tmp_path / "mean", "recurrent")
    close(mean.layer("recurrent"), np.stack([each.mean(axis=0) for each in truth]))
    last = full(model, found, tmp_path / "last", "recurrent", pool="last")
    close(last.layer("recurrent"), np.stack([each[-1] for each in truth]))
    whole = full(model, found, tmp_path / "whole", "recurrent", pool="whole")
    for row, each in enumerate(truth):
        close(whole.layer("recurrent")[row, :, : len(each)], each.T)
    states = "recurrent[1][0]" if cell == "lstm" else "recurrent[1]"  # of both directions, at last
    ended = full(model, found, tmp_path / "states", states, pool="whole")
    assert ended.layer(states).shape == (len(found), 6, 2)
    close(ended.layer(states)[:, :, 0], np.stack([each[-1, :6] for each in truth]))
    close(ended.layer(states)[:, :, 1], np.stack([each[0, 6:] for each in truth]))


class Several(nn.Module):
    """Answers with a tensor in a tuple and others in a dictionary, examples not always first."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        return x * 2, {"turned": (x.flatten(1) + 1).T.contiguous(), "none": None, "count": 3}


class Odd(nn.Module):
    """Layers with outputs of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.several = Several()
        self.places = nn.Embedding(4, 3)
        self.windows = nn.Identity()
        self.forgotten = nn.Linear(2, 2)
        self.signs = nn.Identity()
        self.level = nn.Identity()
        self.dense = nn.Linear(27, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.several(x[:, :, :3, :3])[0]
        x = x + self.places(torch.arange(3))
        self.windows(x.reshape(-1, 9))
        self.signs(x > 0)
        self.level(x.mean(dim=(1, 2, 3)))
        out: Tensor = self.dense(x.flatten(1))
        return out


def test_tuples_and_dictionaries(tmp_path: Path) -> None:
    model, found = load(Odd(), SHAPE), pictures()
    made = full(model, found, tmp_path, "several", "several[1][turned]", "level", pool="whole")
    truth = np.stack(by_hand(model, found, "several", lambda output: output[0]))
    close(made.layer("several"), truth)
    close(made.layer("several[1][turned]"), truth.reshape(len(truth), -1) / 2 + 1)
    close(made.layer("level")[:, 0], np.stack(by_hand(model, found, "level")))
    assert capture(model, found, tmp_path / "all").names == ("several", "level", "dense")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("places", "same for all examples"),
        ("windows", "mixes examples"),
        ("forgotten", "not called"),
        ("signs", "not called in a forward, or answers with no floating numbers"),
    ],
)
def test_a_layer_that_cannot_be_captured_says_why(name: str, reason: str, tmp_path: Path) -> None:
    model, found = load(Odd(), SHAPE), pictures()
    with pytest.raises(NotValid, match=f"'{name}'.*{reason}"):
        capture(model, found, tmp_path / "one", [name])
    made = capture(model, found, tmp_path / "all")
    assert reason in made.skipped[name]
    with pytest.raises(UnknownName, match=reason):
        made.layer(name)
    rows = {row["name"]: row for row in layers_verb(model, (), {}, 0, Meter())}
    assert reason in rows[name]["why"]
    assert not rows["several"]["why"]


class TokenByToken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.cell = nn.Embedding(ROWS, 4), nn.LSTMCell(4, 4)
        self.dense = nn.Linear(4, 3)

    def forward(self, ids: Tensor) -> Tensor:
        x, state = self.embedding(ids), None
        for place in range(ids.shape[1]):
            state = self.cell(x[:, place], state)
        assert state is not None
        out: Tensor = self.dense(state[0])
        return out


def test_a_cell_that_is_called_for_every_token_is_refused(tmp_path: Path) -> None:
    model = of_texts(TokenByToken())
    with pytest.raises(NotValid, match="more often for some examples"):
        capture(model, texts(), tmp_path / "one", ["cell"])
    assert capture(model, texts(), tmp_path / "all").names == ("embedding", "dense")


def test_models_that_write(tmp_path: Path) -> None:
    """A translator's encoder and decoder, each over its own tokens; scores are of the whole."""
    model, found = small_translator(), texts()
    found = data([Example(e.name, e.data.lower(), ("abc de.",)) for e in found.examples(range(6))])
    made = full(model, found, tmp_path / "both")
    for name in ("encoder.layers.1.linear1", "decoder.1.dense1"):
        truth = by_hand(model, found, name)
        close(made.layer(name), np.stack([each.mean(axis=0) for each in truth]))
    assert {"embedding", "embedding#2"} <= set(made.names)
    assert made.scores.shape == (6, 1)
    assert made.loss is not None
    close(made.loss, -made.scores[:, 0])
    assert (made.predictions == -1).all()
    whole = full(small_lm(), found, tmp_path / "lm", "qkv", pool="whole")
    assert whole.about("qkv").ragged


def test_names_that_there_are_not(tmp_path: Path) -> None:
    model, found = toy("vit"), pictures()
    with pytest.raises(UnknownName, match=r"Did you mean .*'blocks\.1\.dense1'"):
        capture(model, found, tmp_path / "a", ["blocks.1.dense"])
    with pytest.raises(UnknownName, match="output of a layer 'norm#2'"):
        capture(model, found, tmp_path / "b", ["norm#2"])
    with pytest.raises(BadParameter, match="No layer is named"):
        capture(model, found, tmp_path / "c", [])
    with pytest.raises(BadParameter, match="pool"):
        capture(model, found, tmp_path / "d", pool="median")  # type: ignore[arg-type]


def test_half_precision_is_rounded_once(tmp_path: Path) -> None:
    model, found = toy("residual"), pictures()
    fine = full(model, found, tmp_path / "fine", pool="whole")
    made = capture(model, found, tmp_path / "coarse", pool="whole")
    for name in made.names:
        assert made.layer(name).dtype == np.float16
        np.testing.assert_array_equal(made.layer(name), fine.layer(name).astype(np.float16))


class Strange(nn.Module):
    """NaN for some examples, and numbers beyond half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.rooted, self.large = nn.Identity(), nn.Identity()
        self.dense = nn.Linear(12, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0, 0]
        self.rooted(x.sqrt())
        self.large(x * 1e5)
        out: Tensor = self.dense(x)
        return out


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    model, found = load(Strange(), SHAPE), pictures()
    made = capture(model, found, tmp_path)
    x = np.stack(
        [np.frombuffer(e.data, np.float32).reshape(SHAPE)[0, 0] for e in found.examples(range(7))]
    )
    assert (
        made.about("rooted").nonfinite
        == int((x < 0).sum())
        == int(np.isnan(made.layer("rooted")).sum())
    )
    assert made.about("large").overflowed == int((np.abs(x) * 1e5 > 65504).sum()) > 0
    assert made.about("large").nonfinite == made.about("rooted").overflowed == 0
    fine = full(model, found, tmp_path / "fine")
    assert fine.about("large").overflowed == 0
    assert fine.about("rooted").nonfinite == made.about("rooted").nonfinite


def test_what_the_model_answered(tmp_path: Path) -> None:
    model, found = toy("plain"), pictures()
    made = capture(model, found, tmp_path)
    truth = np.stack(by_hand(model, found, [n for n, _ in model._module.named_modules()][-1]))
    close(made.scores, truth)
    chances = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    close(made.probabilities, chances)
    assert (made.predictions == truth.argmax(axis=1)).all()
    close(made.confidence, chances.max(axis=1))
    assert made.labels is not None
    assert made.loss is not None
    close(made.loss, -np.log(chances[np.arange(7), made.labels]))
    assert made.ids == tuple(f"toy {row}" for row in range(7))
    assert made.classes == CLASSES
    close(made.rows(made.names[0], [5, 1]), made.layer(made.names[0])[[5, 1]].astype(np.float32))


def test_the_module_is_left_as_it_was(tmp_path: Path) -> None:
    model = toy_text("transformer")
    before = {name: value.clone() for name, value in model._module.state_dict().items()}
    capture(model, texts(), tmp_path)
    assert all(not part._forward_hooks for part in model._module.modules())
    assert all(
        torch.equal(value, before[name]) for name, value in model._module.state_dict().items()
    )
