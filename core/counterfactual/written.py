"""Moved inputs as rows of a table again, with no more digits than needed."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from core.counterfactual.room import Room
from core.data.table import MISSING, numbers
from core.tasks import Example

_FINE = 1e-3  # of a standard deviation: numbers are not written finer without need
_NUDGE = 1e-6


class Writer:
    """Writes moved inputs as values by column; ``row`` is the one in hand."""

    def __init__(self, room: Room, row: Example) -> None:
        self._room = room
        self._row: dict[str, Any] = json.loads(row.data)
        self._keys = {str(key).strip().lower(): key for key in reversed(list(self._row))}
        columns = room.columns
        self._raw = {
            each.name: numbers(room.frame[each.name]) for each in columns if not each.categories
        }

    def rows(self, moved: Tensor) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """For each row of inputs the values of the changed columns: rounded away from where they
        were, and as exact as they are.
        """
        changed = (self._room.costs(moved) > 0).cpu().numpy()
        inputs = moved.cpu().numpy().astype(np.float64)
        return [
            (self._values(row, mask, True), self._values(row, mask, False))
            for row, mask in zip(inputs, changed, strict=True)
        ]

    def example(self, values: dict[str, Any]) -> Example:
        """The row in hand with other values."""
        row = dict(self._row)
        for name, value in values.items():
            row[self._keys[name.strip().lower()]] = value
        return Example("changed", json.dumps(row).encode())

    def was(self, name: str) -> Any:
        """What the row in hand has in a column, a number as one."""
        number = float(self._raw[name][0]) if name in self._raw else math.nan
        return number if math.isfinite(number) else self._row[self._keys[name.strip().lower()]]

    def _values(
        self, inputs: npt.NDArray[np.float64], changed: npt.NDArray[np.bool_], rounded: bool
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place in np.flatnonzero(changed).tolist():
            each, start = self._room.columns[place], int(self._room.first[place])
            if each.categories:
                name = each.categories[int(inputs[start : start + len(each.categories)].argmax())]
                found[each.name] = None if name == MISSING else name
            else:
                value = inputs[start] * each.std + each.mean
                found[each.name] = self._number(each.name, value, each.std, rounded)
        return found

    def _number(self, name: str, value: float, spread: float, rounded: bool) -> float | int:
        known = self._raw[name][np.isfinite(self._raw[name])]
        whole = bool((known == np.round(known)).all())
        step = 10.0 ** math.floor(math.log10(_FINE * spread))
        if whole:
            step = max(1.0, step)
        here = self._raw[name][0]
        if not np.isfinite(here):  # a missing value becomes one of the data's
            value = float(known[np.abs(known - value).argmin()])
        elif rounded or whole:
            up = value > here
            digits = max(0, round(-math.log10(step)))
            value = round((math.ceil if up else math.floor)(value / step) * step, digits)
        else:
            value += math.copysign(_NUDGE * spread, value - here)
        value = float(np.clip(value, known.min(), known.max()))
        return int(value) if whole else value
