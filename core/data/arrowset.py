"""Rows of Arrow and Parquet files with pictures or texts, read when they are asked for.

A data set that Hugging Face's ``save_to_disk`` wrote is a folder with ``.arrow`` files, which are
mapped into memory, and ``dataset_info.json``, which says what the columns are; one with parts has a
folder for each. The ``datasets`` package is not needed. Of a Parquet file the row group in hand is
held.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.data.splits import natural, split_name
from core.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

INFO: Final = "dataset_info.json"
MAX_GROUP: Final = 2**31
_SAVE: Final = "Save it again with save_to_disk, or as Parquet."


@dataclass(frozen=True)
class ArrowFile:
    """One file of rows. ``features`` say what columns are, as Hugging Face writes it."""

    path: Path
    part: str
    features: Mapping[str, Any]

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows if self.parquet else self._table.num_rows)

    @cached_property
    def parquet(self) -> bool:
        """Whether it is Parquet."""
        with self.path.open("rb") as file:
            return file.read(4) == b"PAR1"

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns and their types."""
        return self._file.schema_arrow if self.parquet else self._table.schema

    def column(self, name: str) -> list[Any]:
        """All values of a column, in memory.

        Raises ``BadInput`` when they are damaged, as all reading here does.
        """
        with readable(self.path):
            table = self._file.read([name]) if self.parquet else self._table
            return list(table.column(name).to_pylist())

    def value(self, name: str, row: int) -> Any:
        """One value, read now."""
        with readable(self.path):
            if not self.parquet:
                chunk = int(np.searchsorted(self._starts(name), row, side="right")) - 1
                start = int(self._starts(name)[chunk])
                return self._table.column(name).chunk(chunk)[row - start].as_py()
            group = int(np.searchsorted(self._ends, row, side="right"))
            start = int(self._ends[group - 1]) if group else 0
            return self._group(name, group)[row - start].as_py()

    def values(self, name: str) -> Iterator[Any]:
        """The values of a column one after the other; a few are in memory at a time."""
        with readable(self.path):
            for block in self._blocks(name):
                for value in block:
                    yield value.as_py()

    def _blocks(self, name: str) -> Iterator[Any]:
        if self.parquet:
            for batch in self._file.iter_batches(batch_size=1024, columns=[name]):
                yield batch.column(0)
        else:
            yield from self._table.column(name).chunks

    @cached_property
    def _file(self) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path)

    @cached_property
    def _table(self) -> pa.Table:
        """All of an Arrow file, mapped into memory."""
        import pyarrow as pa

        source = pa.memory_map(str(self.path), "r")
        with self.path.open("rb") as file:
            first = file.read(6)
        if first == b"ARROW1":
            table = pa.ipc.open_file(source).read_all()
        else:
            table = pa.ipc.open_stream(source).read_all()
        table.validate(full=True)  # offsets of a stranger's file may point anywhere
        return table

    @cached_property
    def _starts(self) -> Any:
        @lru_cache(maxsize=8)
        def starts(name: str) -> Any:
            lengths = [len(chunk) for chunk in self._table.column(name).chunks]
            return np.cumsum([0, *lengths])[:-1]

        return starts

    @cached_property
    def _ends(self) -> Any:
        metadata = self._file.metadata
        return np.cumsum(
            [metadata.row_group(each).num_rows for each in range(metadata.num_row_groups)]
        )

    @cached_property
    def _group(self) -> Any:
        file = self._file

        @lru_cache(maxsize=2)
        def group(name: str, number: int) -> Any:
            size = file.metadata.row_group(number).total_byte_size
            if size > MAX_GROUP:
                raise BadInput(
                    f"A row group of '{self.path.name}' takes {size / 2**30:.1f} GiB, at most "
                    f"{MAX_GROUP // 2**30} GiB are read.",
                    "Write it with smaller row groups.",
                )
            return file.read_row_group(number, [name]).column(name)

        return group


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what goes wrong in a damaged file into ``BadInput``."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).strip().split("\n")[0][:160].rstrip(" :.")
        raise BadInput(f"'{path.name}' is damaged or cut off: {reason}.", _SAVE) from None


def is_saved(place: Path) -> bool:
    """Whether a folder is a data set that ``save_to_disk`` wrote, or holds such for its parts."""
    return place.is_dir() and any(True for _ in _arrow_files(place))


def saved(place: Path) -> tuple[ArrowFile, ...]:
    """The files of a data set in a folder, in order, those of ``train`` first.

    Raises ``BadInput`` when there are none, or they are damaged.
    """
    found = []
    for path in _arrow_files(place):
        part = split_name(path.parent.name) or "" if path.parent != place else ""
        found.append(opened(path, part, _features(path.parent / INFO)))
    if not found:
        raise BadInput(f"There is no .arrow file in '{place}'.", _SAVE)
    first = found[0].schema
    for each in found[1:]:
        if each.schema.names != first.names:
            raise BadInput(
                f"'{each.path.name}' has other columns than '{found[0].path.name}'.", _SAVE
            )
    return tuple(found)


def opened(path: Path, part: str = "", features: Mapping[str, Any] | None = None) -> ArrowFile:
    """An Arrow or Parquet file, whose columns may also be told in the file itself.

    Raises ``BadInput`` when it is damaged.
    """
    file = ArrowFile(path, part, features or {})
    with readable(path):
        schema = file.schema
        _ = len(file)
    if not file.features and schema.metadata and b"huggingface" in schema.metadata:
        told = _json(schema.metadata[b"huggingface"]).get("info", {})
        if isinstance(told, dict) and isinstance(told.get("features"), dict):
            return ArrowFile(path, part, told["features"])
    return file


def picture_columns(file: ArrowFile) -> list[str]:
    """The columns that hold pictures: bytes, or bytes beside a path."""
    import pyarrow as pa

    found = []
    for each in file.schema:
        told = file.features.get(each.name)
        image = isinstance(told, dict) and told.get("_type") == "Image"
        kind = each.type
        struct = pa.types.is_struct(kind) and any(inner.name == "bytes" for inner in kind)
        if image or struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            found.append(each.name)
    return found


def flat_columns(file: ArrowFile) -> list[str]:
    """The columns whose values are numbers or texts."""
    import pyarrow as pa

    bad = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    return [each.name for each in file.schema if not any(test(each.type) for test in bad)]


def class_names(file: ArrowFile, column: str) -> tuple[str, ...]:
    """What the numbers of a column stand for; nothing where it is not told."""
    told = file.features.get(column)
    if not isinstance(told, dict) or told.get("_type") != "ClassLabel":
        return ()
    return tuple(str(name) for name in told.get("names") or ())


def said(value: object, classes: tuple[str, ...]) -> str:
    """A label as the name of its class; empty for none."""
    if value is None or value == -1:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def picture(value: object) -> bytes:
    """The bytes of a picture, which may stand beside a path; the path is never followed.

    Raises ``BadInput`` for a row that has none.
    """
    found = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(found, bytes) and found:
        return found
    path = value.get("path") if isinstance(value, dict) else None
    if path:
        raise BadInput("the picture is not in the file, only its path, which is not followed")
    raise BadInput("there is no picture in this row")


def _arrow_files(place: Path) -> list[Path]:
    """Those of the folder itself, or else of its parts."""
    here = sorted(place.glob("*.arrow"), key=lambda path: natural(path.name))
    if here:
        return [path for path in here if not path.name.startswith("cache-")]
    parts = [
        (order, each)
        for each in (place.iterdir() if place.is_dir() else ())
        if each.is_dir() and (part := split_name(each.name))
        for order in [("train", "val", "test").index(part)]
    ]
    return [path for _, each in sorted(parts) for path in _arrow_files(each)]


def _features(path: Path) -> Mapping[str, Any]:
    try:
        raw = path.read_bytes() if path.stat().st_size < 2**24 else b""
    except OSError:
        return {}
    found = _json(raw).get("features")
    return found if isinstance(found, dict) else {}


def _json(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
