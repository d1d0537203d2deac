"""Results on disk: written atomically, checked when read, the least recently used go first.

A stored result is an npz that ``numpy.load`` opens too, followed by 32 bytes: the SHA-256 of what
stands before them.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.codec import decode, encode
from core.errors import StorageError
from core.paths import read_file

__all__ = ["Store", "decode", "encode", "write_atomically"]

_log = logging.getLogger(__name__)
_DIGEST = 32
_KEY = re.compile(r"[0-9a-f]{64}")
_ABANDONED_SECONDS = 3600.0


class Store:
    """Values by key (64 hexadecimal digits, such as ``Call.key``) in a folder of at most about
    ``limit`` bytes.

    Any number of threads and processes may share the folder, and any of them may be killed at any
    moment: a reader finds a whole value or none.
    """

    def __init__(self, folder: Path, limit: int = 2 * 1024**3) -> None:
        self.folder = folder
        self.limit = limit
        self._room = 0.0  # bytes that may be written before sizes are looked at again
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        """Whether there is a file for ``key``; it is not opened."""
        return self._path(key).is_file()

    def get(self, key: str) -> Any | None:
        """The value of ``key``, or None.

        A damaged file is reported in the log, removed, and treated as missing.
        """
        path = self._path(key)
        try:
            raw = read_file(path, self.limit + _DIGEST)
            with suppress(OSError):
                os.utime(path)  # used just now
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("The stored result %s cannot be read: %s", path.name, error)
            return None
        try:
            if hashlib.sha256(raw[:-_DIGEST]).digest() != raw[-_DIGEST:]:
                raise StorageError("Its content does not match its digest.")
            return decode(raw[:-_DIGEST])
        except StorageError as error:
            _log.warning("The stored result %s is damaged and removed: %s", path.name, error)
            with suppress(OSError):
                path.unlink()
            return None

    def put(self, key: str, value: Any) -> None:
        """Store ``value``.

        Raises ``StorageError`` when the disk is full or the folder cannot be written.
        """
        self.put_encoded(key, encode(value))

    def put_encoded(self, key: str, data: bytes) -> None:
        """Store what ``encode`` made already."""
        path = self._path(key)
        size = len(data) + _DIGEST
        if size > self.limit:
            _log.warning("A result of %d bytes is larger than the whole store: not kept.", size)
            return
        with self._lock:
            self._room -= size
            if self._room < 0:
                self._make_room(size)
        write_atomically(path, data + hashlib.sha256(data).digest())

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StorageError(f"'{key[:80]}' is not a key.", "Expected 64 hexadecimal digits.")
        return self.folder / key[:2] / f"{key}.npz"

    def _make_room(self, size: int) -> None:
        """Remove the least recently used until the store is at most nine tenths full."""
        files = []
        for path, status in self._files():
            if path.suffix == ".npz":
                files.append((status.st_mtime, status.st_size, path))
            elif time.time() - status.st_mtime > _ABANDONED_SECONDS:  # its writer was killed
                with suppress(OSError):
                    path.unlink()
        total = size + sum(length for _, length, _ in files)
        if total > self.limit:
            for _, length, path in sorted(files, key=lambda file: file[0]):
                if total <= 0.9 * self.limit:
                    break
                with suppress(OSError):
                    path.unlink()
                total -= length
        # Other processes write too: a quarter, so that a few of them together stay about there.
        self._room = (self.limit - total) / 4

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in itertools.chain(self.folder.glob("*/*.npz"), self.folder.glob("*/*.tmp")):
            with suppress(OSError):  # removed by another process meanwhile
                yield path, path.stat()


def write_atomically(path: Path, data: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Write a file so that after a kill or a power cut there is the old one, the new one or none.
    ``mode`` is what the file may be used for, as far as the umask allows. What is not ``durable``
    is as good after a kill, but not waited for until it is on the disk.

    Raises ``StorageError`` when the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:16]}-{secrets.token_hex(8)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The disk is full: {len(data):,} bytes do not fit into '{path.parent}'.",
                "Free some space, or choose another folder with --workspace.",
            ) from error
        raise StorageError(
            f"Cannot write to '{path.parent}': {error.strerror or error}.",
            "Check its permissions, or choose another folder with --workspace.",
        ) from error
