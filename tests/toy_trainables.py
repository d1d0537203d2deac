"""A recipe that learns in milliseconds, with everything in it that could spoil a resumed run: batch
normalisation, dropout, augmentation, all the generators there are, stages, and a last batch that is
smaller than the others.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.parameters import Parameter
from core.tasks import Task
from core.training.recipe import Recipe
from core.training.trainable import Answer, Trainable

CLASSES = ("ant", "bee", "cat")
SIZES = {"train": 50, "val": 23, "test": 17}
TOY = Recipe(
    name="toy",
    title="Toy",
    summary="Learns next to nothing.",
    teaches="Nothing.",
    reaches="nothing",
    task=Task.TABULAR_CLASSIFICATION,
    data_kind="points",
    make="toy_trainables:make",
    factory="toy_trainables:network",
    parameters=(
        Parameter("largest", "int", 10_000, "Examples that fit into memory.", 0, 10_000),
        Parameter("nan_from", "int", 0, "Update from which a layer gives NaN; 0 never.", 0, 10_000),
        Parameter("chance", "bool", True, "Whether to draw random numbers."),
        Parameter("held_out", "bool", True, "Whether there are val and test."),
        Parameter("data_seed", "int", 0, "Which data.", 0, 10),
    ),
    defaults={"epochs": 3, "batch_size": 14, "lr": 0.01, "keep_last": 2, "threads": 1},
)


class Points:
    """Features ``[example, 6]`` with labels; tells ``watch`` which part is read."""

    watch: Callable[[str], None] | None = None

    def __init__(self, part: str, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed + len(part))
        self.part = part
        self.labels = torch.randint(0, 3, (SIZES[part],), generator=generator)
        noise = torch.randn(SIZES[part], 6, generator=generator)
        self.features = noise + F.one_hot(self.labels, 6) * 2

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        if Points.watch is not None:
            Points.watch(self.part)
        return self.features[torch.as_tensor(index)], self.labels[torch.as_tensor(index)]

    def fingerprint(self) -> str:
        return hashlib.sha256(self.features.numpy().tobytes()).hexdigest()


class Breaking(nn.Module):
    """Passes on what it gets, or NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    def forward(self, values: Tensor) -> Tensor:
        return values * float("nan") if self.broken else values


def network(dropout: float = 0.2) -> nn.Sequential:
    """Two dense layers between what resuming might get wrong."""
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(8, 4),
        nn.Sigmoid(),
        Breaking(),
        nn.Linear(4, 3),
    )


class Toy(Trainable):
    """Classifies points."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.module = network(0.2 if settings["chance"] else 0.0)
        if not settings["chance"]:  # its statistics depend on how many go through together
            self.module[1] = nn.Identity()
        parts = SIZES if settings["held_out"] else ("train",)
        self.splits = {part: Points(part, int(settings["data_seed"])) for part in parts}
        self.classes = CLASSES
        self.updates = 0
        self.largest, self.nan_from = int(settings["largest"]), int(settings["nan_from"])
        self.chance = bool(settings["chance"])

    def augment(self, batch: Any, generator: Generator) -> Any:
        features, labels = batch
        if not self.chance:
            return batch
        drawn = torch.randn(features.shape, generator=generator, device=features.device)
        factor = 1 + 0.01 * random.random() + 0.01 * float(np.random.random())
        return features * factor + 0.1 * drawn, labels

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        features, labels = batch
        if module.training:
            self.updates += 1
            broken: Any = self.module[6]
            broken.broken = 0 < self.nan_from <= self.updates
            if len(labels) > self.largest:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        logits = module(features)
        return Answer(F.cross_entropy(logits, labels), len(labels), logits, labels)

    def card(self) -> dict[str, Any]:
        return {"arguments": {}, "classes": list(CLASSES), "data": {"name": "points"}}

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        frozen = epoch == 2
        for parameter in self.module[0].parameters():
            parameter.requires_grad_(not frozen)
        return "head only" if frozen else "all"

    def extra_arrays(self, module: nn.Module, epoch: int) -> Mapping[str, Any]:
        with torch.no_grad():
            return {"plane": module(torch.eye(6)).numpy()}

    def extra_metrics(
        self, module: nn.Module, split: str, to_device: Callable[[Any], Any]
    ) -> Mapping[str, float]:
        return {"drawn": float(torch.rand(()))}


def make(settings: Mapping[str, Any], data: Path | None, seed: int) -> Toy:
    """The toy with its own points."""
    return Toy(settings)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announces the toy recipe."""
    monkeypatch.setattr("core.training.recipe.recipes", lambda: {"toy": TOY})
