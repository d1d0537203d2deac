"""The members of a stranger's zip, looked over before a byte of one is unpacked: the one guard of
all zips that people bring, whatever is in them. Imports nothing heavy.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import IO, Final

from core import settings
from core.errors import BadInput, BadModel, UserError, shortened

AGAIN: Final = "Make the zip again, of nothing but the files."
DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_ENTRY: Final = 46  # bytes that a file takes at least in the list of files
_LISTED: Final = 512  # and at most on average, for the number of files that is allowed
_LARGE: Final = 2**20
_LOCAL: Final = 30  # bytes before the name in front of each file


@dataclass(frozen=True)
class Bounds:
    """The most ``files`` in a zip, bytes that they take unpacked (``room``), and times that it
    grows (``ratio``). By default these are the settings ``zip_files``, ``zip_gib``, ``zip_ratio``.
    """

    files: float = 0
    room: float = 0
    ratio: float = 0

    def in_force(self) -> Bounds:
        """With the settings for what is left open."""
        return Bounds(
            self.files or settings.value("zip_files"),
            self.room or settings.value("zip_gib") * 2**30,
            self.ratio or settings.value("zip_ratio"),
        )


ANY_SIZE: Final = Bounds(room=inf)


def opened(
    source: Path | IO[bytes],
    name: str,
    *,
    error: type[BadInput | BadModel] = BadInput,
    bounds: Bounds | None = None,
    never_packed_by: str = "",
    counts: Callable[[str], bool] = lambda name: True,
    again: str = AGAIN,
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """The zip, and its files by their path with ``/`` from its top.

    Of a format that one tool writes (``never_packed_by``) nothing may be packed. Only the files
    whose path ``counts`` are held against the bounds.

    Raises ``error`` for a zip that is damaged, encrypted or packed in an unusual way; has a link or
    another special file, a path that leads out of it, two files of one name, files that lie over
    each other; or is beyond the ``bounds``.
    """
    shown = shortened(name, 80)
    limits = (bounds or Bounds()).in_force()
    try:
        size = _check_list(source, shown, limits.files, error)
        archive = zipfile.ZipFile(source)
    except DAMAGE as damage:
        raise error(
            f"'{shown}' is no whole zip: {str(damage).rstrip('.') or 'it is cut off'}.",
            "Copy it again, or make it again.",
        ) from None
    guard = _Guard(shown, size, limits, error, again)
    try:
        found: dict[str, zipfile.ZipInfo] = {}
        for each in archive.infolist():
            place = guard.place(each)
            if each.is_dir():
                continue
            guard.packing(place, each, never_packed_by)
            if place in found:
                raise error(f"'{shown}' has two files called '{shortened(place, 80)}'.", again)
            found[place] = each
        guard.sizes({place: each for place, each in found.items() if counts(place)})
        guard.apart(found)
    except BaseException:
        archive.close()
        raise
    return archive, found


def _check_list(
    source: Path | IO[bytes], name: str, most: float, error: type[BadInput | BadModel]
) -> int:
    """The size of a zip. A list of files that alone would fill the memory is refused unread."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _check_list(file, name, most, error)
    size = source.seek(0, 2)
    source.seek(max(0, size - 2**16 - 22))
    tail = source.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < 22:
        raise zipfile.BadZipFile("its list of files is missing, it is cut off")
    length = struct.unpack_from("<L", tail, place + 12)[0]
    wide = tail.rfind(_END64, 0, place)
    if wide >= 0 and len(tail) - wide >= 56:
        length = max(length % 0xFFFFFFFF, struct.unpack_from("<Q", tail, wide + 40)[0])
    if length > most * _LISTED:
        raise error(
            f"'{name}' lists about {length // _ENTRY:,} files, at most {most:,.0f} are read.",
            "Take fewer, or raise the setting zip_files.",
        )
    return size


@dataclass(frozen=True)
class _Guard:
    """What is refused of a zip called ``name`` that has ``size`` bytes."""

    name: str
    size: int
    limits: Bounds
    error: type[UserError]
    again: str

    def place(self, member: zipfile.ZipInfo) -> str:
        """Where a file belongs."""
        raw = member.orig_filename
        place = raw.replace("\\", "/").rstrip("/")
        shown = shortened(raw if raw.isprintable() else repr(raw), 80)
        if (
            "\0" in raw
            or place.startswith("/")
            or (len(place) > 1 and place[1] == ":")
            or any(part in ("", ".", "..") for part in place.split("/"))
        ):
            raise self.error(
                f"'{self.name}' has a path that leads out of it: '{shown}'.", self.again
            )
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "no ordinary file"
            raise self.error(f"'{shown}' in '{self.name}' is {what}.", self.again)
        return place

    def packing(self, place: str, member: zipfile.ZipInfo, never_packed_by: str) -> None:
        """How a file is packed."""
        if member.flag_bits & 1:
            raise self.error(f"'{self.name}' is encrypted.", "Make a zip without a password.")
        stored = member.compress_type == zipfile.ZIP_STORED
        if never_packed_by and not (stored and member.compress_size == member.file_size):
            raise self.error(
                f"'{shortened(place, 80)}' in '{self.name}' is compressed, which {never_packed_by} "
                "never does.",
                self.again,
            )
        if not stored and member.compress_type != zipfile.ZIP_DEFLATED:
            raise self.error(
                f"'{shortened(place, 80)}' in '{self.name}' is packed in an unusual way.",
                "Make the zip again, with the usual compression (Deflate).",
            )

    def sizes(self, found: Mapping[str, zipfile.ZipInfo]) -> None:
        """How many there are, and what they take unpacked."""
        files, room, ratio = self.limits.files, self.limits.room, self.limits.ratio
        total = sum(each.file_size for each in found.values())
        if len(found) > files:
            raise self.error(
                f"'{self.name}' has {len(found):,} file{'s' * (len(found) != 1)}, at most "
                f"{files:,.0f} are read.",
                "Take fewer, or raise the setting zip_files.",
            )
        if total > room:
            raise self.error(
                f"The files in '{self.name}' take {total / 2**30:,.1f} GiB unpacked, at most "
                f"{room / 2**30:g} GiB are read.",
                "Take fewer, or raise the setting zip_gib.",
            )
        times = max(
            (
                each.file_size / (each.compress_size or 1)
                for each in found.values()
                if each.file_size > _LARGE
            ),
            default=0.0,
        )
        if total > _LARGE:
            times = max(times, total / self.size)
        if times > ratio:
            raise self.error(
                f"'{self.name}' grows {times:,.0f} times when unpacked, at most {ratio:g} times "
                "are read: it looks like a zip bomb.",
                "If it is not, raise the setting zip_ratio.",
            )

    def apart(self, found: Mapping[str, zipfile.ZipInfo]) -> None:
        """That no file lies over another, or beyond the end."""
        end = 0
        for each in sorted(found.values(), key=lambda each: each.header_offset):
            if each.header_offset < end:
                raise self.error(f"Files in '{self.name}' lie over each other.", self.again)
            end = each.header_offset + _LOCAL + each.compress_size
        if end > self.size:
            raise self.error(f"Files in '{self.name}' lie beyond its end.", self.again)
