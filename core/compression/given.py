"""What a step of compression may run the model on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.models.adapter import Adapter, Batch


@dataclass(frozen=True)
class Given:
    """``typical`` is a batch of one example to trace with, ``calibration`` reads batches of the
    data that ship with the model when they are needed.
    """

    adapter: Adapter
    typical: Batch
    calibration: Callable[[], Sequence[Batch]]

    def logits(self, module: nn.Module, batch: Batch | None = None) -> Tensor:
        """One forward of ``module``, the typical batch where none is named."""
        taken = self.typical if batch is None else batch
        with torch.no_grad():
            return self.adapter.logits(module, taken.features, *taken.context)

    def same(self, one: nn.Module, other: nn.Module) -> bool:
        """Whether two modules give the typical batch the same answer up to rounding."""
        before = self.logits(one)
        try:
            after = self.logits(other)
        except (RuntimeError, ValueError, TypeError):
            return False  # a shape that is written in the forward itself
        if before.shape != after.shape:
            return False
        room = 1e-4 * max(1.0, float(before.abs().max()))
        return float((before - after).abs().max()) <= room
