"""What a run writes down as it goes: numbers of every update in blocks, and those of an epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from core.training.eventfile import EventWriter
from core.training.watch import Norms, distributions

_BLOCK = 20  # updates between two looks at what is on the device
_SHOW_SECONDS = 0.5


class Update(NamedTuple):
    """One update: ``step`` counts from 1, ``loss`` is still on the device."""

    step: int
    rate: float
    examples: int
    seconds: float
    loss: Tensor


class Journal:
    """Writes the event files of one process' work on a run."""

    def __init__(self, folder: Path, module: nn.Module, first_step: int, every: int) -> None:
        self.norms = Norms(module)
        self._module = module
        self._every = every
        self._events = EventWriter(folder, first_step)
        self._pending: list[Update] = []
        self._shown = time.perf_counter()

    @property
    def due(self) -> bool:
        """Whether enough is pending to be written."""
        late = time.perf_counter() - self._shown > _SHOW_SECONDS
        return len(self._pending) >= _BLOCK or late

    def add(self, update: Update) -> None:
        """Remember an update; the device is not waited for."""
        self._pending.append(update)
        if self._every and update.step % self._every == 0:
            self.histograms(update.step)

    def write(self) -> bool:
        """Write what is pending, for readers to see; False when a loss among it is not finite."""
        self._shown = time.perf_counter()
        rows, layers = self.norms.rows(), self.norms.layers
        pending, self._pending = self._pending, []
        if not pending:
            return True
        losses = torch.stack([update.loss for update in pending]).cpu().numpy()
        for update, loss, row in zip(pending, losses, rows, strict=True):
            gradients, ratios = row[: len(layers)], row[len(layers) :]
            values = {
                "step/loss": float(loss),
                "step/learning_rate": update.rate,
                "step/examples_per_second": update.examples / max(update.seconds, 1e-9),
                "step/gradient_norm": float(np.linalg.norm(gradients.astype(np.float64))),
            }
            for name, gradient, ratio in zip(layers, gradients, ratios, strict=True):
                values[f"step/gradient_norm/{name}"] = float(gradient)
                values[f"step/update_ratio/{name}"] = float(ratio)
            self._events.scalars(update.step, values)
        self._events.flush(durable=False)
        return bool(np.isfinite(losses).all())

    def histograms(self, step: int) -> None:
        """Weights and gradients of every layer."""
        for tag, each in distributions(self._module).items():
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
        """The metrics of an epoch."""
        if not self._every:
            self.histograms(step)
        self.final(step, values, arrays)

    def final(self, step: int, values: Mapping[str, float], arrays: Mapping[str, Any]) -> None:
        """What was measured once, at the end."""
        if values:
            self._events.scalars(step, values)
        for tag, array in arrays.items():
            self._events.array(step, tag, array)

    def say(self, step: int, tag: str, text: str) -> None:
        """A sentence."""
        self._events.text(step, tag, text)

    def keep(self) -> None:
        """Bring everything to the disk."""
        self._events.flush()

    def close(self) -> None:
        """Write what is pending and close."""
        self._events.close()
