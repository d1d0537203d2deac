"""From gradients to updates: optimisers, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from core.parameters import Value

# The one-cycle schedule of Smith & Topin 2017, arXiv 1708.07120, with the usual proportions.
_RISE, _START, _END = 0.3, 1 / 25, 1 / 25 / 1e4
_DROP, _DROPS = 0.1, 3
_PLATEAU_PATIENCE, _PLATEAU_FACTOR = 3, 0.5


def optimiser(
    parameters: Iterable[nn.Parameter], settings: Mapping[str, Value]
) -> torch.optim.Optimizer:
    """AdamW (arXiv 1711.05101), Adam (arXiv 1412.6980) or SGD with momentum.

    On the CPU one fused pass over the weights, which makes no temporary tensors; elsewhere torch's
    own choice, which the scaler of float16 gradients can work with.
    """
    moved = list(parameters)
    common: dict[str, Any] = {
        "lr": float(settings["lr"]),
        "weight_decay": float(settings["weight_decay"]),
        "fused": all(each.device.type == "cpu" for each in moved) or None,
    }
    match settings["optimiser"]:
        case "adam":
            return torch.optim.Adam(moved, **common)
        case "sgd":
            return torch.optim.SGD(moved, momentum=float(settings["momentum"]), **common)
        case _:
            return torch.optim.AdamW(moved, **common)


@dataclass
class LearningRate:
    """The learning rate of every update.

    A function of the step alone, except for ``plateau``, whose small memory (``state``) goes into
    the checkpoint.
    """

    settings: Mapping[str, Value]
    steps: int
    factor: float = 1.0
    lowest: float = math.inf
    stale: int = 0

    def at(self, step: int) -> float:
        """The rate of the update after ``step`` others."""
        warmup = int(self.settings["warmup"])
        rate = float(self.settings["lr"]) * self._schedule(step)
        return rate * min(1.0, (step + 1) / warmup) if warmup else rate

    def learned(self, loss: float) -> None:
        """Told the validation loss after each epoch: ``plateau`` halves the rate after three epochs
        without a lower one.
        """
        if loss < self.lowest:
            self.lowest, self.stale = loss, 0
        else:
            self.stale += 1
        if self.settings["schedule"] == "plateau" and self.stale > _PLATEAU_PATIENCE:
            self.factor, self.stale = self.factor * _PLATEAU_FACTOR, 0

    @property
    def state(self) -> dict[str, float]:
        """What ``restore`` takes."""
        lowest = self.lowest if math.isfinite(self.lowest) else -1.0
        return {"factor": self.factor, "lowest": lowest, "stale": self.stale}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on where ``state`` was taken."""
        self.factor, self.stale = float(state["factor"]), int(state["stale"])
        self.lowest = float(state["lowest"]) if state["lowest"] >= 0 else math.inf

    def _schedule(self, step: int) -> float:
        done = min(step / max(self.steps - 1, 1), 1.0)
        match self.settings["schedule"]:
            case "cosine":
                return _between(1.0, 0.0, done)
            case "one_cycle" if done < _RISE:
                return _between(_START, 1.0, done / _RISE)
            case "one_cycle":
                return _between(1.0, _END, (done - _RISE) / (1 - _RISE))
            case "step":
                return _DROP ** min(int(done * _DROPS), _DROPS - 1)
            case "plateau":
                return self.factor
            case _:
                return 1.0


def _between(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
