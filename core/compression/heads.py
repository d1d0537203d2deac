"""Whole heads of attention removed, or where the structure does not allow that, silenced."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.compression.given import Given
from core.compression.thin import kept, shapes, thinned
from core.errors import NotValid
from core.parameters import Value


@dataclass(frozen=True)
class _Attention:
    """Where one layer of attention keeps its heads. ``inputs`` are the dense layers that make
    queries, keys and values, one for all three where they are ``packed``; ``output`` reads the
    heads. Without ``inputs`` the layer is PyTorch's own, whose heads cannot go.
    """

    name: str
    heads: int
    inputs: tuple[str, ...]
    packed: bool
    output: str

    def columns(self, module: nn.Module, heads: Sequence[int]) -> Tensor:
        """The inputs of the output layer that these heads fill."""
        width = _dense(module, self.output).in_features // self.heads
        parts = [torch.arange(head * width, (head + 1) * width) for head in heads]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.long)


def remove_heads(
    module: nn.Module, settings: Mapping[str, Value], given: Given
) -> tuple[list[dict[str, Any]], str]:
    """Take away the share ``amount`` of the heads of attention that weigh least in the layer which
    reads them (after Michel et al. 2019, arXiv 1905.10650), at least one stays in each layer; what
    became smaller, for a card, and a sentence about what was done.

    Raises ``NotValid`` where there is no attention, or no head to spare.
    """
    amount = float(settings["amount"])
    layers = _found(module)
    if not layers:
        raise NotValid("This model has no heads of attention.", "Choose another method.")
    if not amount:
        return [], ""
    going = _going(module, layers, amount, settings["scope"] == "global")
    count = sum(map(len, going))
    if not count:
        raise NotValid(
            f"The model is too small to prune by {amount:g}: of {layers[0].heads} heads in a layer "
            "that is less than one, or only one is left.",
            "Remove more, or prune single weights.",
        )
    total = sum(each.heads for each in layers)
    masked = copy.deepcopy(module)
    for each, heads in zip(layers, going, strict=True):
        with torch.no_grad():
            _dense(masked, each.output).weight[:, each.columns(masked, heads)] = 0
    if all(each.inputs for each in layers):
        small = copy.deepcopy(module)
        for each, heads in zip(layers, going, strict=True):
            _remove(small, each, heads)
        if given.same(masked, small):
            before = shapes(module)
            for each, heads in zip(layers, going, strict=True):
                _remove(module, each, heads)
            return thinned(before, module), f"{count} of {total} heads are gone."
    for each, heads in zip(layers, going, strict=True):
        with torch.no_grad():
            _dense(module, each.output).weight[:, each.columns(module, heads)] = 0
    return [], (
        f"{count} of {total} heads say nothing any more: this kind of attention has a fixed number "
        "of heads, so file and arithmetic stay as they are."
    )


def _dense(module: nn.Module, name: str) -> nn.Linear:
    return cast("nn.Linear", module.get_submodule(name))


def _found(module: nn.Module) -> list[_Attention]:
    names = dict(module.named_modules())
    found = []
    for name, part in names.items():
        inside = f"{name}." if name else ""
        if isinstance(part, nn.MultiheadAttention):
            found.append(_Attention(name, part.num_heads, (), False, f"{inside}out_proj"))
        packed = [each for each in ("qkv", "in_proj") if _plain(names.get(inside + each))]
        output = [each for each in ("projection", "proj") if _plain(names.get(inside + each))]
        heads = getattr(part, "heads", getattr(part, "num_heads", 0))
        if packed and output and isinstance(heads, int) and heads:
            found.append(_Attention(name, heads, (inside + packed[0],), True, inside + output[0]))
        three = tuple(f"{inside}{each}" for each in ("query", "key", "value"))
        width = getattr(part, "attention_head_size", 0)
        after = f"{name.rpartition('.')[0]}.output.dense"
        if width and all(_plain(names.get(each)) for each in three) and _plain(names.get(after)):
            count = _dense(module, three[0]).out_features // width
            found.append(_Attention(name, count, three, False, after))
    return found


def _plain(part: nn.Module | None) -> bool:
    return type(part) is nn.Linear


def _going(
    module: nn.Module, layers: Sequence[_Attention], amount: float, together: bool
) -> list[list[int]]:
    weights = []
    for each in layers:
        read = _dense(module, each.output).weight.detach()
        weights.append(
            torch.stack([read[:, each.columns(module, [h])].norm() for h in range(each.heads)])
        )
    if not together:
        return [
            torch.argsort(w, stable=True)[: min(math.floor(amount * len(w) + 1e-9), len(w) - 1)]
            .tolist()
            for w in weights
        ]  # fmt: skip
    edge = torch.cat(weights).sort().values
    count = math.floor(amount * len(edge) + 1e-9)
    limit = float(edge[count]) if count < len(edge) else math.inf
    found = []
    for weight in weights:
        order = [h for h in torch.argsort(weight, stable=True).tolist() if weight[h] < limit]
        found.append(order[: len(weight) - 1])
    return found


def _remove(module: nn.Module, layer: _Attention, heads: Sequence[int]) -> None:
    if not heads:
        return
    staying = [head for head in range(layer.heads) if head not in heads]
    columns = layer.columns(module, staying)
    for name in layer.inputs:
        part = _dense(module, name)
        third = part.out_features // 3
        rows = torch.cat([columns + third * k for k in range(3)]) if layer.packed else columns
        kept(part, rows, None)
    kept(_dense(module, layer.output), None, columns)
