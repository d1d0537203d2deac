"""A model tried out: the same input twice, alone and together, one input after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from core.checkup.steps import Steps, watched
from core.device import out_of_memory, synchronise
from core.errors import FluoroscopeError, UserError
from core.models.adapter import Adapter, Batch
from core.models.loaded import LoadedModel
from core.progress import Meter

Forward = Callable[[Tensor], Tensor]
_INPUTS = 4
_TOGETHER = (2, 3)
PASSES = _INPUTS + 4 + len(_TOGETHER)


@dataclass
class Trials:
    """What was measured.

    ``outputs`` float32 ``[input, output]`` are those of single inputs, ``shape`` is that of the
    first as it came. ``failed`` says why not even one example passes. ``apart`` is the largest
    difference between two passes of the same input, ``coupled`` that between an example alone and
    among others, ``refused`` are numbers of examples that it does not take together with the
    reason. ``changed`` are weights and buffers that a forward wrote to. ``gradient`` is that of a
    weighted sum of outputs to the first input that has any, None where there is none,
    ``stopped`` why it could not be taken.
    """

    batch: Batch
    steps: Steps = field(default_factory=Steps)
    outputs: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32
    failed: str = ""
    apart: float = 0.0
    coupled: float = 0.0
    refused: dict[int, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    gradient: Tensor | None = None
    stopped: str = ""
    seconds: float = 0.0

    @property
    def scale(self) -> float:
        """The largest finite output."""
        finite = self.outputs[self.outputs.isfinite()]
        return float(finite.abs().max()) if len(finite) else 0.0


def tried(model: LoadedModel, seed: int, meter: Meter) -> Trials:
    """Try the model on a typical input and on others like it.

    Whatever the module raises is told in the result, but for ``Cancelled`` and running out of
    memory. What a forward writes to weights or buffers is taken back.
    """
    adapter = model.adapter
    with watched() as encoding:
        batch = adapter.typical(model)
    inputs = _inputs(adapter, batch)
    found = Trials(batch)
    with model.exclusive(seed) as module:
        kept = {name: each.clone() for name, each in _state(module)}
        try:
            _try(found, module, adapter, inputs, model, meter)
        finally:
            found.changed = _restored(module, kept)
    found.steps.read |= encoding.read
    return found


def _try(
    found: Trials,
    module: nn.Module,
    adapter: Adapter,
    inputs: Tensor,
    model: LoadedModel,
    meter: Meter,
) -> None:
    context = found.batch.context

    def forward(features: Tensor) -> Tensor:
        meter.tick()
        rows = [each.expand(len(features), *each.shape[1:]) for each in context]
        return adapter.logits(module, features, *rows)

    try:
        with watched() as found.steps:
            first = forward(inputs[:1].clone().requires_grad_()).detach()
        found.shape, found.dtype = tuple(first.shape), first.dtype
        if first.ndim != 2 or len(first) != 1:
            found.failed = f"it answers one example with numbers of shape {list(first.shape)}"
            return
        synchronise(model.device)
        started = time.perf_counter()
        with torch.no_grad():
            again = forward(inputs[:1])
            synchronise(model.device)
            found.seconds = time.perf_counter() - started
            rest = [forward(each[None]) for each in inputs[1:]]
        found.outputs = torch.cat([again, *rest]).float().cpu()
    except Exception as error:
        found.failed = reason(error)
        return
    found.apart = _difference(first.float().cpu(), found.outputs[:1])
    _together(found, forward, inputs)
    _differentiate(found, forward, inputs)


def _together(found: Trials, forward: Forward, inputs: Tensor) -> None:
    for count in _TOGETHER:
        try:
            with torch.no_grad():
                answers = forward(inputs[:count]).float().cpu()
            if answers.shape != found.outputs[:count].shape:
                found.refused[count] = f"it answers with shape {list(answers.shape)}"
            else:
                found.coupled = max(found.coupled, _difference(answers, found.outputs[:count]))
        except Exception as error:
            found.refused[count] = reason(error)


def _differentiate(found: Trials, forward: Forward, inputs: Tensor) -> None:
    for one in inputs[:2]:
        features = one[None].clone().requires_grad_()
        try:
            answers = forward(features)
            if not answers.requires_grad:
                return
            # The plain sum of outputs can be constant (softmax, normalised outputs).
            weights = torch.linspace(-1, 1, answers.shape[1], device=answers.device) + 0.1
            total = (answers.float() * weights).sum()
            (gradient,) = torch.autograd.grad(total, features, allow_unused=True)
        except Exception as error:
            found.stopped = reason(error)
            return
        if gradient is not None:
            found.gradient = gradient.detach().float().cpu()
            if bool(found.gradient.ne(0).any()):
                return


def _inputs(adapter: Adapter, batch: Batch) -> Tensor:
    """The typical input and others of its spread, ``[input, …]``."""
    first = batch.features
    if adapter.axis == "columns":  # not every number is a value there
        rows = [adapter.baseline(batch, "gaussian", seed, None) for seed in range(1, _INPUTS)]
        return torch.cat([first, *rows]).detach()
    noise = torch.Generator().manual_seed(1)
    spread = float(first.float().std(correction=0)) or 1.0
    shape = (_INPUTS - 1, *first.shape[1:])
    others = first + spread * torch.randn(shape, generator=noise).to(first)
    return torch.cat([first, others]).detach()


def _state(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _restored(module: nn.Module, kept: dict[str, Tensor]) -> tuple[str, ...]:
    changed = []
    with torch.no_grad():
        for name, each in _state(module):
            before = kept.get(name)
            if before is None or before.shape != each.shape:
                continue
            same = torch.equal(torch.nan_to_num(each), torch.nan_to_num(before))
            if not same:
                each.copy_(before)
                changed.append(name)
    return tuple(changed)


def _difference(one: Tensor, other: Tensor) -> float:
    """The largest difference; infinite where only one of two is a number."""
    gap = (one - other).abs()
    gap = torch.where(one.isnan() & other.isnan() | (one == other), torch.zeros_like(gap), gap)
    return float(torch.nan_to_num(gap, nan=float("inf")).max()) if gap.numel() else 0.0


def reason(error: Exception) -> str:
    """What a module raised, as the rest of a sentence.

    Raises the error again where it does not tell of the module: cancelled, out of memory.
    """
    if out_of_memory(error) or (
        isinstance(error, FluoroscopeError) and not isinstance(error, UserError)
    ):
        raise error
    text = error.message if isinstance(error, FluoroscopeError) else str(error)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    return line[:160].rstrip(". ")
