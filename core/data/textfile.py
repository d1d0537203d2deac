"""Text files of strangers: which encoding they are in, and their lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import BadInput

MAX_BYTES: Final = 4 * 2**30
MAX_LINES: Final = 5_000_000
LONGEST_LINE: Final = 2**24  # characters
_BLOCK = 2**22
_HEAD = 2**16
_MARKS: Final = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY: Final = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook or office document"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ", "packed with xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
    (b"\x80\x04", "a Python pickle, which is never opened"),
)


@dataclass(frozen=True)
class Encoding:
    """A codec of Python by name, and what to tell the person where it is not UTF-8."""

    name: str
    note: str = ""


def check_file(path: Path, most: float = MAX_BYTES) -> int:
    """The size of a file in bytes.

    Raises ``BadInput`` when it is missing, a folder, empty, or larger than ``most`` bytes.
    """
    try:
        size = path.stat().st_size
    except OSError:
        raise BadInput(f"There is no file '{path}'.", "Check the path.") from None
    if path.is_dir():
        raise BadInput(f"'{path}' is a folder, expected a file.", "Name a file in it.")
    if not size:
        raise BadInput(f"'{path.name}' is empty (0 bytes).", "Choose another file.")
    if size > most:
        raise BadInput(
            f"'{path.name}' has {size / 2**30:.1f} GiB, at most {most / 2**30:g} GiB are read.",
            "Take a sample of it.",
        )
    return size


def encoding_of(path: Path, most: float = MAX_BYTES) -> Encoding:
    """In what encoding a text file is, after reading all of it.

    A byte-order mark decides; without one UTF-16 is known by its zero bytes, UTF-8 by being valid.
    What is neither is taken as Windows-1252, Western European, and the note says so.

    Raises ``BadInput`` when it is no text, damaged, or larger than ``most`` bytes.
    """
    check_file(path, most)
    with _opened(path) as file:
        head = file.read(_HEAD)
    for first, what in _BINARY:
        if head.startswith(first):
            raise BadInput(
                f"'{path.name}' is {what}, expected a text file.",
                "Save or unpack it as text (CSV in UTF-8).",
            )
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    name = marked or _wide(head)
    if name is None and b"\0" in head:
        raise BadInput(
            f"'{path.name}' is not a text file: it has zero bytes.", "Choose another file."
        )
    if name is not None:
        wrong = _first_wrong(path, name)
        if wrong is not None:
            kind = name.removesuffix("-sig").upper()
            raise BadInput(
                f"'{path.name}' begins as {kind} and is not valid {kind} from about byte "
                f"{wrong:,} on.",
                "It may be cut off: save it again as UTF-8.",
            )
        plain = name == "utf-8-sig"
        return Encoding(name, "" if plain else f"'{path.name}' is read as {name.upper()}")
    wrong = _first_wrong(path, "utf-8")
    if wrong is None:
        return Encoding("utf-8")
    if _first_wrong(path, "cp1252") is None:
        return Encoding(
            "cp1252",
            f"'{path.name}' is not UTF-8 (byte {wrong:,}), it is read as Windows-1252 "
            "(Western European)",
        )
    raise BadInput(
        f"'{path.name}' is neither UTF-8 (wrong at byte {wrong:,}) nor UTF-16 nor Windows-1252.",
        "Save it again as UTF-8.",
    )


def read_lines(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """The lines of a text file without their ends, and notes on what was assumed.

    Only line feeds end lines (with or without a carriage return before them): other separators of
    Unicode stay within a line, so that two parallel files stay parallel.

    Raises ``BadInput`` as ``encoding_of`` does, and for more than 5,000,000 lines.
    """
    encoding = encoding_of(path)
    found: list[str] = []
    for number, line in lines(path, encoding):
        if line is None:
            raise BadInput(
                f"Line {number:,} of '{path.name}' is longer than {LONGEST_LINE // 2**20} MiB.",
                "Divide it into lines.",
            )
        if len(found) == MAX_LINES:
            raise BadInput(
                f"'{path.name}' has more than {MAX_LINES:,} lines.", "Take a part of it."
            )
        found.append(line)
    return found, (encoding.note,) if encoding.note else ()


def lines(path: Path, encoding: Encoding) -> Iterator[tuple[int, str | None]]:
    """The lines of a text file without their ends, one in memory at a time, with their numbers from
    1; None in place of one of more than 16 MiB.
    """
    with path.open(encoding=encoding.name, newline="\n") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE and not line.endswith("\n"):
                while rest := file.readline(LONGEST_LINE):
                    if rest.endswith("\n"):
                        break
                yield number, None
            else:
                yield number, line.removesuffix("\n").removesuffix("\r")


def read_head(path: Path, encoding: Encoding) -> str:
    """The beginning of a text file, without a line or character that is cut in the middle."""
    with _opened(path) as file:
        raw = file.read(_HEAD)
        whole = not file.read(1)
    text = codecs.getincrementaldecoder(encoding.name)().decode(raw)
    return text if whole or "\n" not in text else text[: text.rindex("\n") + 1]


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte of Western text is zero."""
    even, odd = head[::2], head[1::2]
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros.count(0) > 0.7 * len(zeros) and others.count(0) < 0.05 * len(others):
            return name
    return None


def _first_wrong(path: Path, name: str) -> int | None:
    """About where (in bytes) a file is not valid in an encoding, or None."""
    decoder = codecs.getincrementaldecoder(name)()
    done = 0
    with _opened(path) as file:
        while True:
            block = file.read(_BLOCK)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return max(0, done + error.start - (len(error.object) - len(block)))
            if not block:
                return None
            done += len(block)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(
            f"'{path.name}' cannot be read: {error.strerror or error}.", "Check the file."
        ) from None
