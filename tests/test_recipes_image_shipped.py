"""The shipped sample runs of the recipes on images: what their cards say is so."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.errors import BadInput
from core.models.catalogue import resolve
from core.provenance import sha256_of_file
from core.training.events import EventLog
from core.training.recipe import recipe
from core.training.run import Run
from sample_models import data, pretraining_study
from sample_models.shipping import RUNS

MIB = 2**20
PRETRAINED = ("masked_pretraining", "denoising_pretraining")
SWEPT = ("digits_regularised", "hierarchical")


def card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RUNS / name / "card.json").read_text(encoding="utf-8"))
    return found


def network(name: str) -> nn.Module:
    about = card(name)
    weights = RUNS / name / "model.safetensors"
    assert about["weights_sha256"] == sha256_of_file(weights)
    module: nn.Module = resolve(about["factory"])(**about["arguments"])
    module.load_state_dict(load_file(weights), strict=True)
    assert about["parameters"] == sum(p.numel() for p in module.parameters())
    return module.eval()


def last(run: Run) -> dict[str, float]:
    log = EventLog(run.folder)
    assert log.reload()
    assert not log.history().notes
    return {tag: float(each.values[-1]) for tag, each in log.history().scalars.items()}


def test_sample_runs_are_small() -> None:
    sizes = [path.stat().st_size for path in RUNS.rglob("*") if path.is_file()]
    assert sum(sizes) < 40 * MIB  # three epochs of the digits, for the time machine, are 5 of them


def test_digits_reach_what_is_promised() -> None:
    run = Run.open(RUNS / "digits_cnn")
    about = card("digits_cnn")
    assert run.status.state == "done"
    assert about["metrics"]["accuracy"] >= 0.986
    assert last(run)["test/accuracy"] == pytest.approx(about["metrics"]["accuracy"])
    assert about["short"]["accuracy"] >= 0.96
    try:
        parts = data.digits(fetch=False)
    except BadInput as error:
        pytest.skip(f"the digits are not at hand: {error}")
    assert about["data"]["sha256"]["test"] == parts.test.fingerprint()
    pixels = torch.from_numpy(parts.test.images).unsqueeze(1).float().div(255)
    prepared = about["preprocessing"]
    with torch.no_grad():
        said = network("digits_cnn")((pixels - prepared["mean"][0]) / prepared["std"][0])
    right = (said.argmax(dim=1).numpy() == parts.test.labels).mean()
    assert float(right) == pytest.approx(about["metrics"]["accuracy"], abs=1e-6)


@pytest.mark.parametrize("name", SWEPT)
def test_card_of_a_sweep_says_what_its_runs_recorded(name: str) -> None:
    rows = card(name)["runs"]
    sweep = recipe(name).sweep
    for row in rows:
        label = "-".join(f"{key}={row[key]}" for key in sweep)
        run = Run.open(RUNS / name / label)
        assert run.status.state == "done"
        assert {key: run.config.settings[key] for key in sweep} == {key: row[key] for key in sweep}
        found = last(run)
        for part in ("train", "val", "test"):
            for metric in ("loss", "accuracy"):
                assert row[f"{part}_{metric}"] == pytest.approx(found[f"{part}/{metric}"], abs=1e-4)


def test_regularisation_shrinks_the_gap() -> None:
    rows = card("digits_regularised")["runs"]
    gap = {(row["dropout"], row["weight_decay"]): row["gap"] for row in rows}
    sweep = recipe("digits_regularised").sweep
    assert set(gap) == {(d, w) for d in sweep["dropout"] for w in sweep["weight_decay"]}
    assert gap[0.0, 0.0] > gap[0.25, 0.0] > gap[0.5, 0.0]
    assert gap[0.0, 0.0] > gap[0.0, 1e-4] > gap[0.0, 1e-3]
    assert gap[0.5, 1e-3] < 0.6 * gap[0.0, 0.0]


def test_hierarchical_network_reaches_what_is_promised_either_way() -> None:
    rows = {row["stagewise"]: row for row in card("hierarchical")["runs"]}
    assert set(rows) == {True, False}
    assert min(row["test_accuracy"] for row in rows.values()) >= 0.88
    stages = EventLog(RUNS / "hierarchical" / "stagewise=True")
    assert stages.reload()
    said = [item.decode() for item in stages.history().texts["stage"].items]
    assert said == [f"stage {number} of 3" for number in (1, 2, 3)]
    assert network("hierarchical/stagewise=False")(torch.rand(2, 3, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", PRETRAINED)
def test_pretraining_is_worth_what_the_card_says(name: str) -> None:
    about = card(name)
    study = about["study"]
    assert study["labels"] == 80, "one in a hundred of 8,000"
    margins = [row["pretrained"] - row["scratch"] for row in study["seeds"]]
    assert len(margins) == 5
    assert study["margin"] == pytest.approx(sum(margins) / 5)
    assert study["margin"] > 0.015
    assert study["better_in"] == sum(margin > 0 for margin in margins) >= 4
    assert study["anomaly_auroc"] > (0.95 if name == "masked_pretraining" else 0.99)
    pictures = torch.rand(2, 1, 28, 28)
    assert network(name)(pictures).shape == pictures.shape


@pytest.mark.parametrize("name", PRETRAINED)
def test_anomalies_are_told_apart_as_the_card_says(name: str) -> None:
    try:
        known, strange = data.digits(fetch=False).test, data.fashion().test
    except BadInput as error:
        pytest.skip(f"the pictures are not at hand: {error}")
    settings = Run.open(RUNS / name).config.settings
    few = strange.take(np.arange(1_000))
    found = pretraining_study.anomaly_auroc(network(name), settings, known, few)
    assert found == pytest.approx(card(name)["study"]["anomaly_auroc"], abs=0.02)
