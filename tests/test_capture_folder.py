"""The folder of a capture: cut off and gone on with, refused, full, damaged, never in memory."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.activations import folder as folders
from core.activations.capture import capture
from core.activations.folder import held
from core.activations.shelf import request, shelved, tidy
from core.data.dataset import Dataset
from core.errors import BadInput, BadParameter, Cancelled, StorageError
from core.models.reference import ModelRef
from core.progress import Meter
from core.results.activations import open_capture
from core.tasks import Example
from core.workspace import Workspace
from tests.test_capture import data, pictures, texts
from tests.toy_models import SHAPE, toy
from tests.toy_models import example as picture
from tests.toy_texts import CLASSES as OPINIONS
from tests.toy_texts import WIDTH
from tests.toy_texts import toy as toy_text

ROOT = Path(__file__).parents[1]


def arrays(folder: Path) -> dict[str, bytes]:
    """Everything in the folder but when and how long."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}
    manifest = json.loads((folder / "capture.json").read_bytes())
    del manifest["provenance"]
    return {**found, "capture.json": json.dumps(manifest).encode()}


def stopping(after: int) -> Meter:
    """A meter that is cancelled once so many passes are done."""
    meter: Meter
    meter = Meter(cancelled=lambda: meter.done >= after)
    return meter


def many(count: int = 40) -> Dataset:
    return data([picture(SHAPE, seed) for seed in range(count)], [i % 5 for i in range(count)])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.activations import capture as module

    monkeypatch.setattr(module, "_MOST", {"pixels": 6, "columns": 6, "tokens": 2})


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("kind", ["pictures", "texts"])
@pytest.mark.parametrize("pool", ["mean", "whole"])
def test_resumed_is_the_same_to_the_bit(kind: str, pool: Any, tmp_path: Path) -> None:
    model, found = (
        (toy("residual"), many()) if kind == "pictures" else (toy_text("transformer"), texts())
    )
    whole = capture(model, found, tmp_path / "whole", pool=pool)
    after = 20 if kind == "pictures" else len(found) * (2 if pool == "whole" else 1) - 3
    with pytest.raises(Cancelled):
        capture(model, found, tmp_path / "cut", pool=pool, meter=stopping(after))
    part = open_capture(tmp_path / "cut")
    assert 0 < part.done < part.total == len(found)
    assert len(part) == len(part.ids) == len(part.scores) == part.done
    for name in part.names:
        np.testing.assert_array_equal(part.layer(name), whole.layer(name)[: part.done])
    resumed = capture(model, found, tmp_path / "cut", pool=pool)
    assert resumed.complete
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from core.activations import capture as module
from tests.test_capture_folder import many
from tests.toy_models import toy

module._MOST = {"pixels": 6}
found = many()
def read(row):
    if row == 27:
        os.kill(os.getpid(), signal.SIGKILL)
    return found.read(row)
module.capture(toy("residual"), replace(found, read=read), Path(sys.argv[1]), pool="whole")
"""


@pytest.mark.usefixtures("small_batches")
def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "cut")]
    done = subprocess.run(command, env=environment, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == -9
    assert open_capture(tmp_path / "cut").done in (12, 18, 24)  # the last may not have been written
    model, found = toy("residual"), many()
    capture(model, found, tmp_path / "whole", pool="whole")
    capture(model, found, tmp_path / "cut", pool="whole")
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")


def test_what_is_there_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, found = toy("plain"), pictures()
    capture(model, found, tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("it was computed again")

    monkeypatch.setattr(type(model), "exclusive", never)
    assert len(capture(model, found, tmp_path)) == len(found)


def test_a_capture_of_something_else_is_refused(tmp_path: Path) -> None:
    model, found = toy("plain"), pictures()
    capture(model, found, tmp_path)
    other = replace(model, ref=ModelRef("toy", "f" * 64))
    with pytest.raises(BadInput, match="other weights: their fingerprints differ"):
        capture(other, found, tmp_path)
    with pytest.raises(BadInput, match="other data: their fingerprints differ"):
        capture(model, replace(found, fingerprint="2" * 64), tmp_path)
    with pytest.raises(BadInput, match="other layers"):
        capture(model, found, tmp_path, [open_capture(tmp_path).names[0]])
    with pytest.raises(BadInput, match="another pool, dtype"):
        capture(model, found, tmp_path, pool="max", dtype="float32")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    with pytest.raises(BadInput, match=r"other files, such as 'thesis\.txt'"):
        capture(model, found, tmp_path / "mine")


def broken(count: int, *rows: int, unreadable: int = -1) -> Dataset:
    """Texts, of which those in ``rows`` hold nothing and one cannot even be read."""

    def read(row: int) -> Example:
        if row == unreadable:
            raise BadInput("The file has gone.")
        words = " " if row in rows else f"the text of number {row} " + "and more " * (row % 3)
        return Example(f"text {row}", words.encode())

    ids = [f"text {row}" for row in range(count)]
    columns = {"row": np.arange(count)}
    return Dataset("broken", ids, read, "3" * 64, np.arange(count) % 3, OPINIONS, columns)


@pytest.mark.usefixtures("small_batches")
def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    model = toy_text("transformer")
    found = broken(40, 0, 7, unreadable=21)
    made = capture(model, found, tmp_path / "whole")
    rows = [row for row in range(40) if row not in (0, 7, 21)]
    assert made.complete
    assert len(made) == 37
    assert [row for row, _ in made.left_out] == [0, 7, 21]
    assert "holds only spaces" in made.left_out[1][1]
    assert made.left_out[2][1] == "The file has gone."
    assert made.data_rows.tolist() == rows
    assert made.ids == tuple(f"text {row}" for row in rows)
    assert made.labels is not None
    assert made.labels.tolist() == [row % 3 for row in rows]
    assert made.columns["row"].tolist() == rows
    alone = data([found[row] for row in rows])
    for name in made.names:
        truth = capture(model, alone, tmp_path / "alone").layer(name)
        np.testing.assert_allclose(made.layer(name), truth, rtol=1e-2, atol=1e-3)
    with pytest.raises(Cancelled):
        capture(model, found, tmp_path / "cut", meter=stopping(15))
    part = open_capture(tmp_path / "cut")
    assert not part.complete
    assert part.ids == made.ids[: len(part)]
    capture(model, found, tmp_path / "cut")
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")
    with pytest.raises(BadInput, match=r"of 20 examples of 'broken' cannot be read, at most 10%"):
        capture(model, broken(20, 1, 4, unreadable=9), tmp_path / "too many")
    with pytest.raises(BadInput, match="holds only spaces"):
        capture(model, broken(2, 0, 1), tmp_path / "none")


def test_long_texts_go_through_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they are, no more of them are encoded together than the limit has room for."""
    model, together = toy_text("transformer"), []
    batches = type(model.adapter).batches

    def counted(self: Any, examples: Any, model: Any) -> Any:
        together.append(sum(len(each.data) for each in examples))
        return batches(self, examples, model)

    monkeypatch.setattr(type(model.adapter), "batches", counted)
    long = data([Example(f"long {row}", b"word and word " * 200) for row in range(30)])
    made = capture(model, long, tmp_path, memory=1)
    assert len(made) == 30
    assert max(together[32:]) <= 2**20 // (16 * WIDTH)
    assert max(together[32:]) > 2800  # but more than one of them


Usage = namedtuple("Usage", "total used free")


@pytest.mark.usefixtures("small_batches")
def test_a_full_disk_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, found = toy("residual"), many()
    written = 0
    pwrite = os.pwrite

    def full(handle: int, data: Any, offset: int) -> int:
        nonlocal written
        if written > 200_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        half = max(1, len(data) // 2)  # a disk that is nearly full takes a part
        written += half
        return pwrite(handle, data[:half], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageError, match=r"The disk is full.*Those before are kept"):
            capture(model, found, tmp_path / "cut", pool="whole")
    assert 0 < open_capture(tmp_path / "cut").done < len(found)
    capture(model, found, tmp_path / "cut", pool="whole")
    capture(model, found, tmp_path / "whole", pool="whole")
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: Usage(10, 9, 1))
    with pytest.raises(StorageError, match=r"needs .* MiB, and .* has 0 MiB left"):
        capture(model, found, tmp_path / "more")
    assert not (tmp_path / "more" / "capture.json").exists()


BOUNDED = """
import resource, sys
from pathlib import Path
import numpy as np
from core.activations.capture import capture
from core.data.dataset import Dataset
from core.tasks import Example
from tests.toy_models import load
from torch import nn

shape = (4, 64, 64)
noise = np.random.default_rng(0).standard_normal(4 * 64 * 64 + 5000).astype(np.float32)
def data(count):
    read = lambda row: Example(str(row), noise[row : row + 4 * 64 * 64].tobytes())
    return Dataset("noise", [str(row) for row in range(count)], read, str(count) * 8)
layers = [nn.Conv2d(4, 4, 1) for _ in range(6)]
model = load(nn.Sequential(*layers, nn.Flatten(), nn.Linear(16384, 5)), shape)
root = Path(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
capture(model, data(100), root / "small", pool="whole", memory=16)
before = peak()
made = capture(model, data(1500), root / "large", pool="whole", memory=16)
size = sum(path.stat().st_size for path in (root / "large").glob("0*.npy")) / 2**20
print(peak() - before, size)
"""


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path)],
        env=environment, timeout=120, check=False, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    grown, size = map(float, done.stdout.split())
    assert size > 300  # MiB
    assert grown < 32


def test_a_limit_means_fewer_examples_at_a_time(tmp_path: Path) -> None:
    model, found = toy("residual"), many()
    asked = {}
    for memory in (1, 512):
        capture(model, found, tmp_path / str(memory), pool="whole", memory=memory)
        manifest = json.loads((tmp_path / str(memory) / "capture.json").read_bytes())
        asked[memory] = manifest["together"]
    assert 1 <= asked[1] < asked[512]
    for name in open_capture(tmp_path / "1").names:
        one, other = (open_capture(tmp_path / str(m)).layer(name) for m in (1, 512))
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)


def damage_shape(folder: Path) -> None:
    np.save(folder / "000.npy", np.zeros((3, 3), np.float16))


def damage_layer(folder: Path) -> None:
    (folder / "000.npy").write_bytes(b"\x93NUMPY")


def remove_layer(folder: Path) -> None:
    (folder / "000.npy").unlink()


@pytest.mark.parametrize("damage", [damage_shape, damage_layer, remove_layer])
def test_a_damaged_layer_is_told(damage: Callable[[Path], None], tmp_path: Path) -> None:
    made = capture(toy("plain"), pictures(), tmp_path)
    damage(tmp_path)
    with pytest.raises(StorageError, match=r"'000\.npy' of the capture .* cannot be read"):
        made.layer(made.names[0])
    assert made.layer(made.names[1]).shape[0] == len(made)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"done": 9999},
        {"layers": "none"},
        {"layers": [{"name": "a", "kind": "b", "file": "../../secret.npy", "shape": [2]}]},
        {"layers": [{"name": "a", "shape": [2]}]},
    ],
)
def test_a_strange_manifest_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    capture(toy("plain"), pictures(), tmp_path)
    path = tmp_path / "capture.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(StorageError, match=r"'capture\.json' .* cannot be read"):
        open_capture(tmp_path)
    path.write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        open_capture(tmp_path)
    with pytest.raises(BadInput, match="There is no capture in"):
        open_capture(tmp_path / "nowhere")


def test_one_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    def cancel() -> None:
        raise Cancelled

    with held(tmp_path, cancel):
        with pytest.raises(Cancelled):
            capture(toy("plain"), pictures(), tmp_path, meter=stopping(0))
        with pytest.raises(Cancelled), held(tmp_path, cancel):
            raise AssertionError("two hold it")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StorageError, match="Cannot write to"):
        capture(toy("plain"), pictures(), tmp_path / "file")


def test_the_workspace_keeps_what_is_used(tmp_path: Path) -> None:
    model, found = toy("plain"), pictures()
    place = Workspace(tmp_path, 1)  # room for nothing
    parameters = request(place, model.ref, found)
    assert shelved(parameters) is None
    assert request(place, model.ref, found, pool="max")["out"] != parameters["out"]
    assert request(place, ModelRef("toy", "f" * 64), found)["out"] != parameters["out"]
    with pytest.raises(BadParameter):
        request(place, model.ref, found, dtype="int8")
    folder = Path(parameters["out"])
    capture(model, found, folder)
    again = shelved(parameters)
    assert again is not None
    assert again.folder == folder
    with held(folder, lambda: None):
        tidy(place)
        assert shelved(parameters) is not None  # somebody is at it
    (folder / "000.npy").write_bytes(b"")
    assert shelved(parameters) is None
    capture(model, found, folder)
    tidy(Workspace(tmp_path))
    assert shelved(parameters) is not None
    tidy(place)
    assert shelved(parameters) is None
    assert not folder.exists()
