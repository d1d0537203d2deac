"""Strangers' zips: what is dangerous is refused with a sentence, and leaves nothing behind."""

from __future__ import annotations

import io
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.data.archive import Archive
from core.data.dataset import dataset
from core.errors import BadInput
from core.models.catalogue import card
from tests.images import picture, png

PNG = png(picture(8, 8))


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def written(path: Path, fill: Callable[[zipfile.ZipFile], object]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cat/1.png", PNG)
        fill(file)
    return path


def inner() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        file.writestr("cat/1.png", PNG)
    return raw.getvalue()


HOSTILE: dict[str, tuple[Callable[[zipfile.ZipFile], object], str]] = {
    "ratio": (lambda f: f.writestr("cat/2.png", bytes(2 << 20)), "looks like a zip bomb"),
    "absolute": (lambda f: f.writestr("/etc/passwd", b"x"), "leads out of it: '/etc/passwd'"),
    "dots": (lambda f: f.writestr("cat/../../x.png", PNG), "leads out of it"),
    "backslash": (lambda f: f.writestr("cat\\..\\..\\x.png", PNG), "leads out of it"),
    "drive": (lambda f: f.writestr("C:/x.png", PNG), "leads out of it"),
    "link": (lambda f: f.writestr(link("cat/2.png"), "/etc/passwd"), "is a link"),
    "lzma": (lambda f: f.writestr("cat/2.png", PNG, zipfile.ZIP_LZMA), "unusual way"),
}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files would go; empty when a test begins."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_what_is_dangerous_is_refused(kind: str, tmp_path: Path, scratch: Path) -> None:
    fill, sentence = HOSTILE[kind]
    path = written(tmp_path / "data.zip", fill)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=sentence):
        dataset(card("digits_cnn"), path)
    assert sorted(tmp_path.rglob("*")) == before


def test_limits_are_settings(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "many.zip", lambda f: f.writestr("cat/2.png", PNG))
    monkeypatch.setenv("FLUOROSCOPE_ZIP_FILES", "1")
    with pytest.raises(BadInput, match=r"2 files, at most 1 are read.*zip_files"):
        Archive(path)
    monkeypatch.setenv("FLUOROSCOPE_ZIP_FILES", "2")
    assert len(Archive(path).names) == 2
    monkeypatch.setenv("FLUOROSCOPE_ZIP_GIB", str(len(PNG) / 2**30))
    with pytest.raises(BadInput, match=r"unpacked.*zip_gib"):
        Archive(path)


def test_a_list_of_files_that_fills_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.zip"
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, 2_000_000_000, 0, 0)
    path.write_bytes(b"PK\x03\x04" + bytes(100) + end)
    with pytest.raises(BadInput, match="lists about 43,478,260 files"):
        Archive(path)


def test_two_files_of_one_name_or_one_place(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = written(tmp_path / "twice.zip", lambda f: f.writestr("cat/1.png", PNG))
    with pytest.raises(BadInput, match=r"two files called 'cat/1\.png'"):
        Archive(path)
    path = written(tmp_path / "over.zip", lambda f: f.writestr("cat/2.png", PNG))
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<L", raw, second + 42, 0)  # the second file lies where the first one is
    path.write_bytes(raw)
    with pytest.raises(BadInput, match=r"over each other|no whole zip"):
        Archive(path)


def test_encrypted_and_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path / "data.zip", lambda f: None)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(raw)
    with pytest.raises(BadInput, match="is encrypted"):
        Archive(tmp_path / "locked.zip")
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadInput, match=r"no whole zip.*cut off"):
        Archive(tmp_path / "cut.zip")


def test_what_is_passed_over_is_listed(tmp_path: Path) -> None:
    def fill(file: zipfile.ZipFile) -> None:
        file.writestr("cat/more.zip", inner())
        file.writestr("__MACOSX/cat/._1.png", b"x")
        file.writestr("cat/notes.txt", "not a picture")
        file.writestr("loose.png", PNG)
        file.writestr("cat/empty.png", b"")
        file.writestr("cat/text.png", "hello" * 9)
        file.writestr("cat/half.png", PNG[:-40])

    found = dataset(card("digits_cnn"), written(tmp_path / "data.zip", fill))
    assert list(found.ids) == ["cat/1.png"]
    reasons = {each.name: each.reason for each in found.skipped}
    assert reasons.pop("cat/half.png").startswith("is damaged or cut off")
    assert reasons == {
        "cat/more.zip": "an archive in an archive is not opened",
        "__MACOSX/cat/._1.png": "a hidden file",
        "cat/notes.txt": "not named as a picture",
        "loose.png": "not in the folder of a class",
        "cat/empty.png": "is empty (0 bytes).",
        "cat/text.png": "is not a picture in a known format.",
    }


def test_a_zip_of_a_zip_is_told(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("inner.zip", inner())
    with pytest.raises(BadInput, match=r"nothing that this model reads, only 'inner\.zip'"):
        dataset(card("digits_cnn"), path)
    assert not list(scratch.iterdir())


def test_damage_inside_is_found_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("table.csv", "text,label\n" + "a game,games\n" * 20)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"a game") + 50] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BadInput, match=r"'table\.csv' in 'data\.zip' is damaged"):
        dataset(card("text_rnn"), path)
    assert not list(scratch.iterdir())
