"""A CSV or TSV file: its delimiter, its header, and its columns as text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.data.files import LeftOut
from core.data.splits import counted
from core.data.spool import Picked, Spool
from core.data.spooled import SpooledTable
from core.data.textfile import Encoding, read_head
from core.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS: Final = 10_000
_DELIMITERS: Final = (",", "\t", ";", "|")
_BLOCK = 2**20  # about 35 of them are read ahead
_LONGEST = 2**24  # row, for which larger blocks are read


@dataclass(frozen=True)
class CsvFile:
    """How a file is to be read. ``header_lines`` are left out before the first row; ``quoted`` says
    that a quotation mark at the beginning of a field encloses it.
    """

    path: Path
    encoding: Encoding
    delimiter: str
    names: tuple[str, ...]
    header_lines: int
    quoted: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def sniffed(cls, path: Path, encoding: Encoding) -> CsvFile:
        """Decide from the beginning of the file.

        The delimiter is the one that divides the most lines into the same number of fields. The
        first line is the header, unless all its fields are numbers: then columns are called
        ``column 1`` and so on.

        Raises ``BadInput`` when there are no lines or more than 10,000 columns.
        """
        head = read_head(path, encoding).lstrip("\ufeff")
        blank = len(head) - len(head.lstrip("\r\n"))
        delimiter = _delimiter(head[blank:], path)
        reader = csv.reader(io.StringIO(head[blank:], newline=""), delimiter=delimiter)
        try:
            first = next(reader)
        except (StopIteration, csv.Error):
            raise BadInput(
                f"'{path.name}' has no header.", "The first line names the columns."
            ) from None
        if len(first) > MAX_COLUMNS:
            raise BadInput(
                f"'{path.name}' has {len(first):,} columns, at most {MAX_COLUMNS:,} are read.",
                "Leave some out.",
            )
        lines = head[:blank].count("\n") + reader.line_num
        if all(_is_number(field) for field in first):
            names = tuple(f"column {number}" for number in range(1, len(first) + 1))
            note = f"'{path.name}' has no header: its columns are called column 1 and so on"
            return cls(path, encoding, delimiter, names, head[:blank].count("\n"), notes=(note,))
        return cls(path, encoding, delimiter, _distinct(first), lines)

    def spooled(
        self, picked: Picked, max_rows: int, max_skipped: float
    ) -> tuple[SpooledTable, LeftOut, tuple[str, ...]]:
        """Some columns as text, missing values empty; the rows that were left out because they have
        too few or too many fields; and notes on what was assumed.

        Raises ``BadInput`` when these are more than ``max_skipped`` of all, there are more than
        ``max_rows``, or a quotation mark is never closed.
        """
        picked = replace(picked, line_ends=True)
        table, left_out = self._table(picked, max_rows)
        notes = self.notes
        if (left_out or table.noted.line_ends) and (fault := self._quoting_fault()):
            plain, unfit = replace(self, quoted=False)._table(picked, max_rows)
            if unfit.count <= max_skipped * (len(plain) + unfit.count):
                table, left_out = plain, unfit
                notes = (*notes, f"quotation marks in '{self.path.name}' are taken as text")
            elif fault == "open":
                raise BadInput(
                    f"'{self.path.name}' opens a quotation mark that is never closed.",
                    "Close it, or double quotation marks that belong to the text.",
                )
        check_skipped(self.path, left_out, len(table), max_skipped)
        return table, left_out, notes

    def _quoting_fault(self) -> str:
        """``open`` when the file ends within quotation marks, ``wrong`` when something follows a
        closing one, empty when all is well.
        """
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
        with self.path.open(encoding=self.encoding.name, newline="") as file:
            try:
                for _ in csv.reader(file, delimiter=self.delimiter, strict=True):
                    pass
            except csv.Error as error:
                return "open" if "end of data" in str(error) else "wrong"
        return ""

    def _table(self, picked: Picked, max_rows: int) -> tuple[SpooledTable, LeftOut]:
        """The columns, and what was left out."""
        import pyarrow as pa

        try:
            try:
                return self._spooled(picked, max_rows, _BLOCK)
            except pa.ArrowException as error:
                if "straddl" not in str(error):
                    raise
                return self._spooled(picked, max_rows, _LONGEST)
        except pa.ArrowException as error:
            reason = str(error).strip().split("\n")[0][:200]
            if "straddl" in reason:
                longest = f"{_LONGEST // 2**20} MiB"
                reason = f"a row is longer than {longest}, or a quote is never closed"
            raise BadInput(
                f"'{self.path.name}' cannot be read as a table: {reason}.",
                "Check how the file was written.",
            ) from error

    def _spooled(self, picked: Picked, max_rows: int, block: int) -> tuple[SpooledTable, LeftOut]:
        import pyarrow as pa

        left_out = LeftOut()
        schema = pa.schema([(name, pa.string()) for name in dict.fromkeys(picked.columns)])
        spool = Spool(self.path, schema, picked, max_rows)
        for batch in self._batches(picked, left_out, block):
            spool.add(batch)
        return SpooledTable(*spool.done()), left_out

    def _batches(self, picked: Picked, left_out: LeftOut, block: int) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyarrow import csv as arrow

        def skip(row: Any) -> str:
            has = counted(row.actual_columns, "field")
            number = "" if row.number is None else f", row {row.number - self.header_lines}"
            left_out.add(f"{self.path.name}{number}", f"{has}, expected {row.expected_columns}")
            return "skip"

        with arrow.open_csv(
            self.path,
            read_options=arrow.ReadOptions(
                column_names=self.names,
                skip_rows=self.header_lines,
                encoding=self.encoding.name,
                block_size=block,
                use_threads=False,
            ),
            parse_options=arrow.ParseOptions(
                delimiter=self.delimiter,
                quote_char='"' if self.quoted else False,
                newlines_in_values=self.quoted,
                invalid_row_handler=skip,
            ),
            convert_options=arrow.ConvertOptions(
                include_columns=list(dict.fromkeys(picked.columns)),
                column_types=dict.fromkeys(picked.columns, pa.string()),
                strings_can_be_null=False,
            ),
        ) as reader:
            yield from reader


def check_skipped(path: Path, left_out: LeftOut, good: int, most: float) -> None:
    """Raise ``BadInput`` when more than a share of ``most`` of the rows was left out."""
    if left_out.count > most * (left_out.count + good):
        first = left_out.first[0]
        raise BadInput(
            f"{counted(left_out.count, 'row')} of {left_out.count + good:,} in '{path.name}' "
            f"cannot be read, at most {most:.0%} are skipped. The first: {first.name}: "
            f"{first.reason}.",
            "Check how the file was written.",
        )


def _delimiter(head: str, path: Path) -> str:
    lines = head.splitlines()[:100]
    best, most = ",", 0.0
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    for delimiter in _DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
        if width > 1 and count / len(rows) * min(width, 3) > most:
            best, most = delimiter, count / len(rows) * min(width, 3)
    return best


def _distinct(header: Sequence[str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for number, field in enumerate(header, 1):
        name = field.strip() or f"column {number}"
        copy = 2
        unique = name
        while unique in names:
            unique = f"{name} ({copy})"
            copy += 1
        names[unique] = None
    return tuple(names)


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
