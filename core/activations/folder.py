"""The folder of a capture, while it is written: begun, gone on with after a kill, finished.

Rows are written in order. ``capture.json`` says how many there are, and is replaced as a whole when
the rows before are written: a process killed at any moment leaves a folder that can be read, and
that a later process goes on with.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.shelf import LOCK
from core.data.dataset import Dataset
from core.errors import BadInput, StorageError
from core.results.activations import (
    COLUMNS,
    IDS,
    LABELS,
    MANIFEST,
    SCORES,
    Capture,
    of_manifest,
    open_capture,
)
from core.store import write_atomically

_LOOK_SECONDS = 0.2
_SYNCED = 128 * 2**20  # bytes after which the disk is waited for
_SPARE = 64 * 2**20  # bytes that stay free on the disk


@contextmanager
def held(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """Inside, nobody else writes to the folder; until then ``check`` is called now and then. A new
    folder that holds nothing when an error ends this goes again.

    Raises ``StorageError`` when it cannot be written to.
    """
    new = not folder.exists()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / LOCK).open("w"))
        except OSError as error:
            raise unwritable(folder, error) from error
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                time.sleep(_LOOK_SECONDS)
        try:
            yield
        except BaseException:
            if new and [each.name for each in folder.iterdir()] == [LOCK]:
                with suppress(OSError):
                    (folder / LOCK).unlink()
                    folder.rmdir()
            raise


def begun(folder: Path, same: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest in a folder, if there is one.

    Raises ``BadInput`` when it is of something else than ``same``, which says what was asked for,
    or when the folder holds other files.
    """
    if not (folder / MANIFEST).is_file():
        others = [each.name for each in folder.iterdir() if not each.name.startswith(".")]
        known = {IDS, LABELS, COLUMNS, SCORES}  # left by a process that was killed early
        strange = [n for n in others if n not in known and not n.removesuffix(".npy").isdecimal()]
        if strange:
            raise BadInput(
                f"The folder '{folder}' holds other files, such as '{strange[0]}'.",
                "Choose an empty folder, or one that does not exist yet.",
            )
        return None
    open_capture(folder)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    earlier = manifest.get("asked", {})
    for name, what in (
        ("weights", "other weights"),
        ("data", "other data"),
        ("layers", "other layers"),
    ):
        if earlier.get(name) != same[name]:
            raise BadInput(
                f"The folder '{folder}' holds a capture of {what}: their fingerprints differ."
                if name != "layers"
                else f"The folder '{folder}' holds a capture of {what}.",
                "Choose another folder, or remove this one.",
            )
    if earlier != same:
        changed = ", ".join(name for name in same if earlier.get(name) != same[name])
        raise BadInput(
            f"The folder '{folder}' holds a capture with another {changed}.",
            "Choose another folder, or remove this one.",
        )
    return manifest


class CaptureFolder:
    """A capture being written; ``manifest`` is what ``capture.json`` says.

    To be used in a ``with``, which closes the files
    and writes down how far it is.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], dtype: npt.DTypeLike) -> None:
        self.folder = folder
        self.manifest = manifest
        outputs = max(1, len(manifest["classes"]))
        layers = of_manifest(folder, manifest).layers
        self._shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
            each.file: (each.stored, np.dtype(dtype)) for each in layers
        }
        self._shapes[SCORES] = ((outputs,), np.dtype(np.float32))
        self._files: dict[str, tuple[int, int]] = {}  # descriptor, and where the rows begin
        self._unsynced = 0  # bytes that may not be on the disk yet

    def begin(self, data: Dataset) -> None:
        """Write what is known before the first forward.

        Raises ``StorageError`` when there is too little room for all that is to come.
        """
        total = len(data)
        needed = total * sum(_row(*each) for each in self._shapes.values())
        try:
            free = shutil.disk_usage(self.folder).free
            if needed + _SPARE > free:
                raise StorageError(
                    f"The capture needs {needed / 2**20:,.0f} MiB, and '{self.folder}' has "
                    f"{free / 2**20:,.0f} MiB left.",
                    "Choose fewer layers, another pool (mean keeps one number per unit), fewer "
                    "examples, or another disk.",
                )
            ids = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in data.ids)
            write_atomically(self.folder / IDS, ids.encode("utf-8", "backslashreplace"))
            for stale in (LABELS, COLUMNS):
                (self.folder / stale).unlink(missing_ok=True)
            if data.labels is not None:
                np.save(self.folder / LABELS, data.labels.astype(np.int64))
            if data.columns:
                np.savez(self.folder / COLUMNS, allow_pickle=False, **data.columns)
            for name, (shape, dtype) in self._shapes.items():
                with (self.folder / name).open("wb") as file:
                    head = {
                        "shape": (total, *shape),
                        "fortran_order": False,
                        "descr": np.lib.format.dtype_to_descr(dtype),
                    }
                    np.lib.format.write_array_header_1_0(file, head)
                    file.truncate(file.tell() + total * _row(shape, dtype))
            self.say()
        except OSError as error:
            self._forget()
            raise unwritable(self.folder, error) from error
        except StorageError:
            self._forget()
            raise

    def _forget(self) -> None:
        """Leave nothing of a capture that could not begin."""
        for name in (IDS, LABELS, COLUMNS, *self._shapes):
            with suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)

    def __enter__(self) -> CaptureFolder:
        try:
            for name, (shape, dtype) in self._shapes.items():
                handle = os.open(self.folder / name, os.O_RDWR)
                rows = int(self.manifest["total"]) * _row(shape, dtype)
                self._files[name] = (handle, os.fstat(handle).st_size - rows)
        except OSError as error:
            self.__exit__()
            raise unwritable(self.folder, error) from error
        return self

    def __exit__(self, *error: object) -> None:
        for handle, _ in self._files.values():
            os.close(handle)
        self._files.clear()

    def write(self, start: int, rows: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write rows from ``start`` on, by file.

        Raises ``StorageError`` when the disk is full; the rows before stay as they are.
        """
        for name, values in rows.items():
            handle, first = self._files[name]
            shape, dtype = self._shapes[name]
            try:
                _write_all(handle, values, first + start * _row(shape, dtype))
            except OSError as error:
                raise unwritable(self.folder, error) from error
            self._unsynced += values.nbytes
        if self._unsynced > _SYNCED:  # not all at the end, when nobody has anything else to do
            self._sync()

    def say(self, *, durable: bool = False) -> None:
        """Write down how far it is; what is ``durable`` survives a power cut too.

        Raises ``StorageError``.
        """
        if durable:
            self._sync()
        data = json.dumps(self.manifest, ensure_ascii=False, indent=1).encode()
        write_atomically(self.folder / MANIFEST, data, durable=durable)

    def _sync(self) -> None:
        try:
            for handle, _ in self._files.values():
                os.fsync(handle)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._unsynced = 0

    def opened(self) -> Capture:
        """The capture as it is now."""
        return of_manifest(self.folder, self.manifest)


def unwritable(folder: Path, error: OSError) -> StorageError:
    """The error for a folder that cannot be written to, or is full."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk is full: no more rows fit into '{folder}'. Those before are kept.",
            "Free some space and capture into the same folder: it goes on from there.",
        )
    return StorageError(
        f"Cannot write to '{folder}': {error.strerror or error}.",
        "Check its permissions, or choose another folder.",
    )


def _row(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _write_all(handle: int, values: npt.NDArray[Any], offset: int) -> None:
    rest = np.ascontiguousarray(values).data.cast("B")
    while rest:
        written = os.pwrite(handle, rest, offset)
        rest, offset = rest[written:], offset + written
