"""Where a run stands: the few numbers that say what comes next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

_BEYOND = 1e6  # times the first loss


@dataclass(frozen=True)
class Standing:
    """``step`` updates and ``epoch`` whole epochs are done; ``best`` is the lowest loss by which
    epochs are compared, of ``best_epoch``; ``stale`` epochs came after it. ``first`` is the loss of
    the first update.
    """

    step: int = 0
    epoch: int = 0
    best: float = math.inf
    best_epoch: int = 0
    stale: int = 0
    first: float | None = None

    def hopeless(self, loss: float) -> bool:
        """Whether training has come to nothing: the loss of an update is not finite, or beyond all
        bounds.
        """
        first = abs(loss if self.first is None else self.first)
        return not math.isfinite(loss) or loss > _BEYOND * max(1.0, first)

    def moved(self, loss: float) -> Standing:
        """After one more update, from this loss."""
        return replace(self, step=self.step + 1, first=loss if self.first is None else self.first)

    def learned(self, loss: float, counts: bool = True) -> Standing:
        """After one more epoch, which ended with this loss; it may not be the best unless it
        ``counts``.
        """
        epoch = self.epoch + 1
        if not counts:
            return replace(self, epoch=epoch)
        if loss < self.best:
            return replace(self, epoch=epoch, best=loss, best_epoch=epoch, stale=0)
        return replace(self, epoch=epoch, stale=self.stale + 1)

    def done(self, epochs: int, patience: int) -> bool:
        """Whether it ends here: after all epochs, or after ``patience`` (if any) stale ones."""
        return self.epoch >= epochs or 0 < patience <= self.stale

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary, without infinities."""
        return asdict(self) | {"best": self.best if math.isfinite(self.best) else None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Standing:
        """What ``as_json`` gave."""
        known = {field.name: value[field.name] for field in fields(cls)}
        return cls(**known | {"best": math.inf if known["best"] is None else known["best"]})
