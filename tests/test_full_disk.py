"""What a full disk does at each door: a plain sentence, and nothing half-written is left.

A limit of the system on the size of files stands in for the disk, in a process of its own: each
write beyond it fails in the middle, as on a full disk.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import core
from core import store
from core.data import kept
from core.data.kept import keep_data
from core.errors import StorageError
from core.training.eventfile import EventWriter
from core.workspace import Workspace

SCRIPT = """
import json, resource, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
import core
from core.data.kept import keep_data
from core.errors import FluoroscopeError
from core.models.catalogue import card
from core.models.exported.description import Description
from core.models.formats import door, taking
from core.training.eventfile import EventWriter
from core.workspace import Workspace

place = Workspace(Path(sys.argv[1]))
taking.confine = lambda *limits: None
taking.forbid = taking.graphs.forbid = lambda *deeds: None
door.opened = lambda source, target, worker: taking.main(source, target, 60, 8)
about = card("tabular_mlp")
said = Description(architecture={"name": "tabular_mlp"})
reference = core.reference("digits_cnn")


def events():
    with EventWriter(place.root / "run") as writer:
        for step in range(5_000):
            writer.scalars(step, {"loss": 1.0})


def capture():
    core.capture(reference, out=place.root / "capture", pool="whole", limit=40)


DOORS = {
    "upload": lambda: place.save_upload("a.png", bytes(50_000)),
    "data": lambda: keep_data(place, "a.csv", bytes(50_000)),
    "model": lambda: door.add(about.folder / about.weights, said, place=place),
    "result": lambda: place.store.put_encoded("ab" * 32, bytes(50_000)),
    "capture": capture,
    "run": events,
}
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, resource.RLIM_INFINITY))
told = {}
for name, deed in DOORS.items():
    try:
        deed()
        told[name] = "no error"
    except FluoroscopeError as error:
        told[name] = str(error)
    left = [str(each.relative_to(place.root)) for each in place.root.rglob("*") if each.is_file()]
    told[f"{name} left"] = sorted(left)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for name, deed in DOORS.items():
    if name != "run":
        deed()
print("TOLD " + json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was said at each door, and which files were there afterwards."""
    home = tmp_path_factory.mktemp("full")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home / "place")],
        cwd=home, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(core.__file__ or "").parents[1])},
    )  # fmt: skip
    line = next((each for each in done.stdout.splitlines() if each.startswith("TOLD ")), "")
    assert line, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return found


@pytest.mark.parametrize("door", ["upload", "data", "model", "result", "capture", "run"])
def test_it_is_said_and_nothing_is_left(door: str, told: dict[str, Any]) -> None:
    assert "too large" in told[door]
    assert told[door].endswith(".")
    left = [each for each in told[f"{door} left"] if not each.startswith("run/")]
    assert left == []


def failing(count: int) -> Callable[..., None]:
    """``write_atomically``, of which the ``count``-th call finds the disk full."""
    calls = []

    def write(path: Path, data: bytes, *more: Any, **how: Any) -> None:
        calls.append(path)
        if len(calls) == count:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise StorageError("The disk is full.", "Free some space.") from full
        store.write_atomically(path, data, *more, **how)

    return write


def test_data_without_their_name_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Workspace(tmp_path)
    monkeypatch.setattr(kept, "write_atomically", failing(2))
    with pytest.raises(StorageError, match="disk is full"):
        keep_data(place, "a.csv", b"text\na\n")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
    assert list((tmp_path / "data").iterdir()) == []
    monkeypatch.setattr("core.workspace.write_atomically", failing(2))
    with pytest.raises(StorageError, match="disk is full"):
        place.save_upload("a.png", b"abc")
    assert list(place.uploads.iterdir()) == []


def test_an_event_file_that_cannot_be_closed_says_so(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path)
    writer.scalars(1, {"loss": 1.0})
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer._file.fileno())
    os.close(full)
    with pytest.raises(StorageError, match="No space left on device"):
        writer.close()
    writer.close()
