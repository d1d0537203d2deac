"""The parts of the Importance page: a title and the module whose ``draw(now)`` draws it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboard.state import Selection

PARTS: dict[str, tuple[str, str]] = {
    "overall": ("Over the data", "dashboard.weighing.overall"),
    "feature": ("One feature", "dashboard.weighing.feature"),
    "surrogate": ("Surrogate tree", "dashboard.weighing.surrogate"),
    "change": ("What would change it", "dashboard.weighing.change"),
    "concepts": ("Concepts", "dashboard.weighing.concepts"),
    "influence": ("Training examples", "dashboard.weighing.influence"),
}


def part(now: Selection) -> str:
    """The part in hand; the first one for an unknown name."""
    return now.weighed if now.weighed in PARTS else next(iter(PARTS))


def drawn(now: Selection) -> None:
    """Draw the part in hand."""
    _, module = PARTS[part(now)]
    importlib.import_module(module).draw(now)
