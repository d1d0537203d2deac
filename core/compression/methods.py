"""The ways to make a model smaller, declared: what each does and takes, and how it is applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune

from core.compression.compact import (
    Int8Conv2d,
    Int8Linear,
    LowRankConv2d,
    LowRankLinear,
    rank_for,
)
from core.errors import BadParameter, NotValid, UnknownName
from core.parameters import Parameter, Value, checked

Structure = list[dict[str, Any]]
"""What was replaced, for a card: ``layer``, ``kind`` and, of products, ``rank``."""


@dataclass(frozen=True)
class CompressionMethod:
    """One way to make a model smaller. ``apply(module, settings)`` changes a module in place and
    says what it replaced; ``stored`` is the number format of the file's floating-point tensors.
    """

    name: str
    title: str
    about: str
    reference: str
    parameters: tuple[Parameter, ...]
    apply: Callable[[nn.Module, Mapping[str, Value]], Structure]
    stored: str = "float32"


def method(name: str) -> CompressionMethod:
    """The method of this name.

    Raises ``UnknownName`` with the nearest names.
    """
    for each in METHODS:
        if each.name == name:
            return each
    raise UnknownName.of("compression method", name, [each.name for each in METHODS])


def settled(steps: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Steps ``{"method": name, setting: value, …}`` with every setting checked and filled in.

    Raises ``UnknownName``, ``BadParameter``.
    """
    if not steps:
        raise BadParameter("No compression is named.", f"Choose of {', '.join(NAMES)}.")
    found = []
    for step in steps:
        way = method(str(step.get("method", "")))
        given = {name: value for name, value in step.items() if name != "method"}
        found.append({"method": way.name, **checked(way.parameters, given, way.name)})
    return tuple(found)


def replaced(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put ``part`` in the place of the module's part ``name``."""
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)


def compact(part: nn.Module, kind: str, rank: int = 0) -> nn.Module:
    """The compact form of a layer: ``int8``, ``int8_dynamic`` or ``lowrank``."""
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


def _int8(dynamic: bool) -> Callable[[nn.Module, Mapping[str, Value]], Structure]:
    def apply(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
        found = []
        for name, part in _layers(module).items():
            kind = "int8_dynamic" if dynamic and isinstance(part, nn.Linear) else "int8"
            replaced(module, name, compact(part, kind))
            found.append({"layer": name, "kind": kind})
        return found

    return apply


def _bf16(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    return []


def _prune(module: nn.Module, settings: Mapping[str, Value]) -> Structure:
    amount = float(settings["amount"])
    layers = [(part, "weight") for part in _layers(module).values()]
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


_AMOUNT = Parameter("amount", "float", 0.5, "The share of weights that become zero.", 0.0, 0.999)
_SCOPE = Parameter(
    "scope",
    "choice",
    "global",
    "Whether the smallest of all layers go, or the same share of each.",
    choices=("global", "layer"),
)
_ENERGY = Parameter("energy", "float", 0.9, "The share of squared weights kept.", 0.01, 1.0)
_RANK = Parameter("rank", "int", 0, "The rank of every layer; 0 goes by energy.", 0, 100_000)

METHODS = (
    CompressionMethod(
        "int8",
        "Dynamic int8",
        "Weights as eight-bit integers; dense layers round their input too and multiply integers.",
        "Jacob et al. 2018, arXiv 1712.05877",
        (),
        _int8(dynamic=True),
    ),
    CompressionMethod(
        "int8_weights",
        "Weight-only int8",
        "Weights as eight-bit integers, computed in floating point.",
        "Jacob et al. 2018, arXiv 1712.05877",
        (),
        _int8(dynamic=False),
    ),
    CompressionMethod(
        "bf16",
        "bfloat16",
        "Weights of 16 bits with the range of 32, computed in float32.",
        "Kalamkar et al. 2019, arXiv 1905.12322",
        (),
        _bf16,
        "bfloat16",
    ),
    CompressionMethod(
        "prune",
        "Magnitude pruning",
        "The smallest weights become zero; the file and the arithmetic stay as they are.",
        "Han et al. 2015, arXiv 1506.02626",
        (_AMOUNT, _SCOPE),
        _prune,
    ),
    CompressionMethod(
        "lowrank",
        "Low rank",
        "Each layer as a product of two thin ones, where that holds less.",
        "Denton et al. 2014, arXiv 1404.0736; Zhang et al. 2015, arXiv 1505.06798",
        (_ENERGY, _RANK),
        _lowrank,
    ),
)
NAMES = tuple(each.name for each in METHODS)
