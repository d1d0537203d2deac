"""The metered forward around a model: what Captum is given instead of the model itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from core.models.adapter import Adapter
from core.progress import Meter
from core.tasks import Target


class Scored(nn.Module):
    """``features [example, …]`` → score ``[example]`` of one target.

    Every pass ticks the meter first: that is where progress is counted, a cancel takes effect and
    urgent work is let in. Batches above ``limit`` are split, with gradients by recomputing each
    part in the backward pass, so that memory holds one part at a time and the numbers stay the
    same. Hooked methods that look at a whole batch at once set ``splittable`` to False.
    """

    def __init__(
        self,
        module: nn.Module,
        adapter: Adapter,
        context: tuple[Tensor, ...],
        target: Target,
        meter: Meter,
        limit: int,
    ) -> None:
        super().__init__()
        self.module = module
        self.adapter = adapter
        self.context = context
        self.target = target
        self.meter = meter
        self.limit = limit
        self.ceiling: int | None = None
        self.splittable = True

    def forward(self, features: Tensor) -> Tensor:
        """Score of each example, in logits."""
        if not self.splittable or len(features) <= self.limit:
            self.meter.tick(len(features))
            return self._score(features)
        scores = []
        for part in features.split(self.limit):
            self.meter.tick(len(part))
            if torch.is_grad_enabled() and features.requires_grad:
                scores.append(
                    checkpoint(self._score, part, use_reentrant=False, preserve_rng_state=False)
                )
            else:
                scores.append(self._score(part))
        return torch.cat(scores)

    def _score(self, features: Tensor) -> Tensor:
        if self.ceiling is not None and len(features) > self.ceiling:
            raise torch.OutOfMemoryError(f"artificial limit of {self.ceiling} examples")
        context = (tensor.expand(len(features), *tensor.shape[1:]) for tensor in self.context)
        return select(self.adapter.logits(self.module, features, *context), self.target)


def select(logits: Tensor, target: Target) -> Tensor:
    """The explained score ``[example]`` from ``logits [example, class]``."""
    score = logits[:, target.index]
    return score if target.versus is None else score - logits[:, target.versus]
