"""Layers along an axis: every name where there is room for it, the blocks where there is not."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures.caption import escaped

_LABELLED = 24  # up to so many layers each has its name; of more, each block has
_LEVEL = 6  # so many names stand side by side without a slant
_LETTERS = 24


def layer_ticks(names: Sequence[str], angle: int = -40) -> dict[str, object]:
    """Ticks of an axis on which the layers ``names`` lie at 0, 1, 2 …, as Plotly names them."""
    ticks = {place: _tail(name) for place, name in enumerate(names)}
    if len(names) > _LABELLED:
        ticks = _blocks(names)
    return {
        "tickvals": list(ticks),
        "ticktext": [escaped(text) for text in ticks.values()],
        "tickangle": angle if len(names) > _LEVEL else 0,
    }


def _blocks(names: Sequence[str]) -> dict[int, str]:
    """Where each block begins; of blocks that begin side by side, the largest."""
    members: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(_block(name), []).append(place)
    apart = len(names) / _LABELLED
    found: dict[int, str] = {}
    for block, places in sorted(members.items(), key=lambda item: -len(item[1])):
        if all(abs(places[0] - other) >= apart for other in found):
            found[places[0]] = _tail(block)
    return dict(sorted(found.items()))


def _block(name: str) -> str:
    """The part of a layer's name up to its first number: ``encoder.layers.0``."""
    parts = name.partition("#")[0].split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdecimal()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else parts[0]


def _tail(name: str) -> str:
    """``name`` short enough for an axis; the layers of a block differ in their ends."""
    return name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"
