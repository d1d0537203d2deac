"""How long a run will take and how much memory, from a few updates that nobody keeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from core.device import free_memory, synchronise
from core.errors import OutOfMemory
from core.progress import Meter
from core.training.config import Config
from core.training.learner import Learner, TooMuch
from core.training.loop import trainable
from core.training.order import Order, number

_FEW = 8  # examples to begin with, which fit anywhere


def estimate(config: Config, budget: float = 4.0) -> tuple[float, int]:
    """Seconds that a run will take, and bytes that its network needs at most, beside its data.

    Makes updates for about ``budget`` seconds, on few examples first: a batch that would not fit
    into memory is not tried, what it needs is known nevertheless. Raises what the recipe raises for
    unusable data, mostly ``BadInput``, and ``OutOfMemory`` when not even a few examples fit.
    """
    begun = time.perf_counter()
    learner = Learner(trainable(config), {**config.settings, "devices": 1}, config.device)
    setup = time.perf_counter() - begun
    counts = {name: len(split) for name, split in learner.trainable.splits.items()}
    size = min(int(config.settings["batch_size"]), counts["train"])
    learner.trainable.begin_epoch(1, config.epochs)
    few = min(_FEW, size)
    try:
        with _Saved(learner.module) as saved:
            _update(learner, few)
        needed = _kept(learner) + saved.bytes * size // few
        seconds = _timed(lambda: _update(learner, few), learner.device, budget / 4) / few
        if few < size and needed < _free(learner.device) and seconds * size < budget:
            seconds = _timed(lambda: _update(learner, size), learner.device, budget / 2) / size
        measured = (
            _timed(lambda: learner.look(_batch(learner, "train", few)), learner.device, budget / 4)
            / few
        )
    except TooMuch:
        raise OutOfMemory(
            "Memory ran out on a few examples.", "Use a smaller network or another device."
        ) from None
    per_epoch = counts["train"] * seconds + counts.get("val", 0) * measured
    return setup + config.epochs * per_epoch + counts.get("test", 0) * measured, needed


def estimate_config(parameters: Mapping[str, Any], meter: Meter) -> dict[str, float]:
    """The job ``estimate``: its parameter ``config`` is a config as JSON; ``seconds`` and ``bytes``
    come back.
    """
    meter.expect(1, "Estimating")
    seconds, needed = estimate(Config.from_json(parameters["config"]))
    meter.tick()
    return {"seconds": seconds, "bytes": float(needed)}


def _batch(learner: Learner, split: str, size: int) -> Any:
    order = Order(0, len(learner.trainable.splits[split]), size, size)
    return next(learner.read(split, order.epoch(1)[0]))


def _update(learner: Learner, size: int) -> None:
    learner.gradients([list(range(size))], [_batch(learner, "train", size)], number(0, "step", 0))
    learner.update(0.0)


def _timed(act: Callable[[], None], device: torch.device, budget: float) -> float:
    """Seconds of the fastest of a few calls, at least one."""
    best, deadline = float("inf"), time.perf_counter() + budget
    while best == float("inf") or time.perf_counter() + best < deadline:
        synchronise(device)
        started = time.perf_counter()
        act()
        synchronise(device)
        best = min(best, time.perf_counter() - started)
    return best


class _Saved:
    """Counts the bytes that forwards save for backwards, each storage once, weights not at all."""

    def __init__(self, module: nn.Module) -> None:
        self._seen = {p.untyped_storage().data_ptr() for p in module.parameters()}
        self._hooks = saved_tensors_hooks(self._save, lambda tensor: tensor)
        self.bytes = 0

    def _save(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
        return tensor

    def __enter__(self) -> _Saved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *_: Any) -> None:
        self._hooks.__exit__()


def _kept(learner: Learner) -> int:
    """Bytes of weights, gradients, the weights of the update before, and the optimiser's state."""
    weights = sum(p.nbytes for p in learner.module.parameters())
    state = learner.state["optimiser"]["state"].values()
    tensors = (x for each in state for x in each.values() if isinstance(x, Tensor))
    return 3 * weights + sum(x.nbytes for x in tensors)


def _free(device: torch.device) -> int:
    """Bytes of memory that are available; where nobody says so, any number."""
    free = free_memory(device)
    return sys.maxsize if free is None else free
