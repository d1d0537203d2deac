"""Smaller models: closed forms, the original to the bit, and what compression does to reasons."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from core.comparison.reasons import alike
from core.compression.apply import apply
from core.compression.compact import Int8Linear, factors, rank_for, rounded
from core.compression.cost import compression_costs
from core.compression.drift import compression_drift
from core.compression.made import compress
from core.compression.methods import METHODS, settled
from core.compression.source import named, names
from core.data.dataset import dataset
from core.errors import BadInput, BadModel, BadParameter, NotValid, UnknownName
from core.models.catalogue import card, reference
from core.models.inspect import observe
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.models.reference import ModelRef
from core.progress import Meter
from core.workspace import workspace
from tests.test_capture_command import run


def made(name: str, folder: Path, *steps: dict[str, Any]) -> LoadedModel:
    model = load(reference(name), "cpu")
    called = compress(model, (), {"steps": list(steps), "out": str(folder)}, 0, Meter())
    return load(reference(called), "cpu")


def answers(model: LoadedModel, count: int = 20) -> Any:
    examples = dataset(card("digits_cnn")).limited(count)
    several = examples.examples(range(count))
    return np.stack([each.logits for each in predict(model, several, {}, 0, Meter())])


def test_an_amount_of_nothing_changes_nothing_to_the_bit(tmp_path: Path) -> None:
    same = made("digits_cnn", tmp_path / "c", {"method": "prune", "amount": 0})
    original = load(reference("digits_cnn"), "cpu")
    np.testing.assert_array_equal(answers(same), answers(original))
    with same.exclusive() as one, original.exclusive() as other:
        for name, tensor in other.state_dict().items():
            assert torch.equal(one.state_dict()[name], tensor)


def test_a_card_in_the_folder_of_a_sealed_worker_says_nothing_of_who_computes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path))
    place = workspace()
    ours, theirs = reference("digits_cnn"), ModelRef("own:net", "f" * 64)
    name, folder = named(place, ours, "x")
    assert (name, folder) == ("compressed:x", tmp_path / "compressed" / "x")
    called, apart = named(place, theirs, "x")
    assert (called, apart) == ("compressed:own/x", tmp_path / "brought" / "compressed" / "x")
    made("digits_cnn", folder, {"method": "bf16"})
    # A forged one, of a model that everybody knows, where a sealed worker may write.
    shutil.copytree(folder, apart)
    assert names() == (name, called)
    assert not reference(name).brought
    assert reference(called).brought
    shutil.rmtree(folder)
    with pytest.raises(UnknownName, match="no compressed model 'x'"):
        reference(name)
    # One that does not lie where it belongs: who wrote it is not known.
    about = json.loads((apart / "card.json").read_bytes())
    monkeypatch.setattr("core.compression.source.card_of", lambda of: replace(known, name=of))
    known = card("digits_cnn")
    shutil.copytree(apart, folder)
    (folder / "card.json").write_text(json.dumps({**about, "of": "own:net"}))
    with pytest.raises(BadModel, match="which somebody brought, and lies among the others"):
        reference(name)


def test_full_rank_is_the_original(tmp_path: Path) -> None:
    full = made("digits_cnn", tmp_path / "c", {"method": "lowrank", "rank": 100_000})
    np.testing.assert_allclose(
        answers(full), answers(load(reference("digits_cnn"), "cpu")), atol=1e-5, rtol=1e-5
    )


def test_a_rank_keeps_the_energy_it_says() -> None:
    left, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    weight = left @ torch.diag(torch.tensor([3.0, 2, 1, 0, 0, 0, 0, 0]).double()) @ right
    assert [rank_for(weight, share) for share in (9 / 14, 0.65, 13 / 14, 1.0)] == [1, 2, 2, 3]
    first, second = factors(weight, 2)
    assert float((weight - second @ first).norm()) == pytest.approx(1.0)  # what was cut off


def test_eight_bits_are_within_half_a_step_and_their_gradient_is_that_of_the_weights() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(12, 5)
    integers, scale = rounded(layer.weight)
    assert int(integers.abs().amax()) == 127
    error = (integers * scale[:, None] - layer.weight).abs()
    assert bool((error <= scale[:, None] / 2 + 1e-7).all())
    values = torch.randn(3, 12, requires_grad=True)
    small = Int8Linear(layer, dynamic=True)
    (gradient,) = torch.autograd.grad(small(values).sum(), values)
    torch.testing.assert_close(gradient[0], small.weight.sum(dim=0))
    step = values.detach().abs().amax(dim=1, keepdim=True) / 127
    by_hand = torch.round(values / step) * step @ small.weight.T + layer.bias
    torch.testing.assert_close(small(values), by_hand, atol=1e-5, rtol=1e-5)
    loud = torch.cat([values, 1000 * values])  # what else is in the batch changes nothing
    torch.testing.assert_close(small(loud)[:3], by_hand, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_pruning_takes_the_smallest_weights(scope: str, tmp_path: Path) -> None:
    pruned = made("digits_cnn", tmp_path / "c", {"method": "prune", "amount": 0.8, "scope": scope})
    original = load(reference("digits_cnn"), "cpu")
    with pruned.exclusive() as one, original.exclusive() as other:
        pairs = [
            (one.get_parameter(name), weight)
            for name, weight in other.named_parameters()
            if weight.dim() > 1
        ]
        total = sum(weight.numel() for _, weight in pairs)
        zeros = [int((kept == 0).sum()) for kept, _ in pairs]
        assert sum(zeros) == pytest.approx(0.8 * total, abs=len(pairs))
        for (kept, weight), count in zip(pairs, zeros, strict=True):
            expected = np.sort(weight.abs().flatten().numpy())[:count]
            np.testing.assert_array_equal(np.sort(weight[kept == 0].abs().numpy()), expected)
            assert torch.equal(kept[kept != 0], weight[kept != 0])
            if scope == "layer":
                assert count == pytest.approx(0.8 * weight.numel(), abs=1)


@pytest.mark.parametrize("name", [each.name for each in METHODS])
@pytest.mark.parametrize("model", ["digits_cnn", "sentiment", "text_rnn"])
def test_every_method_makes_a_model_like_any_other(model: str, name: str, tmp_path: Path) -> None:
    settings = {
        "lowrank": {"rank": 100_000},
        "prune": {"amount": 0.1},
        "channels": {"amount": 0.02},
    }
    settings["heads"] = {"amount": 0.13, "scope": "global"}
    without = {("heads", "digits_cnn"), ("heads", "text_rnn"), ("channels", "text_rnn")}
    if (name, model) in without:
        with pytest.raises(NotValid, match=r"no heads|No channel"):
            made(model, tmp_path / "c", {"method": name})
        return
    small = made(model, tmp_path / "c", {"method": name, **settings.get(name, {})})
    data = dataset(card(model), limit=3)
    assert dataset(small.card, limit=3).fingerprint == data.fingerprint
    original = load(reference(model), "cpu")
    examples = data.examples(range(3))
    before = predict(original, examples, {}, 0, Meter())
    after = predict(small, examples, {}, 0, Meter())
    for one, other in zip(before, after, strict=True):
        assert np.abs(one.logits - other.logits).max() < 0.4
    batch = small.adapter.encode([examples[0]], small)
    with small.exclusive() as module:
        assert observe(module, small.adapter, batch).differentiable
    assert small.card.raw["compression"]["steps"][0]["method"] == name


def test_what_it_costs_and_saves(tmp_path: Path) -> None:
    small = made("digits_cnn", tmp_path / "c", {"method": "prune", "amount": 0.5},
                 {"method": "bf16"})  # fmt: skip
    found = compression_costs(small, (), {}, 0, Meter())
    assert found.small.bytes == pytest.approx(found.original.bytes / 2, rel=0.01)
    assert found.small.parameters == found.original.parameters == 421_642
    assert found.small.nonzero == pytest.approx(0.5 * 421_642, rel=0.01)
    # 28² · 9 · 32, then 14² · 9 · 32 · 64, and the two dense layers
    expected = 28**2 * 9 * 32 + 14**2 * 9 * 32 * 64 + 7**2 * 64 * 128 + 128 * 10
    assert found.original.multiply_adds == found.small.multiply_adds == expected
    assert found.small.p95 >= found.small.median > 0
    assert found.speedup > 0
    assert found.original.batch == found.small.batch
    assert found.original.batched.shape == found.small.batched.shape  # in turns
    middle = np.median(found.small.batched)
    assert found.small.throughput == pytest.approx(found.small.batch / middle)


def test_nothing_lost_is_no_drift(tmp_path: Path) -> None:
    same = made("digits_cnn", tmp_path / "c", {"method": "prune", "amount": 0})
    found = compression_drift(same, (), {"limit": 60, "reasons": 10}, 0, Meter())
    assert found.agreement == 1
    assert not len(found.changed)
    np.testing.assert_allclose(found.spearman, 1)
    np.testing.assert_array_equal(found.overlap, 1)
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)
    assert found.accuracy[0] == found.accuracy[1]


def test_pruning_changes_reasons_before_answers(tmp_path: Path) -> None:
    pruned = made("digits_cnn", tmp_path / "c", {"method": "prune", "amount": 0.8})
    found = compression_drift(pruned, (), {"limit": 100, "reasons": 20}, 0, Meter())
    assert found.agreement > 0.95
    assert np.median(found.spearman) < 0.9
    assert (np.diff(found.spearman) >= 0).all()
    assert found.examples == 100
    assert np.nanmean(found.f1[:, 0]) > 0.95


def test_nothing_is_lost_where_no_gradient_is_left(tmp_path: Path) -> None:
    empty = made("two_features", tmp_path / "c", {"method": "prune", "amount": 0.95})
    found = compression_drift(empty, (), {"limit": 60}, 0, Meter())
    assert found.accuracy[1] < found.accuracy[0]
    assert len(found.changed) == round(60 * (1 - found.agreement)) > 0
    assert not len(found.spearman)
    assert "No gradient" in found.note


def test_alike_is_scipys() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 50)).round(1)
    rho, overlap = alike(one, other)
    assert rho == pytest.approx(spearmanr(one, other).statistic)
    top = [set(np.argsort(-np.abs(each), kind="stable")[:5]) for each in (one, other)]
    assert overlap == len(top[0] & top[1]) / 5
    assert alike(one, -one)[0] == pytest.approx(-1)
    assert alike(np.zeros(4), np.zeros(4)) == (1.0, 1.0)


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    model = load(reference("digits_cnn"), "cpu")
    with pytest.raises(UnknownName, match="Did you mean 'prune'"):
        settled([{"method": "prun"}])
    with pytest.raises(BadParameter, match="amount"):
        settled([{"method": "prune", "amount": 7}])
    with pytest.raises(BadParameter, match="No compression"):
        settled([])
    with pytest.raises(NotValid, match="No layer gets smaller"):
        made("digits_cnn", tmp_path / "c", {"method": "lowrank", "energy": 1.0})
    with pytest.raises(NotValid, match="no dense layer"):
        apply(nn.ReLU(), {"method": "int8"})
    with pytest.raises(BadInput, match="not a compressed model"):
        compression_costs(model, (), {}, 0, Meter())
    with pytest.raises(UnknownName, match="nobody"):
        card("compressed:nobody")
    small = made("digits_cnn", tmp_path / "c", {"method": "int8"})
    with pytest.raises(BadParameter, match="compressed already"):
        compress(small, (), {"steps": [{"method": "bf16"}], "out": str(tmp_path / "d")}, 0, Meter())
    with pytest.raises(NotValid, match="writes"):
        compression_drift(made("tiny_lm", tmp_path / "e", {"method": "bf16"}), (), {}, 0, Meter())
    about = json.loads((tmp_path / "c" / "card.json").read_text())
    (tmp_path / "c" / "card.json").write_text(json.dumps({**about, "fingerprint": "0" * 64}))
    with pytest.raises(BadModel, match="other weights"):
        compression_costs(load(reference(small.ref.name)), (), {}, 0, Meter())
    (tmp_path / "c" / "card.json").write_text("[]")
    with pytest.raises(BadModel, match="cannot be read"):
        card(small.ref.name)


def test_a_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = load(reference("digits_cnn"), "cpu")
    with model.exclusive() as module:
        before = copy.deepcopy(module.state_dict())
    compress(model, (), {"steps": [{"method": "prune"}, {"method": "int8"}],
                         "out": str(tmp_path / "c")}, 0, Meter())  # fmt: skip
    with model.exclusive() as module:
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, before[name])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(
        capsys, "compress", "digits_cnn", "--method", "prune", "--set", "amount=0.8", "--limit",
        80, "--out", "thin", "--json", "--workspace", tmp_path,
    )  # fmt: skip
    assert status == 0
    rows = {row["what"]: row for row in json.loads(output)["rows"]}
    assert rows["not zero"]["compressed"] < 0.21 * rows["not zero"]["original"]
    assert {"bytes on disk", "latency, ms", "accuracy", "reasons, rank correlation"} <= set(rows)
    status, output, _ = run(
        capsys, "evaluate", "compressed:thin", "--limit", 40, "--workspace", tmp_path
    )
    assert status == 0
    status, _, error = run(
        capsys, "compress", "digits_cnn", "--method", "int8", "--set", "amount=1",
        "--workspace", tmp_path,
    )  # fmt: skip
    assert status == 2
    assert "no setting of int8" in error
