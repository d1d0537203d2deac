"""The workspace: where it is, and uploads by their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs
import pytest

from core.errors import BadInput, BadParameter, StorageError
from core.workspace import Workspace, workspace

DATA = b"\x89PNG and so on"
DIGEST = hashlib.sha256(DATA).hexdigest()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FLUOROSCOPE_WORKSPACE", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, **_: str(tmp_path / name))
    assert workspace().root == tmp_path / "fluoroscope"
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "set"))
    assert workspace().root == tmp_path / "set"
    assert workspace(str(tmp_path / "said")).root == tmp_path / "said"
    assert workspace("here").root == Path.cwd() / "here"
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_when_needed(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "new")
    assert place.store.get("0" * 64) is None
    assert not place.root.exists()
    for name in ("results", "uploads", "models", "runs", "jobs", "logs"):
        assert getattr(place, name) == tmp_path / "new" / name
        assert getattr(place, name).is_dir()


def test_a_place_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be used: .*--workspace or FLUOROSCOPE_WORK"):
        _ = Workspace(tmp_path / "file").uploads


def test_the_size_of_the_results_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUOROSCOPE_RESULTS_GIB", "0.5")
    assert workspace("x").store.limit == 2**29
    for wrong in ("much", "-1", "inf", "nan"):
        monkeypatch.setenv("FLUOROSCOPE_RESULTS_GIB", wrong)
        with pytest.raises(BadParameter, match=f"is '{wrong}', expected a number"):
            workspace("x")


def test_uploads_are_known_by_their_digest(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    assert place.save_upload("cat.png", DATA) == DIGEST
    assert place.save_upload("the same cat.png", DATA) == DIGEST
    example = place.read_upload(DIGEST)
    assert (example.name, example.data) == ("cat.png", DATA)  # links made before stay valid
    assert len(list(place.uploads.iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("a\x00b\nc\u202e.png", "abc.png"),
        ("", "upload"),
        ("/", "upload"),
        ("grün.png", "grün.png"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
def test_names_are_only_names(tmp_path: Path, given: str, kept: str) -> None:
    place = Workspace(tmp_path)
    assert place.read_upload(place.save_upload(given, DATA)).name == kept


@pytest.mark.parametrize(
    "digest", ["", "../" * 20, DIGEST.upper(), DIGEST + "\n", DIGEST + ".json"]
)
def test_only_digests_are_read(tmp_path: Path, digest: str) -> None:
    place = Workspace(tmp_path)
    place.save_upload("cat.png", DATA)
    with pytest.raises(BadInput, match="does not name an upload"):
        place.read_upload(digest)


def test_what_is_missing_or_damaged_says_so(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    with pytest.raises(BadInput, match=r"not stored on this machine\. Upload the file again"):
        place.read_upload(DIGEST)
    place.save_upload("cat.png", DATA)
    (place.uploads / DIGEST).write_bytes(b"other")
    with pytest.raises(BadInput, match="damaged"):
        place.read_upload(DIGEST)
    place.save_upload("cat.png", DATA)  # mends it
    (place.uploads / f"{DIGEST}.json").write_text("no json")
    assert place.read_upload(DIGEST).name == f"upload-{DIGEST[:8]}"
    with pytest.raises(BadInput, match="empty"):
        place.save_upload("cat.png", b"")
