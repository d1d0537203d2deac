"""What is counted over an epoch, on the device, and the metrics that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from core.training.trainable import Answer

Measured = tuple[Mapping[str, float], Any]  # metrics of a split, and its confusions or None


class Tally:
    """Loss and confusions of the batches so far; nothing waits for the device before ``metrics``.

    ``confusion`` is int64 ``[true class, predicted class]``, or None where there are no classes.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self.loss = torch.zeros((), device=device)  # float32: there is no float64 on every device
        self.count = 0
        self.confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)

    def add(self, answer: Answer) -> None:
        """Count one batch."""
        self.loss += answer.loss.detach().float() * answer.count
        self.count += answer.count
        if self.classes and answer.logits is not None and answer.labels is not None:
            predicted = answer.logits.detach().argmax(dim=1)
            places = answer.labels * self.classes + predicted
            self.confusion.index_add_(0, places, torch.ones_like(places))  # bincount would wait

    def merge(self, other: Tally, everywhere: Callable[[Any], Any]) -> None:
        """Count what another one counted, in all processes: ``everywhere`` sums a tensor."""
        self.loss += everywhere(other.loss)
        self.count += int(everywhere(torch.tensor(other.count, device=self.loss.device)))
        self.confusion += everywhere(other.confusion)

    @property
    def state(self) -> dict[str, Any]:
        """What ``restore`` takes."""
        return {"loss": self.loss, "count": self.count, "confusion": self.confusion}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        device = self.loss.device
        self.loss = state["loss"].to(device)
        self.count = int(state["count"])
        self.confusion = state["confusion"].to(device)

    def matrix(self) -> npt.NDArray[np.int64] | None:
        """Confusions ``[true class, predicted class]``, or None."""
        if not self.classes or not self.count:
            return None
        found: npt.NDArray[np.int64] = self.confusion.cpu().numpy()
        return found.reshape(self.classes, self.classes)

    def metrics(self, classes: Sequence[str]) -> dict[str, float]:
        """Loss, and for classification accuracy and precision, recall and F1, each as the mean over
        the classes that occur and for each class. Fractions from 0 to 1.
        """
        found = {"loss": float(self.loss) / max(self.count, 1)}
        matrix = self.matrix()
        return found if matrix is None else found | scores(matrix, classes)


def scores(matrix: npt.NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    """Accuracy, precision, recall and F1 from confusions ``[true class, predicted class]``.

    Where nothing was predicted as a class its precision counts as 0; classes that neither occur nor
    are predicted are left out of the means.
    """
    right = np.diag(matrix).astype(np.float64)
    true, said = matrix.sum(axis=1), matrix.sum(axis=0)
    there = (true + said) > 0
    precision = right / np.maximum(said, 1)
    recall = right / np.maximum(true, 1)
    f1 = 2 * right / np.maximum(true + said, 1)
    found = {"accuracy": float(right.sum() / max(matrix.sum(), 1))}
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        found[f"{name}_macro"] = float(values[there].mean()) if there.any() else 0.0
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        found |= {f"{name}/{label}": float(v) for label, v in zip(classes, values, strict=True)}
    return found


def tagged(found: Mapping[str, Measured]) -> dict[str, float]:
    """Metrics of several splits by tag: ``val/accuracy``."""
    return {f"{split}/{tag}": v for split, (each, _) in found.items() for tag, v in each.items()}


def matrices(found: Mapping[str, Measured]) -> dict[str, Any]:
    """Confusions of several splits by tag, where there are any: ``val/confusion``."""
    return {f"{split}/confusion": x for split, (_, x) in found.items() if x is not None}
