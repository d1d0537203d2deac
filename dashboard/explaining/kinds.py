"""Which file explains the model in hand: chosen by what its inputs are divided into."""

from __future__ import annotations

from types import ModuleType

from core.tasks import AxisKind
from dashboard import cached, state
from dashboard.explaining import columns, pixels, tokens

_EXPLAINING: dict[AxisKind, ModuleType] = {
    "pixels": pixels,
    "tokens": tokens,
    "columns": columns,
}


def of(chosen: state.Selection) -> ModuleType:
    """The file for the model of a selection."""
    return _EXPLAINING[cached.model_card(chosen.model).task.axis]
