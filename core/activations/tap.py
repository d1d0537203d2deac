"""A module of our own in the way of one tensor, for libraries that only know whole modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from core.activations.plan import Planned, base


@contextmanager
def tapped(module: nn.Module, planned: Planned) -> Iterator[nn.Module]:
    """Inside, the first tensor that the layer ``planned`` answers, in the very call that its name
    says, passes through the module that this gives, examples first. Nothing stays behind.
    """
    tap = nn.Identity()
    wanted = int(planned.name.partition("#")[2].partition("[")[0] or 1)
    calls = 0

    def begin(_: nn.Module, args: tuple[Any, ...]) -> None:
        nonlocal calls
        calls = 0

    def said(layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        nonlocal calls
        calls += 1
        return _through(output, tap, planned.order[0]) if calls == wanted else None

    hooks = [
        module.register_forward_pre_hook(begin, prepend=True),
        module.get_submodule(base(planned.name)).register_forward_hook(said),
    ]
    try:
        yield tap
    finally:
        for hook in hooks:
            hook.remove()


def unit_dimension(planned: Planned) -> int:
    """The dimension of the units in what passes through a tap."""
    example, unit = planned.order[:2]
    return unit + (unit < example)


def _through(output: Any, tap: nn.Module, example: int) -> Any:
    if isinstance(output, Tensor):
        passed: Tensor = tap(output.movedim(example, 0))
        return passed.movedim(0, example)
    if isinstance(output, PackedSequence):
        padded, lengths = pad_packed_sequence(output, batch_first=True)
        return pack_padded_sequence(tap(padded), lengths, batch_first=True, enforce_sorted=False)
    if isinstance(output, tuple):
        first, *rest = output
        changed = _through(first, tap, example)
        return type(output)(changed, *rest) if hasattr(output, "_fields") else (changed, *rest)
    if isinstance(output, Mapping):
        key = next(name for name, each in output.items() if isinstance(each, (Tensor, tuple)))
        changed = {**output, key: _through(output[key], tap, example)}
        return type(output)(changed)  # type: ignore[call-arg]  # a dictionary of the same kind
    return output
