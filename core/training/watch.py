"""What is seen of a network while it learns: norms at every update, distributions now and then.

Numbers stay on the device and are read in blocks, so that watching costs little (aim: 5 % of an
update).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

_BINS = 40
_RELUS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU)
_SQUASHING = {nn.Sigmoid: (0.01, 0.99), nn.Tanh: (-0.99, 0.99)}


@dataclass(frozen=True)
class Distribution:
    """A histogram of one layer: ``edges [bin + 1]``, ``counts [bin]`` and what else event files
    hold.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    minimum: float
    maximum: float
    total: float
    sum_of_squares: float


class LossReader:
    """Brings the loss of an update to the host before the weights move.

    On CUDA the copy is made while the device goes on with the backward, so that it never idles.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._loss = torch.zeros((), pin_memory=self._cuda)
        self._arrived = torch.cuda.Event() if self._cuda else None

    def send(self, loss: Tensor) -> None:
        """Ask for it, between forward and backward."""
        if self._arrived is None:
            self._loss = loss
        else:
            self._loss.copy_(loss, non_blocking=True)
            self._arrived.record()

    def value(self) -> float:
        """What was asked for."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._loss)


class Norms:
    """Gradient norm and update-to-weight ratio ‖Δw‖ ÷ ‖w‖ of every layer that has parameters.

    Call ``before`` when the gradients are there and ``after`` when the weights have moved; ``rows``
    hands out what was measured since, one row per update: ``[layer]`` norms, then ratios. The
    device only takes the norm of each parameter; the rest is done where they are read.
    """

    def __init__(self, module: nn.Module) -> None:
        groups = {
            name or "model": own
            for name, part in module.named_modules()
            if (own := list(part.parameters(recurse=False)))
        }
        self.layers = tuple(groups)
        self._parameters = [p for own in groups.values() for p in own]
        self._starts = np.cumsum([0, *(len(own) for own in groups.values())])[:-1]
        self._zero = torch.zeros((), device=self._parameters[0].device)
        self._moved = [torch.empty_like(p) for p in self._parameters]
        self._pending: list[Tensor] = []
        self._last: Tensor | None = None

    @torch.no_grad()
    def before(self) -> Tensor:
        """Measure the gradients and remember the weights; the norm of each parameter's gradient."""
        gradients = [self._zero if p.grad is None else p.grad for p in self._parameters]
        self._gradients = _norms(gradients)
        torch._foreach_copy_(self._moved, self._parameters)
        return self._gradients

    @torch.no_grad()
    def after(self) -> None:
        """Measure how far the weights have moved."""
        torch._foreach_sub_(self._moved, self._parameters)
        self._last = torch.cat([self._gradients, _norms([*self._moved, *self._parameters])])
        self._pending.append(self._last)

    def rows(self) -> npt.NDArray[np.float64]:
        """``[update, 2 × layer]`` since the last call; waits for the device once."""
        if not self._pending:
            return np.zeros((0, 2 * len(self.layers)))
        rows, self._pending = self._by_layer(torch.stack(self._pending)), []
        return rows

    def first_not_finite(self) -> str:
        """The layer nearest to the loss whose gradient was not finite at the last update, where
        backpropagation got to first, or an empty string.
        """
        if self._last is None:
            return ""
        gradients = self._by_layer(self._last[None])[0, : len(self.layers)]
        broken = np.flatnonzero(~np.isfinite(gradients))
        return self.layers[broken[-1]] if broken.size else ""

    def _by_layer(self, rows: Tensor) -> npt.NDArray[np.float64]:
        norms = rows.cpu().numpy().astype(np.float64).reshape(len(rows), 3, len(self._parameters))
        layers = np.sqrt(np.add.reduceat(norms**2, self._starts, axis=2))
        gradients, moved, weights = layers[:, 0], layers[:, 1], layers[:, 2]
        with np.errstate(invalid="ignore"):  # infinity ÷ infinity
            return np.concatenate([gradients, moved / np.maximum(weights, 1e-12)], axis=1)


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(list(tensors), dtype=torch.float32))


def distributions(module: nn.Module) -> dict[str, Distribution]:
    """Histograms ``weights/<layer>`` and, where there are gradients, ``gradients/<layer>``."""
    found = {}
    for name, part in module.named_modules():
        own = list(part.parameters(recurse=False))
        gradients = [p.grad for p in own if p.grad is not None]
        for kind, tensors in (("weights", own), ("gradients", gradients)):
            if tensors:
                values = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
                found[f"{kind}/{name or 'model'}"] = _distribution(values)
    return found


def _distribution(values: Tensor) -> Distribution:
    values = values[torch.isfinite(values)]
    if not values.numel():
        values = values.new_zeros(1)
    low, high = (float(x) for x in values.aminmax())
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(values, _BINS, low, high).cpu().numpy().astype(np.float64)
    return Distribution(
        np.linspace(low, high, _BINS + 1),
        counts,
        low,
        high,
        float(values.sum()),
        float((values**2).sum()),
    )


def unit_shares(module: nn.Module, forward: Callable[[], Any]) -> dict[str, float]:
    """Shares from 0 to 1 by tag, from one ``forward`` over a batch: ``dead/<layer>``, units of a
    ReLU that no example of the batch switches on, and ``saturated/<layer>``, outputs of a sigmoid
    or tanh within 1 % of their ends. A unit is a channel of an image, or a feature of a token.
    """
    found: dict[str, float] = {}

    def hook(name: str) -> Callable[..., None]:
        def look(part: nn.Module, args: Any, output: Any) -> None:
            if isinstance(part, _RELUS):
                units = output.movedim(1 if output.ndim > 3 else -1, 0)  # [unit, …]
                on = (units > 0).flatten(1).any(dim=1)
                found[f"dead/{name}"] = 1.0 - float(on.float().mean())
            else:
                low, high = _SQUASHING[type(part)]
                ends = (output < low) | (output > high)
                found[f"saturated/{name}"] = float(ends.float().mean())

        return look

    kinds: tuple[type[nn.Module], ...] = (*_RELUS, *_SQUASHING)
    handles = [
        part.register_forward_hook(hook(name))
        for name, part in module.named_modules()
        if isinstance(part, kinds)
    ]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return found


def first_not_finite(module: nn.Module, forward: Callable[[], Any]) -> str:
    """The first layer with a weight or an output that is not a finite number, in words."""
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"the weights of '{name.rpartition('.')[0] or name}'"
    with _first_output(module) as seen, torch.no_grad():
        forward()
    return f"the output of '{seen[0]}'" if seen else "the loss itself"


@contextmanager
def _first_output(module: nn.Module) -> Iterator[list[str]]:
    seen: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        def look(part: nn.Module, args: Any, output: Any) -> None:
            tensors = output if isinstance(output, (tuple, list)) else (output,)
            if not all(
                bool(torch.isfinite(x).all())
                for x in tensors
                if isinstance(x, Tensor) and x.is_floating_point()
            ):
                seen.append(name)

        return look

    handles = [
        part.register_forward_hook(hook(name))
        for name, part in module.named_modules()
        if not list(part.children())
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
