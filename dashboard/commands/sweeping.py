"""What ``fluoroscope compress --sweep`` understands and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.results import Sweep


def values_of(text: str) -> dict[str, Any]:
    """``amount=0.1:0.9:9`` or ``rank=4,8,16`` as a setting and its values.

    Raises ``BadParameter``.
    """
    from core.compression.methods import MOST
    from core.errors import BadParameter

    name, _, after = text.partition("=")
    try:
        if after.count(":") == 2:
            first, last, count = after.split(":")
            if not 2 <= int(count) <= MOST:
                raise ValueError
            values = np.linspace(float(first), float(last), int(count)).round(6).tolist()
        else:
            values = [float(each) for each in after.split(",")]
    except ValueError:
        raise BadParameter(
            f"'{text[:80]}' is not a sweep.",
            f"Write amount=0.1:0.9:9 (from, to and 2 to {MOST} values) or rank=4,8,16.",
        ) from None
    return {"setting": name.strip(), "values": values}


def show_sweep(found: Sweep, figure: Path | None, as_json: bool) -> None:
    """Print a sweep as a table, with what it shows, and write its figure."""
    from core.results.sweeping import finding, rows

    several = rows(found)
    if as_json:
        about = {
            "setting": found.setting,
            "other_reasons": _value(found, found.other_reasons),
            "less_accurate": _value(found, found.less_accurate),
            "finding": finding(found),
            "notes": [note for note in found.notes if note],
            "rows": several,
        }
        print(json.dumps(about, indent=2))
    else:
        show(several, False)
        print(f"over {found.examples:,} examples of {found.data}; reasons by {found.method}")
        print(finding(found))
        for note in sorted({note for note in found.notes if note}):
            print(note)
    if figure is not None:
        from dashboard.export import write
        from dashboard.figures.tradeoff import tradeoff

        write(figure, tradeoff(found), [found], figure.suffix.lstrip("."))
        if not as_json:
            print(figure)


def _value(found: Sweep, place: int | None) -> float | None:
    return None if place is None else float(found.values[place])
