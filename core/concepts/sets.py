"""Sets of examples that stand for a concept: picked ones, a person's own, and some made up.

Imports no torch: pages and commands put calls together with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.data.dataset import Dataset
from core.data.subset import Subset
from core.errors import BadInput
from core.parameters import Parameter
from core.tasks import Example

LEAST = 6  # examples of a concept: a third of them is held out
SETTINGS = (
    Parameter(
        "pool",
        "choice",
        "auto",
        "What of a layer's positions (pixels, tokens) a concept is looked for in: each by itself "
        "(whole), or their mean, which is all there is where texts differ in length. Auto takes "
        "them whole where that is possible.",
        choices=("auto", "mean", "whole"),
    ),
    Parameter("repeats", "int", 5, "Random sets that a concept is held against.", 2, 100),
    Parameter("draws", "int", 30, "Random sets that stand in for a concept.", 10, 500),
    Parameter("set_size", "int", 50, "Examples of a set, at most.", 6, 1000),
    Parameter("examples", "int", 100, "Examples of the class, at most.", 1, 5000),
)


@dataclass(frozen=True)
class ConceptSet:
    """What a concept is called, and its examples: ``rows`` of the data at hand, or its own.

    ``about`` says in a few words what they are.
    """

    name: str
    rows: tuple[int, ...] = ()
    examples: tuple[Example, ...] = ()
    about: str = ""

    def __len__(self) -> int:
        return len(self.rows) + len(self.examples)


def of_subset(subset: Subset, data: Dataset) -> ConceptSet:
    """Examples that were picked out of the data.

    Raises ``BadInput`` when they were picked out of others.
    """
    subset.mask(data)
    return ConceptSet(subset.title, subset.rows, about="picked examples")


def request(
    data: Dataset,
    target: str,
    sets: Sequence[ConceptSet],
    layers: Sequence[str] = (),
    **settings: Any,
) -> tuple[tuple[Example, ...], dict[str, Any]]:
    """Inputs and parameters of the verb ``concept_scores``.

    Raises ``BadInput`` for two concepts of one name.
    """
    names = [each.name for each in sets]
    if len(set(names)) < len(names):
        raise BadInput("Two concepts have the same name.", "Give each a name of its own.")
    concepts: list[Mapping[str, Any]] = [
        {"name": each.name, "rows": list(each.rows), "count": len(each.examples)} for each in sets
    ]
    inputs = tuple(example for each in sets for example in each.examples)
    return inputs, {
        "data": asdict(data.ref),
        "target": target,
        "concepts": concepts,
        "layers": list(layers),
        **settings,
    }
