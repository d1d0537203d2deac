"""Making a module smaller, in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune

from core.compression.calibrated import ranges, static
from core.compression.channels import remove_channels
from core.compression.compact import (
    Int8Conv2d,
    Int8Linear,
    LowRankConv2d,
    LowRankLinear,
    rank_for,
)
from core.compression.given import Given
from core.compression.heads import remove_heads
from core.compression.thin import thin
from core.errors import NotValid
from core.parameters import Value

Structure = list[dict[str, Any]]
"""What was replaced, for a card: ``layer``, ``kind`` and, of products, ``rank``, of layers with
fewer channels, ``shape``.
"""


def apply(
    module: nn.Module,
    step: Mapping[str, Value],
    given: Given | None = None,
    notes: list[str] | None = None,
) -> Structure:
    """Take one step of ``core.compression.methods.settled``; what was replaced. ``given`` is what
    steps that run the model run it on; sentences for people are added to ``notes``.

    Raises ``NotValid`` where the method does not fit.
    """
    name = str(step["method"])
    if name in _WAYS:
        return _WAYS[name](module, step)
    if given is None:
        raise ValueError(f"{name} runs the model: say on what")
    if name == "heads":
        found, note = remove_heads(module, step, given)
        if note and notes is not None:
            notes.append(note)
        return found
    return _RUNNING[name](module, step, given)


def replaced(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put ``part`` in the place of the module's part ``name``."""
    parent, _, last = name.rpartition(".")
    owner = module.get_submodule(parent)
    if isinstance(owner, nn.TransformerEncoderLayer):
        owner.activation_relu_or_gelu = 0  # its fast path would read weights past our forward
    setattr(owner, last, part)


def compact(part: nn.Module, kind: str, rank: int = 0, shape: tuple[int, ...] = ()) -> nn.Module:
    """The compact form of a layer: ``int8``, ``int8_dynamic``, ``int8_static``, ``lowrank`` or
    ``thin``.
    """
    if kind == "thin":
        return thin(part, shape)
    if kind == "int8_static":
        return static(part)
    if isinstance(part, nn.Linear):
        if kind == "lowrank":
            return LowRankLinear(part, rank)
        return Int8Linear(part, dynamic=kind == "int8_dynamic")
    if isinstance(part, nn.Conv2d):
        return LowRankConv2d(part, rank) if kind == "lowrank" else Int8Conv2d(part)
    raise TypeError(f"{type(part).__name__} has no compact form")


def _layers(module: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Dense layers and convolutions by name, none of them a special kind of one."""
    found = {
        name: part
        for name, part in module.named_modules()
        if type(part) is nn.Linear or (type(part) is nn.Conv2d and part.padding_mode == "zeros")
    }
    if not found:
        raise NotValid(
            "The model has no dense layer and no convolution that could be made smaller.",
            "Choose another model.",
        )
    return found


def _weights(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """The matrices of dense, convolutional, recurrent and attention layers, not of embeddings."""
    found: list[tuple[nn.Module, str]] = []
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            found.append((part, "weight"))
        elif isinstance(part, nn.RNNBase | nn.MultiheadAttention):
            found += [
                (part, name)
                for name, each in part.named_parameters(recurse=False)
                if each.dim() > 1
            ]
    if not found:
        raise NotValid("The model has no weights that could be pruned.", "Choose another model.")
    return found


def _int8(dynamic: bool) -> Callable[[nn.Module, Mapping[str, Value]], Structure]:
    def apply(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
        found = []
        for name, part in _layers(module).items():
            kind = "int8_dynamic" if dynamic and isinstance(part, nn.Linear) else "int8"
            replaced(module, name, compact(part, kind))
            found.append({"layer": name, "kind": kind})
        return found

    return apply


def _static(module: nn.Module, settings: Mapping[str, Value], given: Given) -> Structure:
    layers = _layers(module)
    found = []
    for name, (low, high) in ranges(module, layers, given).items():
        replaced(module, name, static(layers[name], low, high))
        found.append({"layer": name, "kind": "int8_static"})
    return found


def _bf16(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    return []


def _prune(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
    amount = float(settings["amount"])
    layers = _weights(module)
    if not amount:
        return []
    with torch.no_grad():
        if settings["scope"] == "global":
            prune.global_unstructured(layers, prune.L1Unstructured, amount=amount)
        else:
            for part, name in layers:
                prune.l1_unstructured(part, name, amount=amount)
        for part, name in layers:
            prune.remove(part, name)
    return []


def _lowrank(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
    found = []
    for name, part in _layers(module).items():
        if isinstance(part, nn.Conv2d) and part.groups > 1:
            continue  # nothing to share between groups
        full = min(part.weight.flatten(1).shape)
        asked = int(settings["rank"])
        rank = min(asked, full) if asked else rank_for(part.weight, float(settings["energy"]))
        outputs, inputs = part.weight.flatten(1).shape
        if not asked and rank * (outputs + inputs) >= outputs * inputs:
            continue  # two thin ones would hold more than the one
        replaced(module, name, compact(part, "lowrank", rank))
        found.append({"layer": name, "kind": "lowrank", "rank": rank})
    if not found:
        raise NotValid(
            f"No layer gets smaller with an energy of {float(settings['energy']):g}: two factors "
            "would hold more than the weights themselves.",
            "Keep less energy, or name a rank.",
        )
    return found


_WAYS: Mapping[str, Callable[[nn.Module, Mapping[str, Value]], Structure]] = {
    "int8": _int8(dynamic=True),
    "int8_weights": _int8(dynamic=False),
    "bf16": _bf16,
    "prune": _prune,
    "lowrank": _lowrank,
}
_RUNNING: Mapping[str, Callable[[nn.Module, Mapping[str, Value], Given], Structure]] = {
    "int8_static": _static,
    "channels": remove_channels,
}
