"""Many texts in one file: a table with a column of texts, each as an example of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.data.cells import texts
from core.data.columns import need, read_columns
from core.data.texts import TEXT_NAMES
from core.errors import BadInput
from core.tasks import Example

TABLES: Final = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")
MOST: Final = 10_000


def read_list(path: str | Path, column: str = "") -> tuple[tuple[Example, ...], tuple[str, ...]]:
    """The texts of a table as they stand, each named by the file and its row from 1, and notes on
    what was assumed or left out.

    ``column`` names the one with the texts; by default it is called ``text`` or one of
    ``TEXT_NAMES``, or is the only one.

    Raises ``BadInput`` as ``read_columns`` does, for a missing column (it says which there are), no
    text at all, and more than 10,000 rows.
    """
    where = f"'{Path(path).name}'"

    def choose(names: tuple[str, ...]) -> list[str]:
        if len(names) == 1 and not column:
            return list(names)
        return [need(names, column or "text", where, () if column else TEXT_NAMES)]

    read = read_columns(path, choose, split_column="", max_rows=MOST)
    found = texts(read.frame.iloc[:, 0])
    stem = Path(path).stem
    examples = tuple(
        Example(f"{stem}-{row}", text.encode("utf-8", "surrogatepass"))
        for row, text in enumerate(found, start=1)
        if text.strip()
    )
    if not examples:
        raise BadInput(f"{where} has no row with a text.", "Choose another column.")
    empty = len(found) - len(examples)
    notes = [*read.notes, *read.skipped]
    if empty:
        notes.append(f"{empty:,} of {len(found):,} rows have no text and are left out")
    return examples, tuple(notes)
