"""The declaration of an attribution method: a value that pages, command line and tests read.

Nothing heavy is imported here. The function behind a method is named by ``run`` as
``"module:function"`` and resolved where it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from core.parameters import Parameter, Value
from core.results.architecture import Architecture, Fit
from core.tasks import FeatureAxis

Family = Literal["gradient", "layer", "perturbation", "attention"]


@dataclass(frozen=True)
class Cost:
    """Passes of one example through the network that one explanation of it needs."""

    forward: float = 0.0
    backward: float = 0.0

    def seconds(self, architecture: Architecture) -> float:
        """Estimate from the measured time of a pass; ``backward`` passes include their forward."""
        return (
            self.forward * architecture.pass_seconds + self.backward * architecture.backward_seconds
        )


@dataclass(frozen=True)
class AttributionMethod:
    """One way to attribute.

    ``summary`` says in one line how to read the picture. ``signed``: positive speaks for the
    target. ``unit``: what the values are counted in; only values of one unit can be compared.
    ``complete``: the values sum to f(x) - f(baseline), so a delta is reported.
    ``stochastic``: the result depends on the seed. ``hooked``: it works through hooks on modules,
    so it runs on the rewritten form of the network (``core.models.rewrite``).
    ``norm``: a part with several numbers (a token's embedding) gets their Euclidean norm, not
    their sum.
    ``fit(architecture)`` marks it exact, approximate or not valid for a model, with the reason.
    ``cost(settings, axis)`` counts passes.
    """

    name: str
    title: str
    family: Family
    summary: str
    reference: str
    run: str
    fit: Callable[[Architecture], Fit]
    cost: Callable[[Mapping[str, Value], FeatureAxis], Cost]
    parameters: tuple[Parameter, ...] = ()
    signed: bool = True
    unit: str = "logits"
    complete: bool = False
    stochastic: bool = False
    hooked: bool = False
    norm: bool = False
