"""The metered forward around a model: what Captum is given instead of the model itself."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BadModel
from core.models.adapter import Adapter
from core.progress import Meter
from core.tasks import Target


class Scored(nn.Module):
    """``features [example, …]`` → score ``[example]`` of one target.

    Every pass ticks the meter first: that is where progress is counted, a cancel takes effect and
    urgent work is let in. Batches above ``limit`` (with gradient: ``gradient_limit``) are split, so
    that memory holds one part at a time and the numbers stay the same. Hooked methods that look at
    a whole batch at once set ``splittable`` to False.
    """

    # Captum looks at the signature before every pass; to find it out takes as long as a small
    # network's answer.
    __signature__ = Signature([Parameter("features", Parameter.POSITIONAL_OR_KEYWORD)])

    def __init__(
        self,
        module: nn.Module,
        adapter: Adapter,
        context: tuple[Tensor, ...],
        target: Target,
        meter: Meter,
        limit: int,
        gradient_limit: int | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.adapter = adapter
        self.context = context
        self.target = target
        self.meter = meter
        self.limit = limit
        self.gradient_limit = gradient_limit or limit
        self.ceiling: int | None = None
        self.splittable = True

    def forward(self, features: Tensor) -> Tensor:
        """Score of each example, in logits.

        Raises ``BadModel`` when one is not finite.
        """
        gradient = torch.is_grad_enabled() and features.requires_grad
        limit = self.gradient_limit if gradient else self.limit
        if not self.splittable or len(features) <= limit:
            return self.once(features)
        if gradient:
            scores: Tensor = _InParts.apply(features, self)  # type: ignore[no-untyped-call]  # torch's
            return scores
        return torch.cat([self.once(part) for part in features.split(limit)])

    def once(self, features: Tensor) -> Tensor:
        """Score of each example in one pass, however many there are."""
        self.meter.tick(len(features))
        if self.ceiling is not None and len(features) > self.ceiling:
            raise torch.OutOfMemoryError(f"artificial limit of {self.ceiling} examples")
        context = (tensor.expand(len(features), *tensor.shape[1:]) for tensor in self.context)
        score = select(self.adapter.logits(self.module, features, *context), self.target)
        if not bool(torch.isfinite(score.detach()).all()):
            raise BadModel(
                "The model answered with NaN or infinite numbers on a changed input.",
                "Try another method or baseline; the network may overflow on the way.",
            )
        return score

    def around(self, module: nn.Module, target: Target | None = None) -> Scored:
        """The same forward around another form of the module, or for another target."""
        other = Scored(
            module,
            self.adapter,
            self.context,
            target or self.target,
            self.meter,
            self.limit,
            self.gradient_limit,
        )
        other.ceiling, other.splittable = self.ceiling, self.splittable
        return other

    def halve(self) -> bool:
        """Send half as many examples at once; False when there was one already."""
        if self.limit == self.gradient_limit == 1:
            return False
        self.limit, self.gradient_limit = max(1, self.limit // 2), max(1, self.gradient_limit // 2)
        return True


class _InParts(torch.autograd.Function):
    """Forward and backward of one part after the other: no graph outlives its part.

    The score of an example depends on that example alone, so its gradient can be taken at once
    and has only to be scaled when the backward pass asks for it.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, scored: Scored) -> Tensor:
        scores, gradients = [], []
        for chunk in features.split(scored.gradient_limit):
            part = chunk.detach().clone().requires_grad_()
            with torch.enable_grad():
                score = scored.once(part)
                gradients.append(torch.autograd.grad(score.sum(), part)[0])
            scores.append(score.detach())
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(scores)

    @staticmethod
    def backward(ctx: Any, *incoming: Any) -> tuple[Tensor, None]:
        (gradients,) = ctx.saved_tensors
        scale: Tensor = incoming[0]
        return gradients * scale.reshape(-1, *[1] * (gradients.ndim - 1)), None


def keep_apart(module: nn.Module, *kinds: type[nn.Module]) -> None:
    """Give every part of these kinds (of any kind, if none is named) a copy of its input.

    Captum puts its rule on the tensor that goes in and reads the tensor that comes out. Where two
    such modules follow each other (ReLU, then max-pooling) that is one tensor, and the first is
    handed the gradient from before the second's rule; where the tensor goes elsewhere too, the rule
    replaces that part of the gradient as well. ``LoadedModel.exclusive`` takes the hooks off.
    """
    for part in module.modules():
        if not kinds or isinstance(part, kinds):
            part.register_forward_pre_hook(_copy)


def _copy(part: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.clone() for tensor in args)


def select(logits: Tensor, target: Target) -> Tensor:
    """The explained score ``[example]`` from ``logits [example, class]``."""
    score = logits[:, target.index]
    return score if target.versus is None else score - logits[:, target.versus]
