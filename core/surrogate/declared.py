"""What a surrogate tree can be asked for. Imports no torch: pages and commands read it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import BadParameter, NotValid, shortened
from core.parameters import Parameter
from core.tasks import AxisKind

DEPTH = Parameter("depth", "int", 4, "The most questions before an answer.", 1, 8)
MIN_LEAF = Parameter(
    "min_leaf",
    "int",
    5,
    "The fewest examples that an answer stands on; more make a smaller, steadier tree.",
    1,
    10_000,
    label="Examples per leaf",
)
GRID = Parameter("grid", "int", 7, "Rows and columns of regions in a picture.", 2, 16)
PARAMETERS = (DEPTH, MIN_LEAF, GRID)
ON = Parameter("on", "layer", "", "What the tree asks about.", label="Fitted on")
COLUMNS, WORDS, REGIONS, LAYER = "columns", "words", "regions", "layer:"
USUAL: dict[AxisKind, str] = {"columns": COLUMNS, "tokens": WORDS, "pixels": REGIONS}
LEAST = 20


@dataclass(frozen=True)
class Declared:
    """A thing with parameters, for controls."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]


SURROGATE = Declared("surrogate", "Surrogate tree", (*PARAMETERS, ON))


def check(model: str, classes: Sequence[str]) -> None:
    """Raise ``NotValid`` for a model without classes."""
    if not classes:
        raise NotValid(
            f"'{model}' has no classes, so there is no answer for a tree to give.",
            "Choose a classifier.",
        )


def basis(on: str, axis: AxisKind) -> str:
    """What the tree of a model that reads ``axis`` is fitted on: ``on``, or the usual for nothing.

    Raises ``BadParameter`` for what such a model does not have.
    """
    if not on:
        return USUAL[axis]
    if on == USUAL[axis] or (on.startswith(LAYER) and on != LAYER):
        return on
    raise BadParameter(
        f"The tree cannot be fitted on '{shortened(on, 80)}', expected {USUAL[axis]} or "
        f"{LAYER}NAME.",
        f"Leave it out to use {USUAL[axis]}; `fluoroscope layers` lists layers.",
    )
