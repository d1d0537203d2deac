"""Networks that classify the rows of a table, as the training loop wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.table import Table, read_table
from core.errors import BadInput
from core.training.trainable import Answer, Trainable
from sample_models.baselines import recorded
from sample_models.table_data import BREAST_CANCER, MOONS, Source, breast_cancer, moons
from sample_models.tabular_mlp import TabularMLP
from sample_models.two_features import TwoFeatures, boundary


class TableClassifier(Trainable):
    """A dense network on a table, with cross-entropy."""

    def __init__(
        self, table: Table, about: Source, settings: Mapping[str, Any], arguments: dict[str, Any]
    ) -> None:
        self.splits = dict(table.splits)
        self.classes = table.classes
        self.skipped = (*table.notes, *table.skipped)
        self.module = self.build(arguments)
        self._table, self._about, self._arguments = table, about, arguments
        self._smoothing = float(settings["label_smoothing"])

    def build(self, arguments: Mapping[str, Any]) -> nn.Module:
        """The network with random weights."""
        return TabularMLP(**arguments)

    def answer(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Answer:
        values, labels = batch
        logits = module(values)
        return Answer(self.loss(module, logits, labels), len(labels), logits, labels)

    def loss(self, module: nn.Module, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        smoothing = self._smoothing if module.training else 0.0
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)

    def card(self) -> dict[str, Any]:
        return {
            "arguments": self._arguments,
            "classes": list(self.classes),
            "preprocessing": self._table.preprocessing(),
            "data": {
                "name": self._about.name,
                "source": self._about.source,
                "licence": self._about.licence,
                "split": {name: len(part) for name, part in self.splits.items()},
                "note": self._about.note,
                "sha256": {name: part.fingerprint() for name, part in self.splits.items()},
            },
            "baseline": recorded("tabular_mlp", self.splits),
        }


class PointClassifier(TableClassifier):
    """Two features, two classes, and the mean squared error of the probability.

    After every epoch the array ``boundary`` is the probability of the second class over the plane,
    ``[row, column]``: see ``sample_models.two_features.boundary``.
    """

    def build(self, arguments: Mapping[str, Any]) -> nn.Module:
        return TwoFeatures(**arguments)

    def loss(self, module: nn.Module, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error between the probability of the second class and 0 or 1."""
        return F.mse_loss(logits.softmax(dim=1)[:, 1], labels.to(logits.dtype))

    def extra_arrays(self, module: nn.Module, epoch: int) -> Mapping[str, npt.ArrayLike]:
        return {"boundary": boundary(module).cpu().numpy()}


def tabular(settings: Mapping[str, Any], data: Path | None, seed: int) -> TableClassifier:
    """A dense network on breast cancer, or on a person's own table."""
    table, about = _given(data, seed) if data else (breast_cancer(), BREAST_CANCER)
    arguments = {
        "inputs": len(table.inputs),
        "classes": len(table.classes),
        "hidden": int(settings["hidden"]),
        "layers": int(settings["layers"]),
        "dropout": float(settings["dropout"]),
    }
    return TableClassifier(table, about, settings, arguments)


def points(settings: Mapping[str, Any], data: Path | None, seed: int) -> PointClassifier:
    """One hidden layer on two half-moons, or on a person's own points.

    Raises ``BadInput`` when the table has not two inputs or not two classes.
    """
    table, about = _given(data, seed) if data else (moons(), MOONS)
    if len(table.inputs) != 2 or len(table.classes) != 2:
        raise BadInput(
            f"The table has {len(table.inputs)} inputs and {len(table.classes)} classes, expected "
            "two of each.",
            "Give a table with two columns of numbers and a label with two values, or train "
            "tabular_mlp.",
        )
    arguments = {"hidden": int(settings["hidden"]), "activation": str(settings["activation"])}
    return PointClassifier(table, about, settings, arguments)


def _given(data: Path, seed: int) -> tuple[Table, Source]:
    about = Source(data.name, "a person's own table", "unknown", "")
    return read_table(data, seed=seed), about
