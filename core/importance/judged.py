"""The metered forward that Captum is given for many examples at once: each with its own measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature

import torch
from torch import Tensor, nn

from core.device import out_of_memory
from core.errors import BadModel, OutOfMemory
from core.models.adapter import Adapter
from core.progress import Meter
from core.tasks import Target

Judge = Callable[[Tensor, slice | Tensor], Tensor]  # of logits, and which examples they are of


class Judged(nn.Module):
    """``features [example, …]`` → the measure ``[example]`` that ``judge`` makes of the logits.

    Example i of every call is example i of the batch, whatever was changed in it. Passes tick the
    meter and are split at ``limit`` examples, which is halved when memory runs out.
    """

    __signature__ = Signature([Parameter("features", Parameter.POSITIONAL_OR_KEYWORD)])

    def __init__(
        self,
        module: nn.Module,
        adapter: Adapter,
        meter: Meter,
        limit: int,
        judge: Judge,
        context: tuple[Tensor, ...] = (),
    ) -> None:
        super().__init__()
        self.module = module
        self.adapter = adapter
        self.meter = meter
        self.limit = limit
        self.judge = judge
        self.context = context

    @torch.no_grad()
    def forward(self, features: Tensor) -> Tensor:
        """The measure of each example.

        Raises ``BadModel`` when one is not finite, ``OutOfMemory`` when not even one fits.
        """
        found: list[Tensor] = []
        start = 0
        while start < len(features):
            part = slice(start, min(start + self.limit, len(features)))
            try:
                found.append(self._once(features, part))
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if self.limit == 1:
                    raise OutOfMemory(
                        "Memory ran out at a single example.", "Use another device."
                    ) from None
                self.limit = max(1, self.limit // 2)
                continue
            start = part.stop
        return torch.cat(found)

    def _once(self, features: Tensor, part: slice) -> Tensor:
        self.meter.tick(part.stop - part.start)
        context = (each[part] for each in self.context)
        logits = self.adapter.logits(self.module, features[part], *context).float()
        measure = self.judge(logits, part)
        if not bool(torch.isfinite(measure).all()):
            raise BadModel(
                "The model answered with NaN or infinite numbers on a changed input.",
                "Try another way; the network may overflow on the way.",
            )
        return measure


def of(judge: Judge, rows: Tensor) -> Judge:
    """``judge`` for copies of the examples in ``rows [copy]``."""
    return lambda logits, part: judge(logits, rows[part])


def right(labels: Tensor) -> Judge:
    """1 where the likeliest class is that of ``labels [example]``, else 0."""
    return lambda logits, part: (logits.argmax(dim=1) == labels[part]).float()


def log_probability(labels: Tensor, independent: bool) -> Judge:
    """The log-probability of the class in ``labels [example]``, in nats."""

    def judge(logits: Tensor, part: slice | Tensor) -> Tensor:
        known = nn.functional.logsigmoid(logits) if independent else logits.log_softmax(dim=1)
        return known.gather(1, labels[part][:, None])[:, 0]

    return judge


def score(targets: Sequence[Target], device: torch.device) -> Judge:
    """The logit of each example's target, or the difference of two."""
    index = torch.tensor([each.index for each in targets], device=device)
    versus = torch.tensor([-1 if each.versus is None else each.versus for each in targets])
    versus = versus.to(device)

    def judge(logits: Tensor, part: slice | Tensor) -> Tensor:
        found = logits.gather(1, index[part][:, None])[:, 0]
        against = logits.gather(1, versus[part][:, None].clamp(min=0))[:, 0]
        return torch.where(versus[part] >= 0, found - against, found)

    return judge
