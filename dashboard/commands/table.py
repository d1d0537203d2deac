"""Rows on standard output, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, hidden: tuple[str, ...] = ()) -> None:
    """Print rows with equal keys as aligned columns, without those ``hidden``, or as JSON."""
    if as_json:
        print(json.dumps(list(rows), indent=2))
        return
    columns = [name for name in rows[0] if name not in hidden] if rows else []
    cells = [columns] + [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
