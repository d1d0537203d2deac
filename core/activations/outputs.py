"""What a layer answers, as tensors: whatever it returns, and whichever dimension is what.

A layer's output may be a tensor, a packed sequence, or tensors in tuples, lists and dictionaries;
it may be asked several times in one forward. ``watched`` sees every tensor under one name each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from core.attention.padding import unpacked

Take = Callable[[str, nn.Module, Tensor, Tensor | None], None]
_DEEPEST = 4  # tuples in tuples


@contextmanager
def watched(module: nn.Module, layers: Mapping[str, nn.Module], take: Take) -> Iterator[None]:
    """Inside, every forward calls ``take(name, layer, output, lengths)`` at once for each tensor of
    floating numbers that one of ``layers`` answers.

    ``name`` is the layer's, with ``#2`` for its second call in the forward, and with ``[1]``,
    ``[name]`` for every tensor of its output but the first. ``lengths`` ``[example]`` are how far a
    packed sequence reaches, whose output is ``[example, position, unit]``; else None. Leaves
    nothing behind, also after an exception.
    """
    calls: Counter[str] = Counter()

    def begin(_: nn.Module, args: tuple[Any, ...]) -> None:
        calls.clear()

    def heard(name: str, layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        calls[name] += 1
        called = name if calls[name] == 1 else f"{name}#{calls[name]}"
        if isinstance(output, Tensor):
            if output.is_floating_point():
                take(called, layer, output, None)
            return
        for place, (suffix, found) in enumerate(_tensors(output, "", 0)):
            known = called + (suffix if place else "")
            if isinstance(found, PackedSequence):
                padded, lengths = pad_packed_sequence(found, batch_first=True)
                take(known, layer, padded, lengths.to(padded.device))
            else:
                take(known, layer, found, None)

    with unpacked(module), ExitStack() as stack:
        first = module.register_forward_pre_hook(begin, prepend=True)
        stack.callback(first.remove)
        for name, layer in layers.items():
            hook = layer.register_forward_hook(partial(heard, name))
            stack.callback(hook.remove)
        yield


def _tensors(output: Any, suffix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Tensors of floating numbers and packed sequences, with where they stand."""
    if isinstance(output, PackedSequence):
        yield suffix, output
    elif isinstance(output, Tensor):
        if output.is_floating_point():
            yield suffix, output
    elif depth < _DEEPEST:
        inner: Any = ()
        if isinstance(output, Mapping):
            inner = output.items()
        elif isinstance(output, (tuple, list)):
            inner = enumerate(output)
        for key, each in inner:
            yield from _tensors(each, f"{suffix}[{key}]", depth + 1)


CHANNELS_FIRST = (
    "Conv",
    "BatchNorm",
    "InstanceNorm",
    "SyncBatchNorm",
    "LazyConv",
    "GroupNorm",
    "MaxPool",
    "AvgPool",
    "AdaptiveMaxPool",
    "AdaptiveAvgPool",
    "LPPool",
    "Upsample",
    "PixelShuffle",
    "LocalResponseNorm",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
)
CHANNELS_LAST = (
    "Linear",
    "LayerNorm",
    "RMSNorm",
    "Embedding",
    "RNN",
    "LSTM",
    "GRU",
    "MultiheadAttention",
    "Transformer",
)


def unit_first(layer: nn.Module) -> bool | None:
    """Whether a layer has its units before its positions, as convolutions have; None where that
    depends on its input.
    """
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("torch.nn.modules"):
            if kind.__name__.startswith(CHANNELS_FIRST):
                return True
            if kind.__name__.startswith(CHANNELS_LAST):
                return False
    return None


def pooled(values: Tensor, positions: tuple[int, ...], pool: str, lengths: Tensor | None) -> Tensor:
    """``values`` ``[example, unit, position …]`` in some order, without their ``positions``
    (dimensions of it) as ``pool`` says: mean, max, first or last.

    With ``lengths`` ``[example]``, only so many positions count.
    """
    if not positions or pool == "whole":
        return values
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    if lengths is not None:
        return _pooled_packed(values, pool, lengths)
    if pool == "mean":
        return values.mean(dim=positions)
    if pool == "max":
        return values.amax(dim=positions)
    return values.select(positions[0], 0 if pool == "first" else -1)


def _pooled_packed(values: Tensor, pool: str, lengths: Tensor) -> Tensor:
    """Of ``[example, position, unit]``."""
    if pool == "first":
        return values[:, 0]
    if pool == "last":
        return values[torch.arange(len(values), device=values.device), lengths - 1]
    inside = outside(values, lengths).logical_not()
    if pool == "mean":
        return (values * inside).sum(dim=1) / lengths[:, None]
    return values.masked_fill(~inside, -torch.inf).amax(dim=1)


def outside(values: Tensor, lengths: Tensor) -> Tensor:
    """Which positions of ``[example, position, unit]`` are beyond the end: ``[example, position,
    1]``.
    """
    places = torch.arange(values.shape[1], device=values.device)
    return (places >= lengths[:, None])[..., None]
