"""Tables whose rows lie on disk: cells by row, columns on demand, a frame of all where it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from core.data.cells import as_numbers, short, text_of
from core.data.splits import counted
from core.data.spool import Noted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SpooledTable:
    """The rows of one file, and what was ``noted`` of them."""

    table: pa.Table
    noted: Noted

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    @cached_property
    def _ends(self) -> Rows:
        """Where each block of rows ends."""
        return np.cumsum([len(each) for each in self.table.column(0).chunks])

    def value(self, name: str, row: int) -> Any:
        """A value as the file has it: a text, a number, None for a missing one."""
        block = int(np.searchsorted(self._ends, row, side="right"))
        start = int(self._ends[block - 1]) if block else 0
        column = self.table.column(name)
        found = column.chunk(block)[row - start].as_py()
        if found is None or found != found:
            return None
        if name in self.noted.numeric or (isinstance(found, int) and column.null_count):
            return float(found)
        return found

    def text(self, name: str, row: int) -> str:
        """A value as text, empty for a missing one."""
        return text_of(self.value(name, row))

    def numbers(self, name: str) -> bool:
        """Whether a column holds nothing but numbers and missing values."""
        import pyarrow as pa

        if not pa.types.is_string(self.table.schema.field(name).type):
            return True
        return name in self.noted.numeric or self.noted.numbers[name].yes

    def blocks(self, name: str, rows: Rows | None) -> Iterator[pa.Array]:
        """The values of a column, or those of some rows in rising order, a part at a time."""
        start = 0
        for block in self.table.column(name).chunks:
            end = start + len(block)
            if rows is None:
                yield block
            else:
                first, last = np.searchsorted(rows, [start, end])
                if last > first:
                    yield block.take(rows[first:last] - start)
            start = end

    def frame(self) -> pd.DataFrame:
        """All columns, in memory: numbers as float64 or int64, all else as texts."""
        import pandas as pd

        frame: pd.DataFrame = self.table.to_pandas(ignore_metadata=True)
        if not self.noted.numeric:
            return frame
        return pd.DataFrame(
            {
                name: frame[name].astype("float64") if name in self.noted.numeric else frame[name]
                for name in frame.columns
            }
        )


@dataclass(frozen=True)
class Spooled:
    """The rows of the files of each part, one after the other: ``train``, ``val``, ``test``, or one
    without a name.
    """

    tables: Mapping[str, SpooledTable]

    def __len__(self) -> int:
        """Number of rows."""
        return int(self._ends[-1])

    @cached_property
    def _list(self) -> tuple[SpooledTable, ...]:
        return tuple(self.tables.values())

    @cached_property
    def _ends(self) -> Rows:
        return np.cumsum([len(each) for each in self._list])

    def _place(self, row: int) -> tuple[SpooledTable, int]:
        part = int(np.searchsorted(self._ends, row, side="right"))
        return self._list[part], row - (int(self._ends[part - 1]) if part else 0)

    @property
    def names(self) -> list[str]:
        """The columns in their order."""
        return list(self._list[0].table.schema.names)

    def misfits(self, names: Sequence[str]) -> list[str]:
        """Notes on columns that begin as numbers and are taken as texts for what comes later."""
        notes = []
        for name in names:
            for part, each in self.tables.items():
                found = each.noted.numbers.get(name)
                if found is not None and found.count and name not in each.noted.numeric:
                    where = f" of {part}" if part else ""
                    notes.append(
                        f"column '{name}' begins with numbers and is taken as texts, for "
                        f"{counted(found.count, 'value')} that "
                        f"{'is none' if found.count == 1 else 'are none'} "
                        f"(the first: '{found.first}' in row {found.row + 1:,}{where})"
                    )
        return notes

    def parts(self) -> dict[str, Rows]:
        """The rows of each part, where there are some."""
        starts = [0, *self._ends.tolist()]
        return {
            part: np.arange(start, start + len(each))
            for (part, each), start in zip(self.tables.items(), starts, strict=False)
        }

    def value(self, name: str, row: int) -> Any:
        """A value as the file has it; see ``SpooledTable``."""
        table, place = self._place(row)
        return table.value(name, place)

    def text(self, name: str, row: int) -> str:
        """A value as text; see ``SpooledTable``."""
        table, place = self._place(row)
        return table.text(name, place)

    def blank(self) -> Rows:
        """The rows whose text is blank."""
        starts = [0, *self._ends.tolist()]
        found = [each.noted.blank + start for each, start in zip(self._list, starts, strict=False)]
        return np.concatenate(found)

    def coded(self, name: str) -> tuple[npt.NDArray[np.int64], list[str]] | None:
        """The values of a column without white space around them: positions in a list of different
        ones, int64 ``[row]``, and that list, in which the first is empty. None for too many.
        """
        names: dict[str, int] = {"": 0}
        found = []
        for each in self._list:
            coded = each.noted.coded[name]
            if coded.too_many:
                return None
            numeric = name in each.noted.numeric
            texts = (text_of(float(v) if numeric else v).strip() for v in coded.values)
            places = [names.setdefault(text, len(names)) for text in texts]
            found.append(np.array([*places, 0], np.int64)[coded.codes])
        return np.concatenate(found), list(names)

    def column(self, name: str, rows: Rows | None = None) -> npt.NDArray[Any]:
        """A column, or some rows of it: float64 with NaN for missing where all values are numbers,
        else texts as they are shown beside a point.
        """
        return self._column(name, rows, all(each.numbers(name) for each in self._list))

    def column_of_texts(self, name: str, rows: Rows | None = None) -> npt.NDArray[Any]:
        """The same with all values as texts."""
        return self._column(name, rows, numbers=False)

    def _column(self, name: str, rows: Rows | None, numbers: bool) -> npt.NDArray[Any]:
        if rows is not None and len(rows) and (np.diff(rows) < 0).any():
            order = np.argsort(rows, kind="stable")
            found = self._column(name, rows[order], numbers)
            back = np.empty_like(found)
            back[order] = found
            return back
        parts: list[npt.NDArray[Any]] = []
        start = 0
        for each, end in zip(self._list, self._ends.tolist(), strict=True):
            inner = None
            if rows is not None:
                first, last = np.searchsorted(rows, [start, end])
                inner = rows[first:last] - start
            numeric = name in each.noted.numeric
            blocks = each.blocks(name, inner)
            parts += [_numbers(block) if numbers else _texts(block, numeric) for block in blocks]
            start = end
        if not parts:
            return np.zeros(0, np.float64 if numbers else "U1")
        return np.concatenate(parts)


def _numbers(block: pa.Array) -> npt.NDArray[np.float64]:
    found = as_numbers(block)
    if found is None:
        raise ValueError("a column of numbers has other values")
    return found


def _texts(block: pa.Array, numeric: bool) -> npt.NDArray[np.str_]:
    values = block.to_pylist()
    if numeric:
        values = [None if each is None else float(each) for each in values]
    return np.array([short(text_of(each)) for each in values], dtype=np.str_)


class Numbered(Sequence[str]):
    """Names of rows by their number from 1, such as ``row 7``; nothing is held for each."""

    def __init__(self, noun: str, rows: Rows | range) -> None:
        self._noun, self._rows = noun, rows

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """One name, or a list of some."""
        if isinstance(place, slice):
            return [f"{self._noun} {int(row) + 1}" for row in self._rows[place]]
        return f"{self._noun} {int(self._rows[place]) + 1}"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and not isinstance(other, str)
            and len(self) == len(other)
            and all(ours == theirs for ours, theirs in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]
