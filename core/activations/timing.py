"""How long each layer takes: a clock before and after every module that has no parts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.behaviour import LayerTimes
from core.tasks import Example

_ROUNDS = 15
_LONGEST = 2.0  # seconds for all rounds together, the first three apart


def layer_times(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> LayerTimes:
    """The verb ``layer_times``: where a forward of one typical example spends its time.

    ``inputs`` and ``parameters`` are not used.
    """
    started = time.perf_counter()
    typical = model.adapter.typical(model)
    meter.expect(2 * _ROUNDS, "Timing")
    with model.exclusive(seed) as module, torch.no_grad():
        leaves = {name: each for name, each in module.named_modules() if not _parts(each)}
        clock = _Clock(model.device)

        def forward() -> float:
            meter.tick()
            begun = clock.now()
            model.adapter.logits(module, typical.features, *typical.context)
            return clock.now() - begun

        plain = _several(forward)
        removed = [
            handle
            for name, each in leaves.items()
            for handle in (
                each.register_forward_pre_hook(clock.begin(name)),
                each.register_forward_hook(clock.end(name)),
            )
        ]
        rounds = []

        def clocked() -> float:
            clock.spent = dict.fromkeys(leaves, 0.0)
            taken = forward()
            rounds.append(clock.spent)
            return taken

        try:
            _several(clocked)
        finally:
            for handle in removed:
                handle.remove()
    used = [name for name in leaves if any(each[name] for each in rounds)]
    return LayerTimes(
        model.ref.name,
        tuple(used),
        np.array([np.median([each[name] for each in rounds[1:] or rounds]) for name in used]),
        float(np.median(plain)),
        len(rounds),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (),
            "layer_times",
            {},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


class _Clock:
    """Time since a layer's call began, added up by layer; a GPU is waited for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._begun: dict[str, list[float]] = {}
        self.spent: dict[str, float] = {}

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def begin(self, name: str) -> Any:
        def hook(*_: Any) -> None:
            self._begun.setdefault(name, []).append(self.now())

        return hook

    def end(self, name: str) -> Any:
        def hook(*_: Any) -> None:
            self.spent[name] += self.now() - self._begun[name].pop()

        return hook


def _several(once: Any) -> list[float]:
    """At least three rounds, at most fifteen, as long as there is time."""
    found: list[float] = []
    while len(found) < 3 or (len(found) < _ROUNDS and sum(found) < _LONGEST):
        found.append(once())
    return found[1:]


def _parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None
