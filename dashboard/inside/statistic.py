"""Numbers of a layer over a data set, and what a healthy value of each looks like."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from core.results import LayerBehaviour


@dataclass(frozen=True)
class Statistic:
    """A number of a layer: its title, a d3 format, how it is read off, the healthy range from
    ``low`` to ``high``, and why.
    """

    title: str
    form: str
    of: Callable[[LayerBehaviour], float]
    low: float
    high: float
    why: str

    def judge(self, layer: LayerBehaviour) -> str:
        """``healthy``, ``low`` or ``high``."""
        value = self.of(layer)
        if not math.isfinite(value):
            return "unknown"
        return "low" if value < self.low else "high" if value > self.high else "healthy"


def _share(count: int, layer: LayerBehaviour) -> float:
    return count / max(layer.units, 1)


STATISTICS: dict[str, Statistic] = {
    "rank": Statistic(
        "Effective rank, share of units",
        ".0%",
        lambda each: each.effective_rank / max(each.units, 1),
        0.05,
        1.0,
        "How many directions the units really use. Deep layers of a classifier use few, about as "
        "many as there are classes; below 5 % most units repeat others (Roy and Vetterli 2007; "
        "Huh et al. 2021, arXiv 2103.10427).",
    ),
    "zeros": Statistic(
        "Zeros",
        ".0%",
        lambda each: each.sparsity,
        0.0,
        0.95,
        "After a ReLU half to nine tenths of the activations are zero; above 95 % little gets "
        "through (Glorot et al. 2011).",
    ),
    "dead": Statistic(
        "Dead units",
        ".0%",
        lambda each: _share(len(each.dead), each),
        0.0,
        0.1,
        "Units that answer the same to every example. A few are common with ReLU; above 10 % the "
        "learning rate was too high or the layer is too wide (Lu et al. 2019, arXiv 1903.06733).",
    ),
    "saturated": Statistic(
        "Saturated units",
        ".0%",
        lambda each: _share(len(each.saturated), each),
        0.0,
        0.1,
        "Units that sit at the end of a sigmoid or tanh pass no gradient (Glorot and Bengio 2010).",
    ),
    "copies": Statistic(
        "Units that copy another",
        ".0%",
        lambda each: _share(len({pair[1] for pair in each.duplicates}), each),
        0.0,
        0.05,
        "Pairs of units whose correlation is above 0.999: one of them could be removed.",
    ),
    "deviation": Statistic(
        "Standard deviation",
        ".3g",
        lambda each: each.deviation,
        0.01,
        100.0,
        "Should neither vanish nor explode with depth (Glorot and Bengio 2010; He et al. 2015, "
        "arXiv 1502.01852).",
    ),
    "mean": Statistic(
        "Mean activation",
        ".3g",
        lambda each: each.mean,
        -10.0,
        10.0,
        "Far from zero beside the standard deviation, the layer is an offset rather than an answer "
        "to the input.",
    ),
}


def ailments(layer: LayerBehaviour) -> tuple[str, ...]:
    """Titles of the statistics that are outside of their healthy range."""
    found = [each.title for each in STATISTICS.values() if each.judge(layer) in ("low", "high")]
    if layer.nonfinite:
        found.append("NaN or infinite activations")
    return tuple(found)
