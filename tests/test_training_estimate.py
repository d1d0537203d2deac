"""The dry estimate of time and memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from toy_trainables import network, toy

from core.errors import OutOfMemory
from core.training import estimate as estimates
from core.training.config import Config
from core.training.estimate import estimate

__all__ = ["toy"]
pytestmark = pytest.mark.usefixtures("toy")


def needed(**settings: Any) -> int:
    return estimate(Config.of("toy", {"batch_size": 50, **settings}), budget=0.0)[1]


def test_memory_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """What two dense layers of the toy save, counted on paper."""
    monkeypatch.setattr("toy_trainables.network", lambda dropout: nn.Sequential(*plain()))
    monkeypatch.setattr("toy_trainables.Toy.answer", answer)
    weights = 4 * (6 * 8 + 8 + 8 * 3 + 3)
    features, hidden, logits = 4 * 6, 4 * 8, 4 * 3  # per example
    moments = {"sgd": 1, "adamw": 2}
    for optimiser, copies in moments.items():
        steps = 4 * 4 if optimiser == "adamw" else 0  # a counter for each parameter
        expected = (3 + copies) * weights + steps + 50 * (features + hidden + logits)
        assert needed(optimiser=optimiser, chance=True) == expected


def plain() -> list[nn.Module]:
    return [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)]


def answer(self: Any, module: nn.Module, batch: Any) -> Any:
    from core.training.trainable import Answer

    features, labels = batch
    return Answer(module(features).square().mean(), len(labels))


def test_memory_grows_with_the_batch() -> None:
    assert needed(batch_size=50) > needed(batch_size=10) > network().state_dict()["0.weight"].nbytes


def test_time_grows_with_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "_timed", lambda *_: 0.8)  # for 8 examples
    short = estimate(Config.of("toy", {"epochs": 1, "batch_size": 8}))[0]
    long = estimate(Config.of("toy", {"epochs": 11, "batch_size": 8}))[0]
    assert long - short == pytest.approx(10 * (50 + 23) * 0.1, abs=0.2)


def test_a_batch_that_does_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "_free", lambda device: 1000)
    seconds, size = estimate(Config.of("toy", {"largest": 8, "batch_size": 50}))
    assert seconds > 0
    assert size > 1000


def test_memory_too_small_for_a_few_examples() -> None:
    with pytest.raises(OutOfMemory, match="on a few examples"):
        estimate(Config.of("toy", {"largest": 0}))


def test_free_memory_is_a_number() -> None:
    assert estimates._free(torch.device("cpu")) > 1_000_000
