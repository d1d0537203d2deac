"""What a sealed process may leave behind, forged: nobody who reads it is led anywhere by it, runs
out of memory, or breaks.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core import codec, inventory, paths
from core.compression import source
from core.confinement.folders import HeldFolder
from core.engine.job import Job
from core.engine.message import Done, Failed, Ticked, frame, receive
from core.errors import BadModel, FluoroscopeError, StorageError
from core.models.catalogue import card
from core.models.formats import door
from core.models.formats.kind import Kind
from core.models.reference import ModelRef
from core.progress import Progress
from core.results.activations import DataRef, open_capture
from core.store import Store
from core.workspace import Workspace

HUGE = 2**45
DEEP = "[" * 200_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "place"))
    return Workspace(tmp_path / "place")


def sparse(path: Path) -> Path:
    """A file that says that it has 32 TiB, or as much as this disk lets it say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for size in (2**40, 2**43, HUGE):  # as far as the file system goes
            with suppress(OSError):
                file.truncate(size)
    assert path.stat().st_size >= 2**40
    return path


def deep(folder: Path, levels: int = 1100) -> None:
    """Folders in each other, deeper than any path is long."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)


# Cards of compressed models, which lie where a sealed process writes


@pytest.mark.parametrize(
    "of", ["compressed:own/x", "hf:somebody/secret", "PLACE/evil.pt2", "own:a"]
)
def test_a_forged_card_has_nothing_fetched_or_opened(
    of: str, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def fetched(name: str, local_files_only: bool = False, **_: Any) -> str:
        asked.append(local_files_only)
        raise hub.errors.LocalEntryNotFoundError("not here")

    monkeypatch.setattr(hub, "snapshot_download", fetched)
    folder = place.apart.compressed / "x"
    folder.mkdir()
    (place.root / "evil.pt2").write_bytes(b"PK")
    about = {"of": of.replace("PLACE", str(place.root)), "structure": [], "titles": []}
    (folder / source.CARD).write_text(json.dumps(about))
    assert source.names() == ("compressed:own/x",)
    with pytest.raises(FluoroscopeError):
        card("compressed:own/x")
    assert all(asked)
    assert not list(place.models.iterdir())


@pytest.mark.parametrize("text", [DEEP, "[]", '{"of": []}', "\xff"])
def test_a_card_that_is_none_is_a_sentence(text: str, place: Workspace) -> None:
    folder = place.apart.compressed / "x"
    folder.mkdir()
    (folder / source.CARD).write_text(text, encoding="latin-1")
    with pytest.raises(FluoroscopeError):
        card("compressed:own/x")
    assert [each.name for each in inventory.inventory(place)] == ["own/x"]


def test_what_is_read_is_limited_and_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    for text in (DEEP, DEEP.replace("[", '{"a":'), "{", ""):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"\w"):
            paths.read_json(path)
    for each in (sparse(path), tmp_path):
        with pytest.raises((ValueError, OSError)):
            paths.read_json(each)
    path.write_text('{"title": "a\\uD800b", "\\ud83d\\ude00": 1}')
    assert paths.read_json(path) == {"title": "a?b", "\U0001f600": 1}
    path.write_bytes(b'{"title": "\xff"}')
    assert paths.read_json(path) == {"title": "\ufffd"}


def test_what_an_opener_tells_is_a_model_or_a_sentence(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(b"x")
    monkeypatch.setattr(door, "kind_of", lambda path: Kind.FOLDER)
    for text in (DEEP, "[]", '{"origin": 1}', '{"origin": {}}'):

        def opener(path: Path, target: Path, worker: str, text: str = text) -> dict[str, Any]:
            target.write_text(text)
            return {"notes": []}

        monkeypatch.setattr(door, "opened", opener)
        with pytest.raises(BadModel, match="broke the process that opened it"):
            door.add(file, place=place)
    assert not list(place.models.iterdir())


# Jobs, results, captures


def test_files_without_end_are_not_read(place: Workspace) -> None:
    folder = place.jobs / "1"
    for name in ("job.json", "status.json", "log.txt", "result.npz"):
        sparse(folder / name)
    job = Job(folder)
    assert job.state == "failed"
    assert len(job.log()) <= 2**24
    assert len(job.log_tail()) <= 2**24
    with pytest.raises(StorageError):
        _ = job.result
    assert inventory.jobs(place) == ()
    store = Store(place.root / "results")
    key = "a" * 64
    sparse(place.root / "results" / "aa" / f"{key}.npz")
    assert store.get(key) is None


def captured(folder: Path, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format": 1, "model": "m", "weights": "w", "task": "t", "classes": [], "independent": False,
        "data": {"name": "d", "fingerprint": "f", "source": {}}, "layers": [], "dtype": "float16",
        "done": 2, "total": 2, "read": 2, "skipped": {}, "notes": [], "provenance": {},
        "left_out": [],
    }  # fmt: skip
    (folder / "capture.json").write_text(json.dumps({**about, **changed}))
    return folder


def test_a_capture_that_lies_takes_no_memory(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        open_capture(captured(tmp_path, done=2**40, total=2**40, read=2**40))
    with pytest.raises(StorageError):
        open_capture(captured(tmp_path, layers=[{
            "name": "a", "kind": "", "file": "../a.npy", "shape": [1],
        }]))  # fmt: skip
    found = open_capture(captured(tmp_path))
    sparse(tmp_path / "ids.jsonl")
    with pytest.raises(StorageError):
        _ = found.ids
    with zipfile.ZipFile(tmp_path / "columns.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"x" * 1000)
    with pytest.raises(StorageError, match="compressed"):
        _ = found.columns
    with (tmp_path / "labels.npy").open("wb") as file:
        head = {"shape": (2**40,), "fortran_order": False, "descr": "<i8"}
        np.lib.format.write_array_header_1_0(file, head)
    with pytest.raises(StorageError):
        _ = found.labels
    np.savez(tmp_path / "scores.npy", a=np.zeros(2))
    (tmp_path / "scores.npy.npz").rename(tmp_path / "scores.npy")
    with pytest.raises(StorageError):
        _ = found.scores


def test_a_capture_is_where_it_was_asked_for(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.commands import calls

    told = str(captured(tmp_path / "elsewhere"))
    monkeypatch.setattr(calls, "with_bar", lambda *asked: told)
    data: Any = SimpleNamespace(fingerprint="f", name="d", ref=DataRef("d", "f", {}))
    engine: Any = None
    made = calls.captured(engine, ModelRef("own:a", "w"), data, str(place.root))
    assert Path(made).parent == place.apart.captures


# Messages


@pytest.mark.parametrize(
    "message",
    [
        lambda: Ticked(1, Progress("a")),  # type: ignore[arg-type]
        lambda: Ticked(1, Progress(-1.0, 1.0)),
        lambda: Ticked(1, Progress(float("nan"), 1.0)),
        lambda: Ticked(1, Progress(note="a" * 30_000)),
        lambda: Ticked(1, {}),  # type: ignore[arg-type]
        lambda: Failed(1, "BadModel", ["a"], ""),  # type: ignore[arg-type]
        lambda: Failed(1, "BadModel", "a" * 30_000, ""),
        lambda: Done(1, "a"),  # type: ignore[arg-type]
    ],
)
def test_messages_that_no_page_can_show_are_none(message: Any, monkeypatch: Any) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        message()
    for kind in (Ticked, Failed, Done):
        monkeypatch.setattr(kind, "__post_init__", lambda self: None)
    sent = frame(message())
    monkeypatch.undo()
    with pytest.raises(StorageError):
        receive(io.BytesIO(sent))


def test_a_long_error_is_cut_and_arrives() -> None:
    sent = frame(Failed.of(1, BadModel("a" * 30_000, "b")))
    found = receive(io.BytesIO(sent))
    assert isinstance(found, Failed)
    assert found.error.message.startswith("aaa")
    assert found.next_step == "b"


def test_a_document_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = codec.encode([[]] * 1000)
    assert codec.decode(sent) == [[]] * 1000
    monkeypatch.setattr(codec, "LARGEST_JSON", 1000)
    with pytest.raises(StorageError, match="too large"):
        codec.decode(sent)
    with pytest.raises(TypeError, match="too many"):
        codec.encode([[]] * 1000)


# Pictures, which a worker makes anew for the pages


def test_pictures_that_are_too_large_or_none_are_not_decoded() -> None:
    from PIL import Image

    from dashboard import thumbnails

    def png(side: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (side, side)).save(buffer, "PNG")
        return buffer.getvalue()

    small = thumbnails.decoded(png(8))
    assert small is not None
    assert small.size == (8, 8)
    grey = thumbnails.address(b"", 8)
    for file in (png(5000), png(8)[:40], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"x"):
        assert thumbnails.decoded(file) is None
        assert thumbnails.address(file, 8) == grey
        assert thumbnails.mean([0], lambda row, file=file: file) is None


# Folders


def test_folders_go_however_deep_they_are(place: Workspace) -> None:
    held = HeldFolder()
    deep(held.path)
    held.close()
    assert not held.path.exists()
    folder = place.apart.captures / "x"
    folder.mkdir()
    deep(folder)
    (found,) = inventory.inventory(place)
    inventory.delete(found)
    assert not list(place.apart.captures.iterdir())
