"""A model in memory, and the only way to its module."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from core.models.adapter import Adapter
from core.models.card import ModelCard
from core.models.reference import ModelRef

_HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
# Hooks are per module, but random generators, autograd's mode and Captum's bookkeeping are global:
# one lock for all models of a process.
_LOCK = threading.RLock()


@dataclass
class LoadedModel:
    """A live module with its card, adapter and device.

    ``exclusive()`` is the only way to the module, for every forward.
    """

    ref: ModelRef
    card: ModelCard
    adapter: Adapter
    device: torch.device
    _module: nn.Module = field(repr=False)
    _depth: int = field(default=0, repr=False)
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @contextmanager
    def exclusive(self, seed: int = 0, form: nn.Module | None = None) -> Iterator[nn.Module]:
        """The module in eval mode with frozen parameters and seeded generators, for this thread
        alone.

        Whatever happens inside, afterwards mode, hooks, buffers' identity, ``requires_grad``,
        gradients and random generators are exactly as before. Entered again by the same thread
        (urgent work between two passes of a long call), it gives a twin that shares the weights
        but neither hooks nor flags, so the outer call is not disturbed.

        ``form`` asks for another form of the module with the same weights (``core.models.rewrite``)
        under the same rules.
        """
        with _LOCK:
            module = form if form is not None else self._module
            module = module if self._depth == 0 else twin(module)
            self._depth += 1
            try:
                with _untouched(module), _seeded(seed, self.device), torch.enable_grad():
                    yield module
            finally:
                self._depth -= 1


def twin(module: nn.Module) -> nn.Module:
    """A second module with the same weights in the same memory, but hooks and flags of its own."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer
    double = copy.deepcopy(module, memo)
    for part in double.modules():
        for table in _HOOK_TABLES:
            getattr(part, table).clear()
    return double


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    parts = [
        (
            part,
            part.training,
            set(part.__dict__),
            [dict(getattr(part, name)) for name in _HOOK_TABLES],
        )
        for part in module.modules()
    ]
    owned = {id(p): p for part, *_ in parts for p in part._parameters.values() if p is not None}
    parameters = [(p, p.requires_grad, p.grad) for p in owned.values()]
    try:
        for part, training, *_ in parts:
            if training:
                part.training = False
        for parameter, requires_grad, _ in parameters:
            if requires_grad:
                parameter.requires_grad_(False)
        yield
    finally:
        for part, training, known, tables in parts:
            if part.training is not training:
                part.training = training
            for name, hooks in zip(_HOOK_TABLES, tables, strict=True):
                table = getattr(part, name)
                if table or hooks:
                    table.clear()
                    table.update(hooks)
            # What hooks leave behind: saved inputs, outputs, relevances.
            for name in part.__dict__.keys() - known:
                delattr(part, name)
        for parameter, requires_grad, gradient in parameters:
            if parameter.requires_grad is not requires_grad:
                parameter.requires_grad_(requires_grad)
            if parameter.grad is not gradient:
                parameter.grad = gradient


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    import random

    import numpy as np

    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    python, numpy_state = random.getstate(), np.random.get_state()
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:  # torch.manual_seed formats the stack for absent devices
            generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        random.setstate(python)
        np.random.set_state(numpy_state)
