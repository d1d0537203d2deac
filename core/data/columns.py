"""Columns of strangers' tables: CSV, TSV, JSON Lines and Parquet, known by their content.

Only the columns that are asked for are kept in memory. Everything in a CSV stays text here: what is
a number is decided by whoever needs numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.data.cells import texts
from core.data.splits import Positions, listed, named_splits
from core.data.spool import Picked
from core.data.tablefile import MAX_SKIPPED, TableFile, read
from core.errors import BadInput
from core.paths import located

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS: Final = 5_000_000
MAX_DECODED: Final = 8 * 2**30  # bytes in memory


@dataclass(frozen=True)
class Columns:
    """The columns of a table in their order, its ``parts`` where the data name them (positions by
    ``train``, ``val``, ``test``), and what was ``skipped`` or assumed (``notes``).

    ``decimal_comma`` says that numbers may be written as ``3,14``.
    """

    frame: pd.DataFrame
    parts: Mapping[str, Positions] | None
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    decimal_comma: bool = False


def read_columns(
    path: str | Path,
    choose: Callable[[tuple[str, ...]], Sequence[str]] = lambda names: names,
    *,
    split_column: str = "split",
    max_rows: int = MAX_ROWS,
    max_skipped: float = MAX_SKIPPED,
) -> Columns:
    """The columns of the table at ``path`` that ``choose`` picks from all their names, in memory.

    ``path`` and ``split_column`` are as in ``core.data.tablefile.read``, which also says what it
    raises; besides, ``BadInput`` for columns that take more than 8 GiB.
    """
    found = read(
        located(path),
        lambda names: Picked(tuple(choose(names))),
        split_column=split_column,
        max_rows=max_rows,
        max_skipped=max_skipped,
    )
    frame, parts = _frame(found), None
    if found.split:
        where = f"The column '{found.split}' of '{Path(path).name}'"
        parts = named_splits(texts(frame[found.split]), where)
        frame = frame.drop(columns=found.split)
    elif "" not in found.rows.tables:
        parts = found.rows.parts()
    skipped = tuple(f"{each.name}: {each.reason}" for each in found.left_out.listed())
    return Columns(frame, parts, skipped, found.notes, found.decimal_comma)


def _frame(found: TableFile) -> pd.DataFrame:
    import pandas as pd

    tables = found.rows.tables.values()
    if sum(each.table.nbytes for each in tables) > MAX_DECODED:
        raise BadInput(
            f"These columns take more than {MAX_DECODED // 2**30} GiB of memory.",
            "Take a sample of the rows, or fewer columns.",
        )
    frames = [each.frame() for each in tables]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


class UnknownColumn(BadInput):
    """A column that a table does not have, or has not told; ``columns`` are those it has."""

    def __init__(self, message: str, next_step: str = "", columns: Sequence[str] = ()) -> None:
        super().__init__(message, next_step)
        self.columns = tuple(columns)


def need(names: Sequence[str], column: str, where: str, also: Sequence[str] = ()) -> str:
    """The column called ``column``, else the first of ``also`` that there is; case does not matter.

    Raises ``UnknownColumn`` that says which columns there are.
    """
    if column in names:
        return column
    lowered = {name.lower().strip(): name for name in reversed(names)}
    for wanted in (column, *also):
        if wanted.lower() in lowered:
            return lowered[wanted.lower()]
    raise UnknownColumn(
        f"{where} has no column '{column}'. Its columns are {listed(names)}.",
        "Rename one, or say which to use.",
        names,
    )
