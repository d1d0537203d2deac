"""A JSON Lines file: an object in each line, its values as texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from core.data.csvfile import check_skipped
from core.data.files import LeftOut
from core.data.spool import Picked, Spool
from core.data.spooled import SpooledTable
from core.data.textfile import LONGEST_LINE, Encoding, lines

_FIRST: Final = 1_000  # columns that appear only later are not offered
_ROWS: Final = 4_096
_LETTERS: Final = 2**22


def spooled(
    path: Path,
    encoding: Encoding,
    choose: Callable[[tuple[str, ...]], Picked],
    max_rows: int,
    max_skipped: float,
) -> tuple[SpooledTable, LeftOut]:
    """The columns that ``choose`` picks from the names in the first 1,000 objects, and the lines
    that were left out because they hold no object. Lists and objects in them become texts.

    Raises ``BadInput`` when these are more than ``max_skipped`` of all, or there are more than
    ``max_rows``.
    """
    left_out = LeftOut()
    rows: list[dict[str, Any]] = []
    table: _Table | None = None
    letters = 0
    for number, line in lines(path, encoding):
        if line is not None and not line.strip():
            continue
        row = None if line is None else _object(line)
        if row is None:
            reason = "not a JSON object"
            if line is None:
                reason = f"longer than {LONGEST_LINE // 2**20} MiB"
            left_out.add(f"{path.name}, line {number}", reason)
            continue
        rows.append(row)
        letters += len(line or "")
        if table is None and len(rows) == _FIRST:
            table = _Table(path, rows, choose, max_rows)
        if len(rows) >= _ROWS or letters > _LETTERS:
            table = table or _Table(path, rows, choose, max_rows)
            table.add(rows)
            rows, letters = [], 0
    check_skipped(path, left_out, len(rows) + (table.spool.rows if table else 0), max_skipped)
    table = table or _Table(path, rows, choose, max_rows)
    table.add(rows)
    return table.done(), left_out


class _Table:
    """The columns of some objects, spooled; which of them are all numbers."""

    def __init__(
        self,
        path: Path,
        rows: list[dict[str, Any]],
        choose: Callable[[tuple[str, ...]], Picked],
        max_rows: int,
    ) -> None:
        import pyarrow as pa

        seen: dict[str, None] = {}
        for row in rows:
            seen.update(dict.fromkeys(row))
        picked = choose(tuple(seen))
        self.names = list(dict.fromkeys(picked.columns))
        self.numeric = set(self.names)
        self.schema = pa.schema([(name, pa.string()) for name in self.names])
        self.spool = Spool(path, self.schema, picked, max_rows)

    def add(self, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa

        columns = []
        for name in self.names:
            values = [row.get(name) for row in rows]
            if name in self.numeric and not all(map(_is_number, values)):
                self.numeric.remove(name)
            columns.append(pa.array([_text(value) for value in values], pa.string()))
        self.spool.add(pa.record_batch(columns, schema=self.schema))

    def done(self) -> SpooledTable:
        return SpooledTable(*self.spool.done(frozenset(self.numeric)))


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
        return False
    try:
        float(value or 0)
    except OverflowError:
        return False
    return True


def _text(value: object) -> str | None:
    """A value of JSON as one cell: lists and objects stay JSON."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    if text.isascii():
        return text
    # half of a pair of surrogates is no character: JSON can spell it, UTF-8 cannot
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
