"""Where the files of a data set are: in a folder, or in a zip that is never unpacked for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from core.errors import BadInput
from core.provenance import sha256_of_file, sha256_of_json

ENDINGS: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
HIDDEN: Final = "a hidden file"
TEXT_ENDINGS: Final = (".txt", ".text", ".md")
MOST_LISTED: Final = 1_000
_HASHED: Final = 2**31  # bytes of a file whose content is its fingerprint


class Skipped(NamedTuple):
    """A file or a row that was left out, and why."""

    name: str
    reason: str


class LeftOut:
    """Files or rows that were left out: their ``count``, and the ``first`` thousand of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Skipped] = []

    def add(self, name: str, reason: str) -> None:
        """Leave one out."""
        self.count += 1
        if len(self.first) < MOST_LISTED:
            self.first.append(Skipped(name, reason))

    def also(self, others: LeftOut) -> None:
        """Leave others out as well."""
        self.count += others.count
        self.first += others.first[: MOST_LISTED - len(self.first)]

    def listed(self) -> tuple[Skipped, ...]:
        """Those that are listed, and how many are not."""
        rest = self.count - len(self.first)
        if not rest:
            return tuple(self.first)
        return (*self.first, Skipped(f"{rest:,} more", f"the first {MOST_LISTED:,} are listed"))

    def __bool__(self) -> bool:
        return self.count > 0


class Files(Protocol):
    """Files by name: ``names`` are their paths with ``/`` from the top, ``folders`` those of the
    folders, also of empty ones; ``skipped`` are files that are never read.
    """

    @property
    def name(self) -> str:
        """What the folder or zip is called."""

    @property
    def names(self) -> Sequence[str]:
        """The paths of all files."""

    @property
    def folders(self) -> frozenset[str]:
        """The paths of all folders."""

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files that are never read."""

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file.

        Raises ``BadInput`` when it is gone, damaged, empty, or has more than ``most`` bytes.
        """

    def ends(self, name: str, most: int) -> tuple[bytes, bytes]:
        """The first and the last bytes of a file, at least ``most`` of each where it has them.

        Raises ``BadInput`` when it is gone, damaged or empty.
        """

    def facts(self, names: Sequence[str]) -> list[list[object]]:
        """What tells whether these files are still the same, for a fingerprint."""


@dataclass(frozen=True)
class Folder:
    """The files below a folder on this machine."""

    root: Path
    names: Sequence[str] = ()
    folders: frozenset[str] = frozenset()
    skipped: tuple[Skipped, ...] = ()
    name: str = field(default="")

    @classmethod
    def opened(cls, root: Path) -> Folder:
        """Look through the folder; hidden files and folders are skipped."""
        names: list[str] = []
        folders: set[str] = set()
        skipped: list[Skipped] = []
        for where, inner, found in os.walk(root):
            here = Path(where).relative_to(root).as_posix()
            start = "" if here == "." else f"{here}/"
            skipped += [Skipped(f"{start}{each}/", HIDDEN) for each in inner if hidden(each)]
            skipped += [Skipped(f"{start}{each}", HIDDEN) for each in found if hidden(each)]
            inner[:] = [each for each in inner if not hidden(each)]
            folders |= {f"{start}{each}" for each in inner}
            names += [f"{start}{each}" for each in found if not hidden(each)]
        return cls(root, names, frozenset(folders), tuple(skipped), root.name)

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file; see ``Files``."""
        try:
            path = self.root / name
            size = path.stat().st_size
            if 0 < size <= most:
                return path.read_bytes()
        except OSError as error:
            raise unreadable(name, error) from None
        raise empty(name) if not size else too_large(name, most)

    def ends(self, name: str, most: int) -> tuple[bytes, bytes]:
        """The first and the last bytes of a file; see ``Files``."""
        try:
            with (self.root / name).open("rb") as file:
                head = file.read(most)
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most))
                tail = file.read(most)
        except OSError as error:
            raise unreadable(name, error) from None
        if not size:
            raise empty(name)
        return head, tail

    def facts(self, names: Sequence[str]) -> list[list[object]]:
        """Names, sizes and times of files."""
        status = [(self.root / name).stat() for name in names]
        return [
            [name, each.st_size, each.st_mtime_ns] for name, each in zip(names, status, strict=True)
        ]


def fingerprint(place: Path) -> str:
    """SHA-256 of a file, of a very large one of its size and time."""
    status = place.stat()
    if status.st_size <= _HASHED:
        return sha256_of_file(place)
    return sha256_of_json([place.name, status.st_size, status.st_mtime_ns])


def hidden(name: str) -> bool:
    """Whether a file or folder is one that systems leave behind, or is meant to be passed over."""
    return name.startswith((".", "__MACOSX"))


def unreadable(name: str, error: OSError) -> BadInput:
    """A file that the system does not give."""
    return BadInput(f"'{name}' cannot be read: {error.strerror or error}.", "Check the file.")


def empty(name: str) -> BadInput:
    """A file without a byte."""
    return BadInput(f"'{name}' is empty (0 bytes).", "Remove it.")


def too_large(name: str, most: int) -> BadInput:
    """A file that is larger than one is read."""
    return BadInput(f"'{name}' has more than {most // 2**20} MiB.", "Make it smaller.")
