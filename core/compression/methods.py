"""The ways to make a model smaller, declared: what each does and takes. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import BadParameter, UnknownName
from core.parameters import Parameter, checked

MOST = 50  # points of a sweep


@dataclass(frozen=True)
class CompressionMethod:
    """One way to make a model smaller; ``core.compression.apply`` does it. ``stored`` is the number
    format of the file's floating-point tensors.
    """

    name: str
    title: str
    about: str
    reference: str
    parameters: tuple[Parameter, ...]
    stored: str = "float32"
    sweeps: str = ""
    """The setting that decides how much smaller; empty where there is none."""


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


def titled(step: Mapping[str, Any]) -> str:
    """What a settled step is called, with how much it does."""
    way = method(str(step["method"]))
    if way.name == "lowrank" and step.get("rank"):
        return f"{way.title} rank {step['rank']}"
    return f"{way.title} {step[way.sweeps]:g}" if way.sweeps in step else way.title


def swept(
    steps: Sequence[Mapping[str, Any]], setting: str, values: Sequence[Any]
) -> tuple[tuple[dict[str, Any], ...], ...]:
    """The steps with each value in turn of ``setting``, of the last of them that has it; from the
    least compression to the most.

    Raises ``BadParameter`` where none has it, it is not a number, or fewer than two values are
    named, and as ``settled`` does.
    """
    named = settled(steps)
    places = [
        place
        for place, step in enumerate(named)
        if any(
            each.name == setting and each.kind in ("float", "int")
            for each in method(step["method"]).parameters
        )
    ]
    if not places:
        known = sorted({way.sweeps for step in named if (way := method(step["method"])).sweeps})
        raise BadParameter(
            f"'{setting}' cannot be swept: no step has such a number.",
            f"Sweep {' or '.join(known)}." if known else "Choose pruning or low rank.",
        )
    if not 2 <= len(set(values)) <= MOST:
        raise BadParameter(
            f"A sweep over {len(set(values))} values is not possible.", f"Expected 2 to {MOST}."
        )
    more_is_less = setting in ("energy", "rank")
    order = sorted({float(value) for value in values}, reverse=more_is_less)
    if setting == "rank" and order[-1] < 1:
        raise BadParameter("A rank of 0 means that energy decides.", "Sweep ranks from 1 on.")
    found = []
    for value in order:
        step = {**named[places[-1]], setting: round(value) if setting == "rank" else value}
        found.append(settled([*named[: places[-1]], step, *named[places[-1] + 1 :]]))
    return tuple(found)


_AMOUNT = Parameter("amount", "float", 0.5, "The share of weights that become zero.", 0.0, 0.999)
_SCOPE = Parameter(
    "scope",
    "choice",
    "global",
    "Whether the smallest of all layers go, or the same share of each.",
    choices=("global", "layer"),
)
_SHARE = Parameter("amount", "float", 0.3, "The share that is removed.", 0.0, 0.999)
_NORM = Parameter(
    "norm",
    "choice",
    "l2",
    "How the weights of a channel are summed up.",
    choices=("l1", "l2"),
    advanced=True,
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
    ),
    CompressionMethod(
        "int8_static",
        "Static int8",
        "Weights and inputs as eight-bit integers; the range of inputs is measured on 64 examples.",
        "Jacob et al. 2018, arXiv 1712.05877",
        (),
    ),
    CompressionMethod(
        "int8_weights",
        "Weight-only int8",
        "Weights as eight-bit integers, computed in floating point.",
        "Jacob et al. 2018, arXiv 1712.05877",
        (),
    ),
    CompressionMethod(
        "bf16",
        "bfloat16",
        "Weights of 16 bits with the range of 32, computed in float32.",
        "Kalamkar et al. 2019, arXiv 1905.12322",
        (),
        "bfloat16",
    ),
    CompressionMethod(
        "prune",
        "Magnitude pruning",
        "The smallest weights become zero; the file and the arithmetic stay as they are.",
        "Han et al. 2015, arXiv 1506.02626",
        (_AMOUNT, _SCOPE),
        sweeps="amount",
    ),
    CompressionMethod(
        "channels",
        "Channels",
        "Channels and units with the smallest weights are removed, and the layers get smaller.",
        "Li et al. 2017, arXiv 1608.08710; Fang et al. 2023, arXiv 2301.12900",
        (_SHARE, _SCOPE, _NORM),
        sweeps="amount",
    ),
    CompressionMethod(
        "heads",
        "Heads",
        "Heads of attention that weigh least are removed; silenced where their number is fixed.",
        "Michel et al. 2019, arXiv 1905.10650",
        (_SHARE, _SCOPE),
        sweeps="amount",
    ),
    CompressionMethod(
        "lowrank",
        "Low rank",
        "Each layer as a product of two thin ones, where that holds less.",
        "Denton et al. 2014, arXiv 1404.0736; Zhang et al. 2015, arXiv 1505.06798",
        (_ENERGY, _RANK),
        sweeps="energy",
    ),
)
NAMES = tuple(each.name for each in METHODS)
