"""A stranger's zip: looked at before anything is unpacked, and read one file at a time.

Nothing is written to disk for pictures and texts in files. What has to be a file, such as a table,
is unpacked under names of our own into a folder that is removed with the last use.
"""

from __future__ import annotations

import shutil
import stat
import struct
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from core import settings
from core.confinement.folders import HeldFolder
from core.data.files import ENDINGS, HIDDEN, Skipped, empty, hidden, too_large
from core.data.splits import counted
from core.errors import BadInput, StorageError

NESTED: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".lz4")
_AGAIN: Final = "Make the zip again, of nothing but the files."
_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_ENTRY: Final = 46  # bytes that a file takes at least in the list of files
_LISTED: Final = 512  # and at most on average, for the number of files that is allowed
_LARGE: Final = 2**20
_LEAVE_FREE: Final = 2**30
_BLOCK: Final = 2**20
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does, whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


class Archive:
    """The files in a zip, checked when it is opened; see ``core.data.files.Files``.

    A folder that holds all of them is passed over in their names. Raises ``BadInput`` for a zip
    that is damaged, encrypted or packed in an unusual way; has a link or another special file, a
    path that leads out of it, two files of one name, files that lie over each other; or is beyond
    the settings ``zip_files``, ``zip_gb`` and ``zip_ratio``. Archives inside are never opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        try:
            _check_list(path)
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise BadInput(
                f"'{path.name}' is no whole zip: {str(error).rstrip('.') or 'it is cut off'}.",
                "It may be cut off: copy it or make it again.",
            ) from None
        weakref.finalize(self, self._zip.close)
        try:
            self._members, self.skipped = _checked(path, self._zip.infolist())
        except BadInput:
            self._zip.close()
            raise
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
        except _DAMAGE as error:
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
        except _DAMAGE as error:
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
        path.parent.mkdir(exist_ok=True)
        try:
            with self._zip.open(self._members[name]) as file, path.open("xb") as out:
                shutil.copyfileobj(file, out, _BLOCK)
        except _DAMAGE as error:
            raise self._damaged(name, error) from None

    def _damaged(self, name: str, error: Exception) -> BadInput:
        return BadInput(
            f"'{name}' in '{self.name}' is damaged: {str(error)[:100].rstrip('.')}.",
            "Make the zip again.",
        )


def _check_list(path: Path) -> None:
    """Refuse a list of files that alone would fill the memory, before it is read."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2**16 - 22))
        tail = file.read()
        place = tail.rfind(_END)
        if place < 0 or len(tail) - place < 22:
            raise zipfile.BadZipFile("its list of files is missing, it is cut off")
        length = struct.unpack_from("<L", tail, place + 12)[0]
        wide = tail.rfind(_END64, 0, place)
        if wide >= 0 and len(tail) - wide >= 56:
            length = max(length % 0xFFFFFFFF, struct.unpack_from("<Q", tail, wide + 40)[0])
    most = settings.value("zip_files")
    if length > most * _LISTED:
        raise BadInput(
            f"'{path.name}' lists about {length // _ENTRY:,} files, at most {most:,.0f} are read.",
            "Take fewer, or raise the setting zip_files.",
        )


def _checked(
    path: Path, members: Iterable[zipfile.ZipInfo]
) -> tuple[dict[str, zipfile.ZipInfo], tuple[Skipped, ...]]:
    found: dict[str, zipfile.ZipInfo] = {}
    skipped: list[Skipped] = []
    total = 0
    for each in members:
        name = _safe(path, each)
        if each.is_dir():
            continue
        if each.flag_bits & 1:
            raise BadInput(f"'{path.name}' is encrypted.", "Make a zip without a password.")
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(
                f"'{name}' in '{path.name}' is packed in an unusual way.",
                "Make the zip again, with the usual compression (Deflate).",
            )
        if name in found:
            raise BadInput(f"'{path.name}' has two files called '{name}'.", _AGAIN)
        found[name] = each
        total += each.file_size
    _check_size(path, found, total)
    for name in list(found):
        if any(hidden(part) for part in name.split("/")):
            skipped.append(Skipped(name, HIDDEN))
        elif name.lower().endswith(NESTED):
            skipped.append(Skipped(name, "an archive in an archive is not opened"))
        else:
            continue
        del found[name]
    return found, tuple(skipped)


def _safe(path: Path, member: zipfile.ZipInfo) -> str:
    """The name of a file with ``/`` between its parts; raises ``BadInput`` for a dangerous one."""
    raw = member.orig_filename
    name = raw.replace("\\", "/").rstrip("/")
    shown = raw if raw.isprintable() else repr(raw)
    if (
        "\0" in raw
        or name.startswith("/")
        or (len(name) > 1 and name[1] == ":")
        or any(part in ("", ".", "..") for part in name.split("/"))
    ):
        raise BadInput(f"'{path.name}' has a path that leads out of it: '{shown[:80]}'.", _AGAIN)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "no ordinary file"
        raise BadInput(f"'{shown[:80]}' in '{path.name}' is {what}.", _AGAIN)
    return name


def _check_size(path: Path, found: Mapping[str, zipfile.ZipInfo], total: int) -> None:
    files, room, ratio = (settings.value(each) for each in ("zip_files", "zip_gb", "zip_ratio"))
    if len(found) > files:
        raise BadInput(
            f"'{path.name}' has {counted(len(found), 'file')}, at most {files:,.0f} are read.",
            "Take fewer, or raise the setting zip_files.",
        )
    if total > room * 2**30:
        raise BadInput(
            f"The files in '{path.name}' take {total / 2**30:,.1f} GiB unpacked, at most "
            f"{room:g} GiB are read.",
            "Take fewer, or raise the setting zip_gb.",
        )
    worst = max(
        (each for each in found.values() if each.file_size > _LARGE),
        key=lambda each: each.file_size / (each.compress_size or 1),
        default=None,
    )
    times = 0.0 if worst is None else worst.file_size / (worst.compress_size or 1)
    if total > _LARGE:
        times = max(times, total / path.stat().st_size)
    if times > ratio:
        raise BadInput(
            f"'{path.name}' grows {times:,.0f} times when unpacked, at most {ratio:g} times are "
            "read: it looks like a zip bomb.",
            "If it is not, raise the setting zip_ratio.",
        )
    end = 0
    for each in sorted(found.values(), key=lambda each: each.header_offset):
        if each.header_offset < end:
            raise BadInput(f"Files in '{path.name}' lie over each other.", _AGAIN)
        end = each.header_offset + each.compress_size


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
