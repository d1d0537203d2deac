"""A CSV or TSV file: its delimiter, its header, and its columns as text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.data.splits import counted
from core.data.textfile import Encoding, read_head
from core.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAX_COLUMNS: Final = 10_000
_DELIMITERS: Final = (",", "\t", ";", "|")
_BLOCK = 2**24  # the longest row


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

    def read(
        self, names: Sequence[str], max_rows: int, max_skipped: float
    ) -> tuple[pd.DataFrame, tuple[str, ...], tuple[str, ...]]:
        """Some columns as text, missing values empty; the rows that were skipped because they have
        too few or too many fields; and notes on what was assumed.

        Raises ``BadInput`` when these are more than ``max_skipped`` of all, there are more than
        ``max_rows``, or a quotation mark is never closed.
        """
        table, skipped = self._table(names, max_rows)
        notes = self.notes
        if (skipped or _has_line_ends(table)) and (fault := self._quoting_fault()):
            plain, unfit = replace(self, quoted=False)._table(names, max_rows)
            if len(unfit) <= max_skipped * (plain.num_rows + len(unfit)):
                table, skipped = plain, unfit
                notes = (*notes, f"quotation marks in '{self.path.name}' are taken as text")
            elif fault == "open":
                raise BadInput(
                    f"'{self.path.name}' opens a quotation mark that is never closed.",
                    "Close it, or double quotation marks that belong to the text.",
                )
        check_skipped(self.path, skipped, table.num_rows, max_skipped)
        return table.to_pandas(), tuple(skipped), notes

    def _quoting_fault(self) -> str:
        """``open`` when the file ends within quotation marks, ``wrong`` when something follows a
        closing one, empty when all is well.
        """
        csv.field_size_limit(max(csv.field_size_limit(), _BLOCK))
        with self.path.open(encoding=self.encoding.name, newline="") as file:
            try:
                for _ in csv.reader(file, delimiter=self.delimiter, strict=True):
                    pass
            except csv.Error as error:
                return "open" if "end of data" in str(error) else "wrong"
        return ""

    def _table(self, names: Sequence[str], max_rows: int) -> tuple[pa.Table, list[str]]:
        """The columns, and what was skipped."""
        import pyarrow as pa
        from pyarrow import csv as arrow

        skipped: list[str] = []

        def skip(row: Any) -> str:
            has = counted(row.actual_columns, "field")
            number = "" if row.number is None else f", row {row.number - self.header_lines}"
            skipped.append(f"{self.path.name}{number}: {has}, expected {row.expected_columns}")
            return "skip"

        rows = 0
        batches = []
        try:
            with arrow.open_csv(
                self.path,
                read_options=arrow.ReadOptions(
                    column_names=self.names,
                    skip_rows=self.header_lines,
                    encoding=self.encoding.name,
                    block_size=_BLOCK,
                    use_threads=False,
                ),
                parse_options=arrow.ParseOptions(
                    delimiter=self.delimiter,
                    quote_char='"' if self.quoted else False,
                    newlines_in_values=self.quoted,
                    invalid_row_handler=skip,
                ),
                convert_options=arrow.ConvertOptions(
                    include_columns=list(names),
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                ),
            ) as reader:
                for batch in reader:
                    rows += batch.num_rows
                    if rows > max_rows:
                        raise BadInput(
                            f"'{self.path.name}' has more than {max_rows:,} rows.",
                            "Take a sample of it.",
                        )
                    batches.append(batch)
                schema = reader.schema
        except pa.ArrowException as error:
            reason = str(error).strip().split("\n")[0][:200]
            if "straddl" in reason:
                reason = f"a row is longer than {_BLOCK // 2**20} MiB, or a quote is never closed"
            raise BadInput(
                f"'{self.path.name}' cannot be read as a table: {reason}.",
                "Check how the file was written.",
            ) from error
        return pa.Table.from_batches(batches, schema), skipped


def check_skipped(path: Path, skipped: Sequence[str], good: int, most: float) -> None:
    """Raise ``BadInput`` when more than a share of ``most`` of the rows was skipped."""
    if len(skipped) > most * (len(skipped) + good):
        raise BadInput(
            f"{counted(len(skipped), 'row')} of {len(skipped) + good:,} in '{path.name}' cannot be "
            f"read, at most {most:.0%} are skipped. The first: {skipped[0]}.",
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


def _has_line_ends(table: pa.Table) -> bool:
    import pyarrow.compute as pc

    return any(pc.any(pc.match_substring(each, "\n")).as_py() for each in table.columns)
