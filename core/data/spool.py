"""Rows of a table put on disk while its file is read once; see ``core.data.spooled``.

Few rows stay in memory. Many are written in Arrow's format to a file without a name, which the
system removes with its last use, even when the process is killed.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from core import settings
from core.data.cells import as_numbers, blank, misfits
from core.data.fetch import decoded_folder
from core.errors import BadInput, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

Codes = npt.NDArray[np.int32]

IN_MEMORY: Final = 2**24  # bytes of rows
MOST_VALUES: Final = 100_000
LEAVE_FREE: Final = 2**30
_LOOK_EVERY: Final = 2**26  # bytes between two looks at the disk


@dataclass(frozen=True)
class Picked:
    """The ``columns`` of a table to keep. On the way it is noted where ``text`` is blank, which
    values those of ``coded`` have, which of ``numbers`` hold nothing but numbers, and whether there
    are ``line_ends`` within texts.
    """

    columns: tuple[str, ...]
    text: str = ""
    coded: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    line_ends: bool = False


@dataclass
class Coded:
    """The values of a column as positions in ``values``, int32 ``[row]``, -1 where one is missing.

    There are none when it has more than 100,000 different ones.
    """

    values: dict[Any, int] = field(default_factory=dict)
    blocks: list[Codes] = field(default_factory=list)

    @property
    def too_many(self) -> bool:
        """Whether it has too many different values to be classes."""
        return len(self.values) > MOST_VALUES

    @property
    def codes(self) -> Codes:
        """Positions in ``values``."""
        return np.concatenate(self.blocks) if self.blocks else np.zeros(0, np.int32)

    def add(self, column: pa.Array) -> None:
        """Note some more rows."""
        if self.too_many:
            self.blocks.clear()
            return
        encoded = column.dictionary_encode()
        found = encoded.dictionary.to_pylist()
        places = [self.values.setdefault(value, len(self.values)) for value in found]
        of_code = np.array([*places, -1], np.int32)
        codes = encoded.indices.fill_null(len(places)).to_numpy(zero_copy_only=False)
        self.blocks.append(of_code[codes])


@dataclass
class Numbers:
    """Whether a column holds nothing but numbers: ``yes`` for all rows, ``guess`` for the first
    ones. Of the values that are none after those ``count`` is told, the ``first`` and its ``row``.
    """

    yes: bool = True
    guess: bool = True
    count: int = 0
    first: str = ""
    row: int = 0

    def add(self, column: pa.Array, start: int) -> None:
        """Note some more rows, of which the first is ``start``."""
        if not self.guess or as_numbers(column) is not None:
            return
        self.yes = False
        if not start:
            self.guess = False
            return
        bad = misfits(column)
        if not self.count:
            self.first, self.row = str(column[int(bad[0])].as_py())[:40], start + int(bad[0])
        self.count += len(bad)


@dataclass(frozen=True)
class Noted:
    """What was noted on the way: positions of ``blank`` texts, values by ``coded`` column, and
    whether columns hold ``numbers``; ``numeric`` are columns whose values the file wrote as
    numbers, although they are kept as texts.
    """

    blank: npt.NDArray[np.int64]
    coded: dict[str, Coded]
    numbers: dict[str, Numbers]
    numeric: frozenset[str] = frozenset()
    line_ends: bool = False


class Spool:
    """Takes rows batch by batch; ``done`` gives them back as a whole.

    At most ``most`` rows are taken. Raises ``BadInput`` for more, or when they take more than the
    setting ``zip_gib`` and twice the file, ``StorageError`` when they do not fit on the disk.
    """

    def __init__(self, path: Path, schema: pa.Schema, picked: Picked, most: int) -> None:
        import pyarrow as pa

        self.rows = 0
        self._path, self._picked, self._most = path, picked, most
        self._file: Any = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed with this
            max_size=IN_MEMORY, dir=_folder()
        )
        weakref.finalize(self, self._file.close)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema)
        self._size, self._looked, self._line_ends = 0, 0, False
        self._room = max(settings.value("zip_gib") * 2**30, 2 * path.stat().st_size)
        self._blank: list[npt.NDArray[np.int64]] = []
        self._coded = {name: Coded() for name in picked.coded}
        self._numbers = {name: Numbers() for name in picked.numbers}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some more rows."""
        if self.rows + batch.num_rows > self._most:
            raise BadInput(
                f"'{self._path.name}' has more than {self._most:,} rows.", "Take a sample of it."
            )
        for name, coded in self._coded.items():
            coded.add(batch.column(name))
        for name, numbers in self._numbers.items():
            numbers.add(batch.column(name), self.rows)
        if self._picked.text:
            self._blank.append(blank(batch.column(self._picked.text)) + self.rows)
        if self._picked.line_ends and not self._line_ends:
            self._line_ends = any(_has_line_ends(each) for each in batch.columns)
        self._size += batch.nbytes
        if self._size > self._room:
            raise BadInput(
                f"The rows of '{self._path.name}' take more than {self._room / 2**30:,.1f} GiB.",
                "Take a sample of it, or raise the setting zip_gib.",
            )
        try:
            if self._size - self._looked > _LOOK_EVERY:
                self._looked = self._size
                if shutil.disk_usage(_folder()).free < LEAVE_FREE:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._writer.write_batch(batch)
        except OSError as error:
            raise self._full(error) from None
        self.rows += batch.num_rows

    def done(self, numeric: frozenset[str] = frozenset()) -> tuple[pa.Table, Noted]:
        """All rows, gone with the table, and what was noted of them."""
        import pyarrow as pa

        try:
            self._writer.close()
            self._file.flush()
            if self._file._rolled:
                whole: Any = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                self._file.seek(0)
                whole = self._file.read()
            self._file.close()
        except OSError as error:
            raise self._full(error) from None
        table = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(whole))).read_all()
        gone = np.concatenate(self._blank) if self._blank else np.zeros(0, np.int64)
        return table, Noted(gone, self._coded, self._numbers, numeric, self._line_ends)

    def _full(self, error: OSError) -> StorageError:
        return StorageError(
            f"The rows of '{self._path.name}' do not fit into '{_folder()}': "
            f"{error.strerror or error}.",
            "Free some space there, or take a sample of the file.",
        )


def _has_line_ends(column: pa.Array) -> bool:
    """Whether there is a line feed in its texts (or in what lies beside them in memory)."""
    whole = column.buffers()[-1]
    return whole is not None and bool((np.frombuffer(whole, np.uint8) == ord("\n")).any())


def _folder() -> str:
    """Where a file without a name may lie: with the user's cache, since temporary folders are in
    memory on many machines.
    """
    place = decoded_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return tempfile.gettempdir()
    return str(place) if os.access(place, os.W_OK) else tempfile.gettempdir()
