"""What the points of a map can be coloured by: classes, answers, losses, columns, a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.results.activations import Capture

_MOST_VALUES = 40  # different texts in a column that still make a legend
UNIT = "unit:"
COLUMN = "column:"
GROUP = "group"  # of clusters: made of a map, not of a capture, thus none of ``choices``


@dataclass(frozen=True)
class Tint:
    """Colours of points: ``values`` are positions in ``names`` (int64 ``[example]``, -1 for none)
    or, where there are no names, magnitudes (float32 ``[example]``, NaN for none).
    """

    key: str
    title: str
    values: npt.NDArray[Any]
    names: tuple[str, ...] = ()

    @property
    def categorical(self) -> bool:
        """Whether colours stand for names, not for magnitudes."""
        return bool(self.names)


def choices(capture: Capture, unit: int) -> dict[str, str]:
    """The keys of what there is to colour by, with titles, the most telling first."""
    found = {}
    labelled = capture.labels is not None and bool(capture.classes)
    if labelled:
        found["label"] = "True class"
    if capture.classes:
        found["prediction"] = "Prediction"
    if labelled:
        found["right"] = "Right or wrong"
    if capture.classes:
        found["confidence"] = "Confidence"
    if capture.loss is not None:
        found["loss"] = "Loss"
    found |= {f"{COLUMN}{name}": name.capitalize() for name in _columns(capture)}
    if unit >= 0:
        found[f"{UNIT}{unit}"] = f"Activation of unit {unit}"
    return found


def tint(capture: Capture, layer: str, key: str) -> Tint:
    """What ``key`` says of every example, for a key of ``choices``."""
    title = choices(capture, int(key.removeprefix(UNIT)) if key.startswith(UNIT) else -1)[key]
    if key == "label" and capture.labels is not None:
        return Tint(key, title, capture.labels, capture.classes)
    if key == "prediction":
        return Tint(key, title, capture.predictions, capture.classes)
    if key == "right" and capture.labels is not None:
        right = np.where(capture.labels < 0, -1, capture.predictions != capture.labels)
        return Tint(key, title, right.astype(np.int64), ("right", "wrong"))
    if key == "confidence":
        return Tint(key, title, capture.confidence)
    if key == "loss" and capture.loss is not None:
        return Tint(key, title, capture.loss)
    if key.startswith(UNIT):
        return Tint(key, title, unit_activation(capture, layer, int(key.removeprefix(UNIT))))
    values = capture.columns[key.removeprefix(COLUMN)]
    if np.issubdtype(values.dtype, np.number):
        return Tint(key, title, values.astype(np.float32))
    names, places = np.unique(values.astype(str), return_inverse=True)
    return Tint(key, title, places.astype(np.int64), tuple(names.tolist()))


def unit_activation(capture: Capture, layer: str, unit: int) -> npt.NDArray[np.float32]:
    """The mean activation of one unit over its positions, float32 ``[example]``."""
    values = np.asarray(capture.layer(layer)[:, unit], np.float32)
    return values if values.ndim == 1 else np.nanmean(values, axis=tuple(range(1, values.ndim)))


def _columns(capture: Capture) -> Sequence[str]:
    found = []
    for name, values in capture.columns.items():
        numbers = np.issubdtype(values.dtype, np.number)
        if numbers or 1 < len(np.unique(values.astype(str))) <= _MOST_VALUES:
            found.append(name)
    return found
