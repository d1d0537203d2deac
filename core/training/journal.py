"""What a run writes down as it goes: numbers of every update in blocks, and those of an epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from core.training.eventfile import EventWriter
from core.training.watch import Norms, distributions

_BLOCK = 500  # updates at most between two looks at what is on the device
_SHOW_SECONDS = 1.0


class Update(NamedTuple):
    """One update: ``step`` counts from 1, ``seconds`` is how long it took, with its data."""

    step: int
    loss: float
    rate: float
    examples: int
    seconds: float
    at: float


class Journal:
    """Writes the event files of one process' work on a run."""

    def __init__(self, folder: Path, norms: Norms, first_step: int) -> None:
        self._norms = norms
        self._events = EventWriter(folder, first_step)
        self._pending: list[Update] = []
        self._shown = self._last = time.perf_counter()

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        late = time.perf_counter() - self._shown > _SHOW_SECONDS
        return late or len(self._pending) >= _BLOCK

    def skip(self) -> None:
        """Time from the last update until now was not spent on the next one."""
        self._last = time.perf_counter()

    def add(self, step: int, loss: float, rate: float, examples: int) -> None:
        """Remember an update; the device is not waited for."""
        now = time.perf_counter()
        self._pending.append(Update(step, loss, rate, examples, now - self._last, time.time()))
        self._last = now

    def write(self) -> None:
        """Write what is pending, for readers to see."""
        self._shown = time.perf_counter()
        rows, layers = self._norms.rows(), self._norms.layers
        tags = [f"step/gradient_norm/{name}" for name in layers]
        tags += [f"step/update_ratio/{name}" for name in layers]
        pending, self._pending = self._pending, []
        for update, row in zip(pending, rows, strict=True):
            values = {
                "step/loss": update.loss,
                "step/learning_rate": update.rate,
                "step/examples_per_second": update.examples / max(update.seconds, 1e-9),
                "step/gradient_norm": float(np.linalg.norm(row[: len(layers)])),
                **dict(zip(tags, row.tolist(), strict=True)),
            }
            self._events.scalars(update.step, values, update.at)
        self._events.flush(durable=False)

    def diverged(self, step: int, loss: float) -> None:
        """The loss of an update that was not made."""
        self._events.scalars(step, {"step/loss": loss})

    def histograms(self, step: int, module: nn.Module) -> None:
        """Weights and gradients of every layer."""
        for tag, each in distributions(module).items():
            self._events.histogram(
                step,
                tag,
                each.edges,
                each.counts,
                minimum=each.minimum,
                maximum=each.maximum,
                total=each.total,
                sum_of_squares=each.sum_of_squares,
            )

    def epoch(self, step: int, values: Mapping[str, float], arrays: Mapping[str, Any]) -> None:
        """What was measured after an epoch."""
        self._events.scalars(step, values)
        for tag, array in arrays.items():
            self._events.array(step, tag, array)

    def say(self, step: int, tag: str, text: str) -> None:
        """A sentence."""
        self._events.text(step, tag, text)

    def keep(self) -> None:
        """Write what is pending, and bring everything to the disk."""
        self.write()
        self._events.flush()

    def close(self) -> None:
        """Close the file."""
        self._events.close()
