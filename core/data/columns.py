"""Columns of strangers' tables: CSV, TSV, JSON Lines and Parquet, known by their content.

Only the columns that are asked for are kept in memory. Everything in a CSV stays text here: what is
a number is decided by whoever needs numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.data.csvfile import CsvFile, check_skipped
from core.data.splits import Positions, listed, named_splits, split_name
from core.data.textfile import Encoding, check_file, encoding_of
from core.errors import BadInput
from core.paths import located

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS: Final = 5_000_000
MAX_SKIPPED: Final = 0.10
MAX_DECODED: Final = 8 * 2**30  # bytes in memory; a small Parquet file can hold far more
ENDINGS: Final = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
_FORMATS = "Expected a CSV, TSV, JSON Lines or Parquet file."


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


@dataclass(frozen=True)
class _Read:
    frame: pd.DataFrame
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
    """The columns of the table at ``path`` that ``choose`` picks from all their names.

    ``path`` is a file, or a folder with ``train.csv``, ``val.csv`` … (or of another format). Within
    one file a column called ``split_column``, where there is one, says which part a row belongs to.

    Raises ``BadInput`` for a file that is missing, empty, of another kind, damaged, too large, has
    no rows, or has more than ``max_skipped`` rows that do not fit its header.
    """
    place = located(path)
    files = _files(place)
    reads: dict[str, _Read] = {}
    for part, file in files.items():
        reads[part] = _read(file, choose, split_column if not part else "", max_rows, max_skipped)
    first = next(iter(reads.values()))
    skipped = tuple(line for each in reads.values() for line in each.skipped)
    notes = tuple(line for each in reads.values() for line in each.notes)
    comma = any(each.decimal_comma for each in reads.values())
    if "" in reads:
        frame = first.frame
        parts = None
        if split_column in frame.columns:
            where = f"The column '{split_column}' of '{files[''].name}'"
            parts = named_splits(texts(frame[split_column]), where)
            frame = frame.drop(columns=split_column)
        return Columns(frame, parts, skipped, notes, comma)
    import pandas as pd

    for part, each in reads.items():
        if list(each.frame.columns) != list(first.frame.columns):
            raise BadInput(
                f"'{files[part].name}' has other columns than '{files['train'].name}': "
                f"{listed(list(each.frame.columns))} and {listed(list(first.frame.columns))}.",
                "Give all files the same columns.",
            )
    ends = np.cumsum([0, *(len(each.frame) for each in reads.values())])
    parts = {part: np.arange(ends[i], ends[i + 1]) for i, part in enumerate(reads)}
    frame = pd.concat([each.frame for each in reads.values()], ignore_index=True)
    return Columns(frame, parts, skipped, notes, comma)


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


def texts(column: pd.Series[Any]) -> list[str]:
    """The values of a column as text; missing ones are empty, whole numbers have no ``.0``."""
    import pandas as pd

    missing = column.isna().to_numpy()
    values = column.tolist()
    if pd.api.types.is_float_dtype(column.dtype):
        values = [f"{value:.0f}" if float(value).is_integer() else value for value in values]
    return ["" if gone else str(value) for value, gone in zip(values, missing, strict=True)]


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
    path: Path,
    choose: Callable[[tuple[str, ...]], Sequence[str]],
    split_column: str,
    max_rows: int,
    max_skipped: float,
) -> _Read:
    check_file(path)

    def chosen(names: tuple[str, ...]) -> list[str]:
        others = tuple(name for name in names if name != split_column)
        picked = list(choose(others))
        return picked + ([split_column] if split_column in names else [])

    with path.open("rb") as file:
        first = file.read(4)
    if first == b"PAR1":
        read = _parquet(path, chosen, max_rows)
    else:
        encoding = encoding_of(path)
        with path.open(encoding=encoding.name) as text:
            character = text.read(4096).lstrip()[:1]
        if character == "[":
            raise BadInput(
                f"'{path.name}' is a JSON list.", "Save it as JSON Lines: one object per line."
            )
        if character == "{":
            read = _json_lines(path, encoding, chosen, max_rows, max_skipped)
        else:
            read = _csv(path, encoding, chosen, max_rows, max_skipped)
    if not len(read.frame):
        raise BadInput(f"'{path.name}' has no rows below its header.", _FORMATS)
    return read


def _csv(
    path: Path,
    encoding: Encoding,
    choose: Callable[[tuple[str, ...]], list[str]],
    max_rows: int,
    max_skipped: float,
) -> _Read:
    file = CsvFile.sniffed(path, encoding)
    names = choose(file.names)
    table, skipped, said = file.read(names, max_rows, max_skipped)
    notes = (*((encoding.note,) if encoding.note else ()), *said)
    return _Read(table, skipped, notes, file.delimiter == ";")


def _json_lines(
    path: Path,
    encoding: Encoding,
    choose: Callable[[tuple[str, ...]], list[str]],
    max_rows: int,
    max_skipped: float,
) -> _Read:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    names: list[str] | None = None
    seen: dict[str, None] = {}
    with path.open(encoding=encoding.name, newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                skipped.append(f"{path.name}, line {number}: not a JSON object")
                continue
            if len(rows) == max_rows:
                raise _too_many(path, max_rows)
            if len(rows) < 1000:  # columns that appear only later are not offered
                seen.update(dict.fromkeys(row))
                rows.append(row)
            else:
                names = names or choose(tuple(seen))
                rows.append({name: row.get(name) for name in names})
    check_skipped(path, skipped, len(rows), max_skipped)
    names = names or choose(tuple(seen))
    columns = {name: [_plain(row.get(name)) for row in rows] for name in names}
    frame = pd.DataFrame({name: _series(values) for name, values in columns.items()})
    notes = (encoding.note,) if encoding.note else ()
    return _Read(frame, tuple(skipped), notes)


def _plain(value: object) -> object:
    """A value of JSON as one cell: lists and objects become text."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _series(values: list[Any]) -> pd.Series[Any]:
    """Numbers as float64 where all are, else text."""
    import pandas as pd

    if all(value is None or isinstance(value, int | float) for value in values):
        try:
            return pd.Series([float("nan") if v is None else float(v) for v in values])
        except OverflowError:
            pass
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


def _parquet(path: Path, choose: Callable[[tuple[str, ...]], list[str]], max_rows: int) -> _Read:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > max_rows:
                raise _too_many(path, max_rows)
            usable: list[str] = []
            nested: list[str] = []
            for field in file.schema_arrow:
                (nested if pa.types.is_nested(field.type) else usable).append(field.name)
            names = choose(tuple(usable))
            batches: list[Any] = []
            size = 0
            for batch in file.iter_batches(batch_size=8192, columns=names):
                size += batch.nbytes
                if size > MAX_DECODED:
                    raise BadInput(
                        f"'{path.name}' needs more than {MAX_DECODED // 2**30} GiB of memory.",
                        "Take a sample of it, or fewer columns.",
                    )
                batches.append(batch)
            schema = pa.schema([file.schema_arrow.field(name) for name in names])
            table = pa.Table.from_batches(batches, schema).select(names)
            for position, field in enumerate(table.schema):
                if pa.types.is_boolean(field.type):  # a category, as in the other formats
                    column = table.column(position).cast(pa.string())
                    table = table.set_column(position, field.name, column)
            frame = table.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise BadInput(f"'{path.name}' is a damaged Parquet file: {reason}", _FORMATS) from error
    notes = (f"columns of lists or objects left out: {listed(nested)}",) if nested else ()
    return _Read(frame, (), notes)


def _too_many(path: Path, max_rows: int) -> BadInput:
    return BadInput(f"'{path.name}' has more than {max_rows:,} rows.", "Take a sample of it.")
