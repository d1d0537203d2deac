"""What was trained is at once a model: by name, by epoch, by folder; and nothing else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import BadInput, BadModel, UnknownName
from core.models.catalogue import card, reference
from core.models.loader import load
from core.training.config import Config
from core.training.loop import train
from core.training.run import Run

SETTINGS = {"epochs": 2, "examples": 60, "batch_size": 30, "threads": 1, "keep_last": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("models")
        patch.setenv("FLUOROSCOPE_WORKSPACE", str(folder))
        train(Run.create(folder / "runs" / "mine", Config.of("digits_cnn", SETTINGS)))
        yield folder


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    shutil.copytree(place / "runs" / "mine", tmp_path / "mine")
    return tmp_path / "mine"


def weights(name: str) -> dict[str, np.ndarray]:
    model = load(reference(name), "cpu")
    with model.exclusive() as module:
        return {key: value.numpy().copy() for key, value in module.state_dict().items()}


def test_by_name_by_folder_and_by_epoch(place: Path) -> None:
    folder = place / "runs" / "mine"
    best = load_file(folder / "model.safetensors")
    for name in ("run:mine", str(folder), f"run:{folder}"):
        found = weights(name)
        assert found.keys() == best.keys()
        for key, value in best.items():
            np.testing.assert_array_equal(found[key], value)
    first, second = weights("run:mine@1"), weights("run:mine@2")
    assert any((first[key] != second[key]).any() for key in first)
    assert reference("run:mine@1").fingerprint != reference("run:mine@2").fingerprint


def test_the_card_is_the_runs(place: Path) -> None:
    found = card("run:mine@2")
    assert found.classes == tuple("0123456789")
    assert "epoch 2" in found.title
    assert found.factory == "sample_models.digits_cnn:build"
    assert found.arguments["dropout"] == 0.5


@pytest.mark.parametrize(
    ("name", "error", "word"),
    [
        ("run:mina", UnknownName, "mine"),
        ("run:mine@9", UnknownName, "1, 2"),
        ("run:../runs/mine", UnknownName, "no run"),
        ("run:", UnknownName, "no run"),
        ("run:mine@", UnknownName, "no run"),
    ],
)
def test_what_is_not_there(place: Path, name: str, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        reference(name)


def test_a_run_without_an_epoch_has_no_model_yet(place: Path) -> None:
    Run.create(place / "runs" / "fresh", Config.of("digits_cnn", SETTINGS))
    with pytest.raises(BadModel, match="no model yet"):
        reference("run:fresh")


@pytest.mark.parametrize("name", ["", "@1"])
def test_damaged_weights_are_refused(copied: Path, name: str) -> None:
    paths = [copied / "model.safetensors", *copied.glob("checkpoints/*/weights.safetensors")]
    for path in paths:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    with pytest.raises(BadModel, match="damaged"):
        reference(f"run:{copied}{name}")


def test_a_folder_cannot_name_what_is_imported(copied: Path) -> None:
    about = json.loads((copied / "card.json").read_text())
    about |= {"factory": "os:getcwd", "weights_factory": "os:getcwd", "weights": "../../x"}
    (copied / "card.json").write_text(json.dumps(about))
    found = card(str(copied))
    assert found.factory == "sample_models.digits_cnn:build"
    assert found.weights_factory is None
    assert found.weights == "model.safetensors"


def test_weights_of_another_network_are_refused(copied: Path) -> None:
    path = copied / "model.safetensors"
    save_file({"other": np.zeros(3, np.float32)}, path)
    about = json.loads((copied / "card.json").read_text())
    from core.provenance import sha256_of_file

    (copied / "card.json").write_text(json.dumps({**about, "weights_sha256": sha256_of_file(path)}))
    with pytest.raises(BadModel, match="do not fit"):
        load(reference(str(copied)), "cpu")


def test_a_model_that_has_no_adapter_says_so() -> None:
    with pytest.raises(BadModel, match="cannot be asked or explained yet"):
        load(reference("run:masked_pretraining"), "cpu")


def test_a_path_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="not a usable run"):
        reference(str(tmp_path))
