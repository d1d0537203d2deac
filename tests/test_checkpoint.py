"""Checkpoints come back to the bit, are whole or not there, and never lie about damage."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_trainables import toy

from core.errors import StorageError
from core.training import checkpoint
from core.training.config import Config
from core.training.run import Run

__all__ = ["toy"]
pytestmark = pytest.mark.usefixtures("toy")

NEST = {
    "optimiser": {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.arange(4.0)}, 1: {}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "foreach": None, "params": [0, 1]}],
    },
    "best": 1e-300,
    "none": None,
    "yes": True,
    "text": "ß",
    "whole": torch.tensor([2**62], dtype=torch.int64),
    "half": torch.tensor([0.1], dtype=torch.bfloat16),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", Config.of("toy"))


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"layer.count": torch.tensor(7), "layer.weight": torch.full((3, 2), float(value))}


def save(run: Run, step: int, **changes: Any) -> checkpoint.Checkpoint:
    given: dict[str, Any] = {
        "step": step,
        "epoch": step,
        "whole_epoch": True,
        "weights": weights(step),
        "resume": NEST,
    }
    return checkpoint.save(run, **given | changes)


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, torch.Tensor):
        return ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def test_what_goes_in_comes_out(run: Run) -> None:
    save(run, 4)
    found = checkpoint.latest(run)
    assert found is not None
    each, restored, state, notes = found
    assert (each.step, each.epoch, each.whole_epoch, notes) == (4, 4, True, [])
    assert same(restored, weights(4))
    assert same(state, NEST)


def test_what_cannot_be_kept_is_refused(run: Run) -> None:
    with pytest.raises(TypeError, match="object"):
        save(run, 1, resume={"object": object()})
    assert checkpoint.latest(run) is None


def test_nothing_is_pickled(run: Run) -> None:
    for path in save(run, 1).folder.iterdir():
        assert path.suffix in (".safetensors", ".json")


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.RESUME, checkpoint.STATE])
@pytest.mark.parametrize("how", ["first bit", "last bit", "middle bit", "cut", "gone", "empty"])
def test_damage_is_noticed_and_the_one_before_is_used(run: Run, name: str, how: str) -> None:
    save(run, 1)
    path = save(run, 2).folder / name
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how in ("cut", "empty"):
        path.write_bytes(data[: len(data) // 2 if how == "cut" else 0])
    else:
        data[{"first bit": 0, "last bit": -1, "middle bit": len(data) // 2}[how]] ^= 1
        path.write_bytes(data)
    found = checkpoint.latest(run)
    assert found is not None
    each, restored, _, notes = found
    assert each.step == 1
    assert same(restored, weights(1))
    if name != checkpoint.STATE:
        assert len(notes) == 1
        assert "step-000000002" in notes[0]
        assert "The one before it is used" in notes[0]


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.RESUME])
def test_a_run_without_a_whole_checkpoint_is_not_begun_anew(run: Run, name: str) -> None:
    for step in (1, 2):
        path = save(run, step).folder / name
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match=r"cannot be resumed: no checkpoint is whole.*Nothing"):
        checkpoint.latest(run)
    assert len(list(run.checkpoints.iterdir())) == 2


def test_damaged_digests_are_damage(run: Run) -> None:
    save(run, 1)
    (save(run, 2).folder / checkpoint.DIGESTS).write_text("{}")
    found = checkpoint.latest(run)
    assert found is not None
    assert found[0].step == 1


@pytest.mark.parametrize("last", [1, 2, 3])
@pytest.mark.parametrize("every", [0, 1, 3])
def test_the_policy_keeps_the_last_the_best_and_every_nth(run: Run, last: int, every: int) -> None:
    for step in range(1, 9):
        save(run, step)
        checkpoint.tidy(run, keep_last=last, keep_every=every, best_epoch=4)
    kept = {each.step: each.resumable for each in checkpoint.checkpoints(run)}
    newest = set(range(9 - last, 9))
    light = {step for step in range(1, 9) if step == 4 or (every and step % every == 0)} - newest
    assert {step for step, whole in kept.items() if whole} == newest
    assert {step for step, whole in kept.items() if not whole} == light
    for each in checkpoint.checkpoints(run):
        each.check()
        assert same(checkpoint_weights(each), weights(each.step))


def checkpoint_weights(each: checkpoint.Checkpoint) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(each.weights)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_full_disk_leaves_the_one_before(
    run: Run, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 1)
    calls = iter(range(100))

    def fsync(handle: int) -> None:
        if next(calls) == 2:
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StorageError, match=r"full|cannot|Cannot"):
            save(run, 2)
    found = checkpoint.latest(run)
    assert found is not None
    assert found[0].step == 1
    save(run, 2)
    assert [each.step for each in checkpoint.checkpoints(run)] == [1, 2]


class Plug:
    """Ends the process at the ``count``-th write, fsync, rename, unlink or making of a folder;
    a write gets half of its bytes out.
    """

    def __init__(self, count: int) -> None:
        self.left = count

    def pull(self) -> bool:
        self.left -= 1
        return self.left == 0

    def install(self) -> None:
        for name in ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir"):
            setattr(os, name, self._wrapped(getattr(os, name)))
        opened, plug = builtins.open, self

        def opening(*args: Any, **kwargs: Any) -> Any:
            file = opened(*args, **kwargs)
            if "w" in str(kwargs.get("mode", args[1] if len(args) > 1 else "r")):
                return _Half(file, plug)
            return file

        builtins.open = opening  # type: ignore[assignment]  # in a process that ends at once

    def _wrapped(self, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.pull():
                os._exit(9)
            return function(*args, **kwargs)

        return call


class _Half:
    def __init__(self, file: Any, plug: Plug) -> None:
        self._file, self._plug = file, plug

    def write(self, data: bytes) -> int:
        if self._plug.pull():
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            os._exit(9)
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Half:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def ends(count: int, run: Run) -> int:
    """Exit status of a process that writes a checkpoint and tidies, and is killed on the way."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            Plug(count).install()
            save(run, 3)
            checkpoint.tidy(run, keep_last=1, keep_every=1, best_epoch=0)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moments(tmp_path: Path) -> Iterator[tuple[int, int, Run]]:
    """A run for each moment at which its third checkpoint can be cut off, until none is left."""
    first = Run.create(tmp_path / "first", Config.of("toy"))
    save(first, 1)
    save(first, 2)
    for count in range(1, 500):
        folder = tmp_path / f"killed-{count}"
        shutil.copytree(first.folder, folder)
        run = Run.open(folder)
        status = ends(count, run)
        yield count, status, run
        if status == 0:
            return
    pytest.fail("the process never came to its end")


def test_killed_at_every_write_fsync_and_rename(tmp_path: Path) -> None:
    killed = 0
    for count, status, run in moments(tmp_path):
        assert status in (0, 9), f"at call {count}"
        killed += status == 9
        found = checkpoint.latest(run)
        assert found is not None, f"nothing to resume from after call {count}"
        each, restored, state, notes = found
        assert each.step in (2, 3), f"call {count} lost a checkpoint"
        assert notes == [], f"call {count} left a damaged checkpoint: {notes}"
        assert same(restored, weights(each.step))
        assert same(state, NEST)
        for other in checkpoint.checkpoints(run):
            other.check()
        save(run, 4)  # and it goes on from there
        checkpoint.tidy(run, keep_last=1, keep_every=1, best_epoch=0)
        assert not list(run.checkpoints.glob(".writing-*"))
        assert [x.step for x in checkpoint.checkpoints(run) if x.resumable] == [4]
    assert killed >= 20
