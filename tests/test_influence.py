"""Influence of training examples: in closed form, as Captum computes it, and where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.codec import decode, encode
from core.data.table import Feature
from core.errors import BadInput, BadParameter, Cancelled, NotValid, UnknownName
from core.influence.alike import cosines
from core.influence.compute import influence
from core.influence.origin import origin
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.reference import ModelRef
from core.models.tabular import TabularAdapter
from core.progress import Meter
from core.tasks import Example
from core.training.checkpoint import save
from core.training.config import Config
from core.training.run import Run
from core.training.trainable import Answer, Trainable
from tests.toy_trainables import CLASSES, TOY, Points

COLUMNS = tuple(Feature(f"x{n}") for n in range(6))
LINE = replace(TOY, name="line", make="tests.test_influence:line")
RATES = (0.5, 0.5, 0.5)


class Line(Trainable):
    """``logits = W x + b``: gradients are known."""

    def __init__(self) -> None:
        self.module = nn.Sequential(nn.Linear(6, 3))
        self.splits = {"train": Points("train", 0)}
        self.classes = CLASSES

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        features, labels = batch
        logits = module(features)
        return Answer(F.cross_entropy(logits, labels), len(labels), logits, labels)

    def card(self) -> dict[str, Any]:
        return {}


def line(settings: Mapping[str, Any], data: Path | None, seed: int) -> Line:
    return Line()


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 3))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with three checkpoints."""
    from safetensors.torch import save_file

    monkeypatch.setattr("core.training.recipe.recipes", lambda: {"line": LINE})
    made = Run.create(tmp_path / "line", Config.of("line", {"lr": 0.5, "optimiser": "sgd"}))
    for epoch in range(3):
        weights = network(epoch).state_dict()
        save(
            made,
            step=4 * (epoch + 1),
            epoch=epoch + 1,
            whole_epoch=True,
            weights=weights,
            resume={},
        )
    save_file(network(2).state_dict(), made.folder / "model.safetensors")
    made.update(best_epoch=3, epoch=3)
    made.write("data.json", {"fingerprints": {"train": Points("train", 0).fingerprint()}})
    return made


def model_of(run: Run) -> LoadedModel:
    about = replace(
        card("tabular_mlp"),
        name="line",
        classes=CLASSES,
        folder=run.folder,
        raw={"preprocessing": {"features": [vars(each) for each in COLUMNS]}},
    )
    adapter = TabularAdapter(CLASSES, COLUMNS)
    return LoadedModel(
        ModelRef("line", "0" * 64), about, adapter, torch.device("cpu"), network(2).eval()
    )


def asked(place: int) -> tuple[Example, torch.Tensor]:
    """A training example as a person would give it."""
    values = Points("train", 0).features[place]
    row = {f"x{n}": float(value) for n, value in enumerate(values)}
    return Example("asked", json.dumps(row).encode()), values


def closed(values: torch.Tensor, target: int, bias: float) -> np.ndarray[Any, Any]:
    """sum over checkpoints of rate · (p - y)·(p' - y') · (x·x' + bias)."""
    data = Points("train", 0)
    total = torch.zeros(len(data))
    for seed, rate in enumerate(RATES):
        module = network(seed)
        with torch.no_grad():
            errors = module(data.features).softmax(1) - F.one_hot(data.labels, 3)
            error = module(values[None])[0].softmax(0) - F.one_hot(torch.tensor(target), 3)
        total += rate * (errors @ error) * (data.features @ values + bias)
    return total.numpy()


@pytest.mark.parametrize(("weights", "bias"), [("last", 0.0), ("all", 1.0)])
def test_a_linear_model_in_closed_form(run: Run, weights: str, bias: float) -> None:
    example, values = asked(7)
    model = model_of(run)
    before = {name: each.clone() for name, each in model._module.state_dict().items()}
    found = influence(model, [example], {"target": "bee", "weights": weights}, 0, Meter())
    assert found.target is not None and found.target.label == "bee"
    np.testing.assert_allclose(found.scores, closed(values, 1, bias), rtol=2e-4, atol=1e-5)
    order = np.argsort(-found.scores, kind="stable")
    assert found.most.tolist() == order[:8].tolist()
    assert found.least.tolist() == order[::-1][:8].tolist()
    data = Points("train", 0)
    assert found.labels.tolist() == data.labels.tolist()
    assert found.answers.tolist() == network(2)(data.features).argmax(1).tolist()
    assert found.steps == (4, 8, 12)
    assert found.rates == RATES
    first = json.loads(found.shown[0].data)
    assert first["x3"] == pytest.approx(float(data.features[order[0], 3]), rel=1e-4)
    assert not found.notes
    assert decode(encode(found)).scores.tolist() == found.scores.tolist()
    assert sum(found.by_class()) == pytest.approx(float(found.scores.sum()), rel=1e-4)
    for name, each in model._module.state_dict().items():  # the model in hand is left alone
        assert torch.equal(each, before[name])


def test_a_training_example_moves_itself_most_and_self_influence_says_so(run: Run) -> None:
    data, model = Points("train", 0), model_of(run)
    own = influence(model, [], {"how": "self", "most": 3}, 0, Meter())
    for place in (int(own.most[0]), 5):
        example, values = asked(place)
        label = CLASSES[int(data.labels[place])]
        found = influence(model, [example], {"target": label}, 0, Meter())
        assert found.scores[place] == pytest.approx(float(own.scores[place]), rel=1e-4)
        wanted = closed(values, int(data.labels[place]), 0.0)[place]
        assert own.scores[place] == pytest.approx(wanted, rel=1e-3)
    assert int(own.most[0]) == int(own.scores.argmax())
    example, _ = asked(int(own.most[0]))
    label = CLASSES[int(data.labels[own.most[0]])]
    assert int(influence(model, [example], {"target": label}, 0, Meter()).most[0]) == own.most[0]
    assert own.target is None
    assert len(own.least) == 0
    assert len(own.shown) == 3


def test_it_is_captums_tracin(run: Run) -> None:
    from captum.influence import TracInCPFast

    data = Points("train", 0)
    module = network(2)

    def at(model: nn.Module, seed: int) -> float:
        model.load_state_dict(network(seed).state_dict())
        return RATES[seed]

    batches = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(data.features, data.labels), batch_size=50
    )
    seeds: Any = [0, 1, 2]
    fast = TracInCPFast(module, module[0], batches, seeds, at, nn.CrossEntropyLoss(reduction="sum"))
    example, values = asked(3)
    said = fast.influence((values[None], torch.tensor([2])))[0].detach().numpy()
    found = influence(model_of(run), [example], {"target": "cat"}, 0, Meter())
    np.testing.assert_allclose(found.scores, said, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_traced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    example, _ = asked(0)
    model = model_of(run)
    with pytest.raises(BadInput, match="0 examples, expected one"):
        influence(model, [], {}, 0, Meter())
    with pytest.raises(UnknownName, match="dog"):
        influence(model, [example], {"target": "dog"}, 0, Meter())
    with pytest.raises(BadParameter, match="'how'"):
        influence(model, [example], {"how": "magic"}, 0, Meter())
    with pytest.raises(Cancelled):
        influence(model, [example], {}, 0, Meter(cancelled=lambda: True))
    few = influence(model, [example], {"examples": 10}, 0, Meter())
    assert few.rows.tolist() == list(range(0, 50, 5))
    assert few.notes == ("10 of 50 training examples, evenly spread.",)
    monkeypatch.setattr("core.influence.compute._MOST_NUMBERS", 1000)
    with pytest.raises(NotValid, match="take too long"):
        influence(model, [example], {"weights": "all"}, 0, Meter())
    run.write("data.json", {"fingerprints": {"train": "other"}})
    with pytest.raises(BadInput, match="not on this machine any more"):
        influence(model, [example], {}, 0, Meter())


def test_a_run_without_checkpoints_has_its_last_weights(run: Run) -> None:
    import shutil

    shutil.rmtree(run.checkpoints)
    example, _ = asked(0)
    found = influence(model_of(run), [example], {}, 0, Meter())
    assert "kept no checkpoint" in found.notes[0]
    assert found.rates == (1.0,)


def test_where_a_model_comes_from(run: Run) -> None:
    assert origin(model_of(run).card).steps == (4, 8, 12)
    run.update(best_epoch=2)
    assert origin(model_of(run).card).steps == (4, 8)
    (run.checkpoints / "step-000000004" / "weights.safetensors").write_bytes(b"damaged")
    assert origin(model_of(run).card).steps == (8,)


def test_sample_models_know_their_runs() -> None:
    found = origin(card("tabular_mlp"))
    assert found.whole
    assert found.quick
    assert found.steps[0] == 11
    assert 0.0029 < found.rates[0] <= 0.003
    assert not origin(card("text_rnn")).whole
    with pytest.raises(NotValid, match="is not kept"):
        origin(card("fashion_vit"))
    with pytest.raises(NotValid, match="writes"):
        origin(card("tiny_lm"))


def test_tumours_move_answers_about_tumours() -> None:
    from core.data.dataset import dataset

    held_out = dataset(card("tabular_mlp"))
    model = load(reference("tabular_mlp"), "cpu")
    found = influence(model, [held_out[0]], {}, 0, Meter())
    assert (found.labels[found.most] == 0).all()
    assert (found.labels[found.least] == 1).all()
    assert len(json.loads(found.shown[0].data)) == 30
    # What the adapter makes of a shown example is what was learned from.
    again = influence(model, [found.shown[0]], {"target": "malignant"}, 0, Meter())
    own = influence(model, [], {"how": "self"}, 0, Meter())
    place = int(found.most[0])
    assert again.scores[place] == pytest.approx(float(own.scores[place]), rel=1e-3)


def test_cosines_are_those_of_captum() -> None:
    from captum.influence._core.similarity_influence import cosine_similarity

    generator = np.random.default_rng(0)
    one, others = generator.standard_normal(9), generator.standard_normal((20, 9))
    said = cosine_similarity(torch.from_numpy(one[None]), torch.from_numpy(others))[0].numpy()
    np.testing.assert_allclose(cosines(one, others), said, atol=1e-12)
    assert cosines(np.zeros(9), others).tolist() == [0.0] * 20


def test_alike_are_of_ones_own_kind(tmp_path: Path) -> None:
    from core.activations.capture import capture
    from core.data.dataset import dataset

    data = dataset(card("digits_cnn")).limited(120)
    model = load(reference("digits_cnn"), "cpu")
    folder = capture(model, data, tmp_path / "capture", ["dense1"]).folder
    asked_for = {"how": "similar", "capture": str(folder), "layer": "dense1", "most": 4}
    found = influence(model, [data[5]], asked_for, 0, Meter())
    assert found.data == data.name
    assert 5 not in found.most  # the example itself is left out
    assert found.scores[5] == pytest.approx(1.0, abs=1e-3)
    assert (found.labels[found.most] == found.labels[5]).mean() >= 0.75
    assert found.scores[found.least].max() < found.scores[found.most].min()
    assert "not influence" in found.notes[0]
    with pytest.raises(UnknownName):
        influence(model, [data[5]], asked_for | {"layer": "nowhere"}, 0, Meter())


def test_a_run_that_reads_its_examples_otherwise_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    example, _ = asked(0)
    other = model_of(run)
    wrong: Any = TabularAdapter(CLASSES, tuple(replace(each, mean=5.0) for each in COLUMNS))
    other.adapter = wrong
    with pytest.raises(BadInput, match="read in another way"):
        influence(other, [example], {}, 0, Meter())
