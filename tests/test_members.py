"""One guard for every zip that people bring: the same hostile zip is refused at each door."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.data.archive import Archive
from core.errors import BadInput, BadModel, UserError
from core.models.exported.archive import Archive as Program
from core.models.formats.kind import Kind, kind_of
from core.models.formats.statefile import weights_of
from core.models.skopsfile import SkopsFile
from core.workspace import Workspace
from dashboard.learning.eventupload import keep

DOORS: dict[str, Callable[[Path], object]] = {
    "data": Archive,
    "kind of model": kind_of,
    "exported program": Program,
    "state": lambda path: weights_of(path, Kind.STATE),
    "skops": SkopsFile,
    "event files": lambda path: keep(
        Workspace(path.parent / "place"), path.name, path.read_bytes()
    ),
}


def special(kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x/tfevents.2")
    info.external_attr = (kind | 0o777) << 16
    return info


def flags(path: Path, place: int, change: Callable[[int], int]) -> None:
    """Change a number of the last entry in the list of files."""
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    (before,) = struct.unpack_from("<L", raw, entry + place)
    struct.pack_into("<L", raw, entry + place, change(before) & 0xFFFFFFFF)
    path.write_bytes(raw)


HOSTILE: dict[str, tuple[Callable[[zipfile.ZipFile], object], str]] = {
    "absolute": (lambda f: f.writestr("/etc/tfevents", b"x"), "leads out of it: '/etc/tfevents'"),
    "dots": (lambda f: f.writestr("x/../../tfevents", b"x"), "leads out of it"),
    "backslash": (lambda f: f.writestr("x\\..\\..\\tfevents", b"x"), "leads out of it"),
    "drive": (lambda f: f.writestr("C:/tfevents", b"x"), "leads out of it"),
    "link": (lambda f: f.writestr(special(stat.S_IFLNK), "/etc/passwd"), "is a link"),
    "device": (lambda f: f.writestr(special(stat.S_IFCHR), ""), "is no ordinary file"),
    "unusual": (
        lambda f: f.writestr("x/tfevents.2", b"x" * 99, zipfile.ZIP_LZMA),
        "unusual way|never does",
    ),
    "bomb": (
        lambda f: f.writestr("x/tfevents.2", bytes(4 << 20), zipfile.ZIP_DEFLATED),
        "zip bomb|never does|has no schema",
    ),
}
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "encrypted": (lambda p: flags(p, 8, lambda each: each | 1), "is encrypted"),
    "over each other": (lambda p: flags(p, 42, lambda _: 0), "over each other"),
    "beyond the end": (lambda p: flags(p, 42, lambda _: 10**6), "lie beyond its end|no whole zip"),
    "torn": (lambda p: p.write_bytes(p.read_bytes()[:-9]), "no whole zip|neither"),
    "many": (
        lambda p: p.write_bytes(
            b"PK\x03\x04" + bytes(99)
            + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, 2_000_000_000, 0, 0)
        ),
        "lists about 43,478,260 files",
    ),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [*HOSTILE, *ODD])
def test_the_same_is_refused_everywhere(name: str, door: str, tmp_path: Path) -> None:
    path = tmp_path / "it.zip"
    fill, sentence = HOSTILE.get(name, (lambda f: f.writestr("x/tfevents.2", b"y" * 50), ""))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/tfevents.1", b"x" * 50)
        fill(file)
    if name in ODD:
        change, sentence = ODD[name]
        change(path)
    with pytest.raises(UserError, match=sentence) as caught:
        DOORS[door](path)
    assert isinstance(caught.value, BadInput if door in ("data", "event files") else BadModel)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]
