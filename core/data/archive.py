"""A stranger's zip: looked at before anything is unpacked, and read one file at a time.

Nothing is written to disk for pictures and texts in files. What has to be a file, such as a table,
is unpacked under names of our own into a folder that is removed with the last use.
"""

from __future__ import annotations

import shutil
import weakref
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from core.confinement.folders import HeldFolder
from core.data.files import ENDINGS, HIDDEN, Skipped, empty, hidden, too_large
from core.data.members import DAMAGE, opened
from core.errors import BadInput, StorageError

NESTED: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".lz4")
_LEAVE_FREE: Final = 2**30
_BLOCK: Final = 2**20


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does, whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


class Archive:
    """The files in a zip, checked when it is opened; see ``core.data.files.Files``.

    A folder that holds all of them is passed over in their names. Archives inside are never opened.
    Raises ``BadInput`` for what ``core.data.members.opened`` refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._zip, found = opened(path, path.name)
        weakref.finalize(self, self._zip.close)
        self._members, self.skipped = _parted(found)
        top = _only_folder(self._members)
        if top:
            self._members = {name.removeprefix(top): each for name, each in self._members.items()}
            self.skipped = tuple(
                Skipped(each.name.removeprefix(top), each.reason) for each in self.skipped
            )

    @cached_property
    def names(self) -> Sequence[str]:
        """The paths of all files, from the top of the zip."""
        return list(self._members)

    @cached_property
    def folders(self) -> frozenset[str]:
        """The paths of all folders with a file in them."""
        found: set[str] = set()
        for name in self._members:
            while "/" in name:
                name = name.rpartition("/")[0]
                found.add(name)
        return frozenset(found)

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file; see ``Files``."""
        size = self._members[name].file_size
        if not 0 < size <= most:
            raise too_large(name, most) if size else empty(name)
        try:
            with self._zip.open(self._members[name]) as file:
                return file.read(most)
        except DAMAGE as error:
            raise self._damaged(name, error) from None

    def ends(self, name: str, most: int) -> tuple[bytes, bytes]:
        """The first and the last bytes of a file; see ``Files``. It is unpacked on the way."""
        if not self._members[name].file_size:
            raise empty(name)
        try:
            with self._zip.open(self._members[name]) as file:
                head = last = file.read(most)
                tail = head
                while last := file.read(_BLOCK):
                    tail = (tail + last)[-most:]
        except DAMAGE as error:
            raise self._damaged(name, error) from None
        return head, tail

    def facts(self, names: Sequence[str]) -> list[list[object]]:
        """Names, sizes and check sums of files."""
        return [[name, self._members[name].file_size, self._members[name].CRC] for name in names]

    def size(self, name: str) -> int:
        """The bytes that a file takes unpacked."""
        return self._members[name].file_size

    def unpacked(self, named: Mapping[str, str]) -> Path:
        """A new folder with some of the files, each under a name of ours; removed with this object.

        Raises ``BadInput`` when one is damaged, ``StorageError`` when they do not fit on the disk.
        """
        total = sum(self._members[name].file_size for name in named)
        held = HeldFolder()
        folder = held.path
        weakref.finalize(self, held.close)
        try:
            if total > shutil.disk_usage(folder).free - _LEAVE_FREE:
                raise StorageError(
                    f"'{self.name}' needs {total / 2**30:.1f} GiB, which '{folder.parent}' has "
                    "not free.",
                    "Free some space, or unpack it yourself and name the folder.",
                )
            for name, ours in named.items():
                self._unpack(name, folder / ours)
        except BaseException:
            held.close()
            raise
        return folder

    def _unpack(self, name: str, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._zip.open(self._members[name]) as file, path.open("xb") as out:
                shutil.copyfileobj(file, out, _BLOCK)
        except DAMAGE as error:
            raise self._damaged(name, error) from None

    def _damaged(self, name: str, error: Exception) -> BadInput:
        return BadInput(
            f"'{name}' in '{self.name}' is damaged: {str(error)[:100].rstrip('.')}.",
            "Make the zip again.",
        )


def _parted(
    found: dict[str, zipfile.ZipInfo],
) -> tuple[dict[str, zipfile.ZipInfo], tuple[Skipped, ...]]:
    """Files that may be read, and those that never are: hidden ones, archives."""
    kept: dict[str, zipfile.ZipInfo] = {}
    skipped: list[Skipped] = []
    for name, each in found.items():
        if any(hidden(part) for part in name.split("/")):
            skipped.append(Skipped(name, HIDDEN))
        elif name.lower().endswith(NESTED):
            skipped.append(Skipped(name, "an archive in an archive is not opened"))
        else:
            kept[name] = each
    return kept, tuple(skipped)


def _only_folder(names: Iterable[str]) -> str:
    """The folder, with ``/``, that holds everything and is no class itself: it has folders in it
    and no picture beside them.
    """
    parts = [name.split("/") for name in names]
    tops = {each[0] for each in parts}
    beside = [each[1] for each in parts if len(each) == 2]
    if len(tops) != 1 or all(len(each) < 3 for each in parts):
        return ""
    if any(name.lower().endswith(ENDINGS) for name in beside):
        return ""
    return f"{next(iter(tops))}/"
