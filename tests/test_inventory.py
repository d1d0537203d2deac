"""The workspace: what lies there and how large it is, what is in use, renaming and deleting."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import settings
from core.data.kept import keep_data, link_data
from core.errors import BadInput, BadParameter, UnknownName
from core.inventory import delete, find, inventory, rename
from core.training.run import Run
from core.workspace import Workspace
from dashboard.cli import app
from sample_models import runs as sample_runs


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace with one of most things."""
    place = Workspace(tmp_path / "ws")
    keep_data(place, "mine.csv", b"text,label\na,b\n")
    place.save_upload("photo.png", b"12345")
    (place.results / "aa").mkdir()
    (place.results / "aa" / "x.npz").write_bytes(bytes(3000))
    capture = place.captures / "abc"
    capture.mkdir()
    (capture / "capture.json").write_text(
        json.dumps({"model": "run:one", "data": {"name": "mine.csv"}})
    )
    source = next(each for each in Path(sample_runs()).rglob("config.json")).parent
    shutil.copytree(source, place.runs / "one")
    model = place.models / "net"
    model.mkdir()
    (model / "card.json").write_text('{"description": {"title": "My net"}, "found": {}}')
    small = place.root / "compressed" / "b1c2"
    small.mkdir(parents=True)
    (small / "card.json").write_text('{"of": "digits_cnn", "titles": ["Channels", "bfloat16"]}')
    return place


def ids(place: Workspace) -> dict[str, str]:
    return {each.id: each.title for each in inventory(place)}


def test_everything_is_there_with_its_size(place: Workspace) -> None:
    found = {each.kind: each for each in inventory(place)}
    assert set(found) == {"models", "data", "runs", "captures", "results", "uploads", "compressed"}
    assert found["models"].title == "My net"
    assert found["compressed"].title == "Channels, bfloat16 · digits_cnn"
    assert found["captures"].title == "run:one over mine.csv"
    assert found["results"].size == 3000
    assert found["uploads"].title == "photo.png"
    whole = sum(path.stat().st_size for path in place.root.rglob("*") if path.is_file())
    assert sum(each.size for each in found.values()) == whole


def test_an_opened_folder_is_let_go_and_its_weights_stay(place: Workspace, tmp_path: Path) -> None:
    weights = tmp_path / "bert" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(bytes(10**5))
    opened = place.root / "opened" / "abc"
    opened.mkdir(parents=True)
    (opened / "of.json").write_text(json.dumps({"folder": str(weights.parent), "notes": []}))
    (opened / "model.safetensors").symlink_to(weights)
    (found,) = (each for each in inventory(place) if each.kind == "opened")
    assert found.title == str(weights.parent)
    assert found.size < 1000
    delete(found)
    assert not opened.exists()
    assert weights.stat().st_size == 10**5


def test_the_same_bytes_are_one(place: Workspace) -> None:
    before = ids(place)
    keep_data(place, "again.csv", b"text,label\na,b\n")
    place.save_upload("other.png", b"12345")
    assert ids(place) == before


def test_deleting(place: Workspace, tmp_path: Path) -> None:
    for each in inventory(place):
        assert delete(each) == each.size
    assert ids(place) == {}
    assert not [path for path in place.root.rglob("*") if path.is_file()]
    far = tmp_path / "far.csv"
    far.write_text("text\na\n")
    linked = link_data(place, far)
    delete(find(inventory(place), f"data/{linked.key}"))
    assert far.is_file()


def test_what_is_in_use_stays(place: Workspace) -> None:
    with Run.open(place.runs / "one").exclusively():
        thing = find(inventory(place), "runs/one")
        with pytest.raises(BadParameter, match="'one' is in use: it trains"):
            delete(thing)
        with pytest.raises(BadParameter, match="is in use"):
            rename(place, thing, "two")
    data = find(inventory(place), "mine.csv")
    path = next((place.data / data.name / "content").iterdir())
    assert find(inventory(place, [json.dumps({"path": str(path)})]), data.id).busy
    assert not find(inventory(place), data.id).busy


def test_renaming(place: Workspace) -> None:
    for kind, old, new in (
        ("data", "mine.csv", "yours"),
        ("models", "My net", "A net"),
        ("uploads", "photo.png", "p.png"),
        ("runs", "one", "two"),
    ):
        rename(place, find(inventory(place), old), f" {new}\n")
        assert new in [each.title for each in inventory(place) if each.kind == kind]
    assert not list(place.captures.iterdir())  # it named the run by its old name
    assert Run.open(place.runs / "two").config
    things = inventory(place)
    with pytest.raises(BadInput, match="name is empty"):
        rename(place, find(things, "runs/two"), " ")
    for bad in ("../x", "a/b", ".hidden"):
        with pytest.raises(BadInput, match="cannot be the name"):
            rename(place, find(things, "runs/two"), bad)
    with pytest.raises(BadParameter, match="Results have no names"):
        rename(place, find(things, "results/all"), "x")
    with pytest.raises(UnknownName, match="runs/two"):
        find(things, "runs/twoo")


def test_the_command(place: Workspace) -> None:
    def said(*words: str, status: int = 0) -> str:
        done = CliRunner().invoke(app, ["workspace", *words, "--workspace", str(place.root)])
        assert (done.exit_code == 0) is (status == 0), done.output
        return done.output

    facts = json.loads(said("list", "--json"))
    assert facts["bytes"] == sum(each["bytes"] for each in facts["things"])
    assert {each["setting"] for each in facts["settings"]} == {
        each.name for each in settings.LIMITS
    }
    assert "results/all" in said("list")
    assert json.loads(said("rename", "mine.csv", "yours", "--json"))["name"] == "yours"
    said("delete", "yours", status=1)  # nobody says yes
    assert "are free" in said("delete", "yours", "--yes")
    assert "yours" not in said("list")


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path))
    assert settings.setting("zip_files").source == "default"
    (tmp_path / settings.FILE).write_text("zip_files = 7\n")
    assert settings.setting("zip_files") == settings.Setting(
        settings._BY_NAME["zip_files"], 7, settings.FILE
    )
    monkeypatch.setenv("FLUOROSCOPE_ZIP_FILES", "9")
    assert settings.value("zip_files") == 9
    for wrong in ("many", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("FLUOROSCOPE_ZIP_FILES", wrong)
        with pytest.raises(BadParameter, match="expected a number of files"):
            settings.value("zip_files")
    monkeypatch.delenv("FLUOROSCOPE_ZIP_FILES")
    for text, sentence in (("zip_file = 7", "which there is not"), ("zip_files 7", "cannot be")):
        (tmp_path / settings.FILE).write_text(f"{text}\n# {text}")
        with pytest.raises(BadParameter, match=sentence):
            settings.value("zip_files")


HOSTILE = {
    "a word": (b'upload_mb = "many"', "expected a number of MB up to 1,000,000"),
    "a list": (b"upload_mb = [1]", "expected a number"),
    "a table": (b"[upload_mb]\nx = 1", "expected a number"),
    "a date": (b"upload_mb = 2020-01-01", "expected a number"),
    "yes": (b"upload_mb = true", "expected a number"),
    "negative": (b"upload_mb = -5", "expected a number"),
    "infinite": (b"upload_mb = 1e400", "expected a number"),
    "far too much": (b"upload_mb = 1e9", "expected a number"),
    "many digits": (b"upload_mb = " + b"9" * 900, "expected a number"),
    "not UTF-8": (b"upload_mb = 5 # \xe9", "cannot be read"),
    "UTF-16": ("upload_mb = 5".encode("utf-16"), "cannot be read"),
    "a zero byte": (b"upload_mb = \0", "cannot be read"),
    "nested": (b"a = " + b"[" * 900, "cannot be read"),
    "a deep name": (b"a" + b".a" * 10**5 + b" = 1", "cannot be read: it has more than 16 KiB"),
    "nested over lines": (b"a = " + b"[\n" * 8_000, "cannot be read"),
    "large": (b"#" * 10**6, "cannot be read: it has more than 16 KiB"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_settings_that_make_no_sense_get_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLUOROSCOPE_UPLOAD_MB", raising=False)
    content, sentence = HOSTILE[name]
    (tmp_path / settings.FILE).write_bytes(content)
    with pytest.raises(BadParameter, match=sentence) as caught:
        settings.settings(tmp_path)
    assert len(str(caught.value)) < 500


def test_settings_that_are_no_file(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("folder", "pipe", "device", "other", "loop")]
    for place in places:
        place.mkdir()
    folder, pipe, device, other, loop = (place / settings.FILE for place in places)
    folder.mkdir()
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    other.symlink_to("/etc/passwd")  # what it says is not repeated
    loop.symlink_to(loop)
    for place in places[:4]:
        with pytest.raises(BadParameter, match="cannot be read") as caught:
            settings.setting("zip_files", place)
        assert "root:" not in str(caught.value)
    assert settings.setting("zip_files", places[4]).source == "default"


def test_what_settings_were_called_once_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / settings.FILE).write_text("zip_gb = 3\nresults_gib = 5\n")
    assert settings.setting("zip_gib", tmp_path).value == 3
    assert settings.setting("results_gib", tmp_path).value == 5
    monkeypatch.setenv("FLUOROSCOPE_ZIP_GB", "4")
    assert settings.setting("zip_gib", tmp_path).value == 4
