"""Weights that do not belong, are damaged or not finite are refused with their names."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import BadModel, UnknownName
from core.models.catalogue import card, reference, weights_file
from core.models.loader import build, load, read_weights
from core.models.reference import ModelRef


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return load_file(weights_file(card("digits_cnn")))


def test_loaded_model_is_ready() -> None:
    model = load(reference("digits_cnn"), "cpu")
    assert model.card.classes == tuple("0123456789")
    with model.exclusive() as module:
        assert module(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_unknown_model_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="digits_cnn"):
        reference("digit_cnn")


def test_changed_weights_are_noticed() -> None:
    with pytest.raises(BadModel, match="changed on disk"):
        load(ModelRef("digits_cnn", "0" * 64))


def test_faults_are_named(weights: dict[str, torch.Tensor]) -> None:
    name = next(iter(weights))
    for fault, words in (
        ({k: v for k, v in weights.items() if k != name}, f"missing {name}"),
        (weights | {"extra": torch.zeros(1)}, "unexpected extra"),
        (weights | {name: torch.zeros(2, 2)}, r"shape \(2, 2\), expected"),
        (weights | {name: torch.full_like(weights[name], float("nan"))}, "NaN"),
    ):
        with pytest.raises(BadModel, match=words):
            build(card("digits_cnn"), fault)


def test_damaged_files_are_refused(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file(weights, whole)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:1000])
    empty = tmp_path / "empty.pth"
    empty.write_bytes(b"")
    for path in (cut, empty):
        with pytest.raises(BadModel, match=path.name):
            read_weights(path)


def test_a_pickle_that_runs_code_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (ran,))

    path = tmp_path / "bad.pth"
    torch.save({"weight": Payload()}, path)
    with pytest.raises(BadModel, match=r"bad\.pth"):
        read_weights(path)
    assert not ran.exists()
