"""Tables of strangers: CSV, TSV, JSON Lines and Parquet, known by their content, read once.

Their rows lie on disk afterwards: see ``core.data.spooled``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from core.data import jsonlines, parquetfile
from core.data.csvfile import CsvFile
from core.data.files import LeftOut
from core.data.splits import listed, split_name
from core.data.spool import Picked
from core.data.spooled import Spooled, SpooledTable
from core.data.textfile import MAX_BYTES, check_file, encoding_of
from core.errors import BadInput

MAX_SKIPPED: Final = 0.10
ENDINGS: Final = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
_FORMATS = "Expected a CSV, TSV, JSON Lines or Parquet file."

Choose = Callable[[tuple[str, ...]], Picked]


@dataclass(frozen=True)
class TableFile:
    """What was read: ``rows`` on disk, ``split`` as the name of the column that says which part
    they belong to, rows ``left_out``, ``notes`` on what was assumed.

    ``decimal_comma`` says that numbers may be written as ``3,14``.
    """

    rows: Spooled
    split: str
    left_out: LeftOut
    notes: tuple[str, ...]
    decimal_comma: bool


def read(
    place: Path,
    choose: Choose,
    *,
    split_column: str = "split",
    max_rows: int,
    max_skipped: float = MAX_SKIPPED,
    max_bytes: float = MAX_BYTES,
) -> TableFile:
    """The columns of the table at ``place`` that ``choose`` picks from all their names.

    ``place`` is a file, or a folder with ``train.csv``, ``val.csv`` … (or of another format).
    Within one file a column called ``split_column``, where there is one, is kept as well.

    Raises ``BadInput`` for a file that is missing, empty, of another kind, damaged, too large, has
    no rows, or has more than ``max_skipped`` rows that do not fit its header; and for files with
    different columns.
    """
    files = _files(place)
    tables: dict[str, SpooledTable] = {}
    left_out = LeftOut()
    notes: list[str] = []
    comma = False
    for part, path in files.items():
        wanted = "" if part else split_column
        table, gone, said, with_comma = _read(
            path, _with_split(choose, wanted), max_rows, max_skipped, max_bytes
        )
        tables[part] = table
        left_out.also(gone)
        notes += said
        comma = comma or with_comma
    first = next(iter(tables.values())).table.schema.names
    for part, table in tables.items():
        if table.table.schema.names != first:
            raise BadInput(
                f"'{files[part].name}' has other columns than '{files['train'].name}': "
                f"{listed(table.table.schema.names)} and {listed(first)}.",
                "Give all files the same columns.",
            )
    split = split_column if "" in files and split_column in first else ""
    return TableFile(Spooled(tables), split, left_out, tuple(notes), comma)


def _with_split(choose: Choose, split_column: str) -> Choose:
    def chosen(names: tuple[str, ...]) -> Picked:
        picked = choose(tuple(name for name in names if name != split_column))
        if split_column not in names or not split_column:
            return picked
        columns, coded = (*picked.columns, split_column), (*picked.coded, split_column)
        return replace(picked, columns=columns, coded=coded)

    return chosen


def _files(place: Path) -> dict[str, Path]:
    if not place.is_dir():
        return {"": place}
    tables = sorted(each for each in place.iterdir() if each.suffix.lower() in ENDINGS)
    found: dict[str, Path] = {}
    for each in tables:
        part = split_name(each.stem)
        if part in found:
            raise BadInput(
                f"'{place}' has two files for {part}: '{found[part].name}' and '{each.name}'.",
                "Keep one of them.",
            )
        if part:
            found[part] = each
    if "train" in found:
        return {part: found[part] for part in ("train", "val", "test") if part in found}
    if len(tables) == 1:
        return {"": tables[0]}
    what = "no table" if not tables else f"{len(tables)} tables and none called train"
    raise BadInput(
        f"The folder '{place}' has {what}.", "Name a file, or a folder with train.csv and val.csv."
    )


def _read(
    path: Path, choose: Choose, max_rows: int, max_skipped: float, max_bytes: float
) -> tuple[SpooledTable, LeftOut, Sequence[str], bool]:
    check_file(path, max_bytes)
    with path.open("rb") as file:
        first = file.read(4)
    left_out, comma = LeftOut(), False
    notes: tuple[str, ...] = ()
    if first == b"PAR1":
        table, notes = parquetfile.spooled(path, choose, max_rows)
    else:
        encoding = encoding_of(path, max_bytes)
        with path.open(encoding=encoding.name) as text:
            character = text.read(4096).lstrip()[:1]
        if character == "[":
            raise BadInput(
                f"'{path.name}' is a JSON list.", "Save it as JSON Lines: one object per line."
            )
        if character == "{":
            table, left_out = jsonlines.spooled(path, encoding, choose, max_rows, max_skipped)
        else:
            file_of = CsvFile.sniffed(path, encoding)
            table, left_out, notes = file_of.spooled(choose(file_of.names), max_rows, max_skipped)
            comma = file_of.delimiter == ";"
        notes = (*((encoding.note,) if encoding.note else ()), *notes)
    if not len(table):
        raise BadInput(f"'{path.name}' has no rows below its header.", _FORMATS)
    return table, left_out, notes, comma
