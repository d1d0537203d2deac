"""Decoded pictures on disk: one flat uint8 file per set of files, opened as a memory map.

A cache: may be emptied at any time, and the sets that were used longest ago go first. A set is two
files, ``<key>.pixels`` with the bytes of ``[example, row, column, channel]`` and ``<key>.json``
with the shape and the files that could not be decoded. The JSON is written last: without it there
is no set.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np

from core.data.fetch import decoded_folder
from core.data.picture import Pixels
from core.store import write_atomically

MAX_BYTES: Final = 32 * 2**30
_LEAVE_FREE: Final = 2 * 2**30  # bytes of the disk that are never taken

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Stored:
    """Pixels on disk; opened when first read, and again in each process that it is sent to."""

    path: Path
    shape: tuple[int, int, int, int]

    @cached_property
    def pixels(self) -> Pixels:
        """uint8 ``[example, row, column, channel]``, read-only, not loaded into memory."""
        if not self.shape[0]:
            return np.zeros(self.shape, np.uint8)
        return np.memmap(self.path, np.uint8, "r", shape=self.shape)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: where it lies, never the pixels."""
        return {"path": self.path, "shape": self.shape}


class PixelCache:
    """Sets of pixels in a folder of at most ``limit`` bytes; by default the user's cache."""

    def __init__(self, folder: Path | None = None, limit: int = MAX_BYTES) -> None:
        self.folder = folder or decoded_folder() / "images"
        self.limit = limit

    def find(self, key: str, shape: Shape) -> tuple[Stored | None, dict[int, str]] | None:
        """The set of this key and the files that could not be decoded, or None where there is none.

        A set that is damaged counts as missing.
        """
        path, about = self._paths(key)
        try:
            found = json.loads(about.read_text(encoding="utf-8"))
            count = int(found["count"])
            failed = {int(index): str(reason) for index, reason in found["failed"]}
            whole = (count, *shape)
            if path.stat().st_size != int(np.prod(whole, dtype=np.int64)):
                return None
            os.utime(about)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Stored(path, whole), failed

    def writer(self, key: str, shape: Shape, count: int) -> Writer:
        """Writes up to ``count`` pictures of ``shape``; writes nothing where there is no room."""
        size = count * int(np.prod(shape, dtype=np.int64))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            room = size <= min(self.limit, shutil.disk_usage(self.folder).free - _LEAVE_FREE)
        except OSError:
            room = False
        return Writer(self._paths(key), shape, room)

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self.folder / f"{key}.pixels", self.folder / f"{key}.json"

    def _make_room(self, size: int) -> None:
        sets = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        sizes = {path: _size(path.with_suffix(".pixels")) for path in sets}
        total = sum(sizes.values()) + size
        for path in sets:
            if total <= self.limit:
                break
            with suppress(OSError):  # in use on a system that does not let go of open files
                path.with_suffix(".pixels").unlink(missing_ok=True)
                path.unlink()
                total -= sizes[path]


class Writer:
    """One set while it is written; leaves nothing behind unless ``finish`` was called."""

    def __init__(self, paths: tuple[Path, Path], shape: Shape, room: bool) -> None:
        self._path, self._about = paths
        self._shape = shape
        self._part = self._path.with_name(f"{self._path.stem}.{secrets.token_hex(4)}.part")
        self._count = 0
        self._file: BinaryIO | None = None
        if room:
            with suppress(OSError):
                self._file = self._part.open("wb")

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what was not finished."""
        self._give_up()

    def add(self, pixels: Pixels) -> None:
        """One picture uint8 ``[row, column, channel]`` more."""
        if self._file is None:
            return
        try:
            self._file.write(np.ascontiguousarray(pixels).data)
            self._count += 1
        except OSError:  # the disk is full: go on without a cache
            self._give_up()

    def finish(self, failed: Mapping[int, str]) -> Stored | None:
        """The whole set, or None where it was not written."""
        if self._file is None:
            return None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
            about = {"count": self._count, "shape": self._shape, "failed": sorted(failed.items())}
            write_atomically(self._about, json.dumps(about).encode())
        except OSError:
            self._give_up()
            return None
        self._file = None
        return Stored(self._path, (self._count, *self._shape))

    def _give_up(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)
            self._file = None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
