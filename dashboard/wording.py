"""A text or a row of a table as a few words, where there is only a line for it."""

from __future__ import annotations

import json
from contextlib import suppress

from core.tasks import AxisKind

_DIGITS = 6


def words(content: bytes, axis: AxisKind, most: int = 140) -> str:
    """The beginning of an example in one line of at most ``most`` characters; of a row its values
    by column.
    """
    text = content[: 64 * most].decode("utf-8", "replace")
    if axis == "columns":
        try:
            row = json.loads(content)
            text = " · ".join(f"{name} {_short(value)}" for name, value in row.items())
        except (ValueError, AttributeError, RecursionError):
            pass
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _short(value: object) -> str:
    if isinstance(value, str) and len(value) > _DIGITS:
        with suppress(ValueError):
            value = float(value)
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
