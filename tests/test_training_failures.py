"""What a run does when it cannot go on: what it says, and what it keeps."""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn
from toy_trainables import Toy, network, toy

from core.errors import BadInput, OutOfMemory, StorageError
from core.progress import Meter
from core.training import checkpoint
from core.training.checkpoint import checkpoints
from core.training.config import Config
from core.training.events import EventLog
from core.training.failure import Diverged
from core.training.loop import train, train_folder
from core.training.run import Busy, Run
from core.training.trainable import Answer
from core.training.watch import Norms, first_not_finite

__all__ = ["toy"]
pytestmark = pytest.mark.usefixtures("toy")


def start(folder: Path, **settings: Any) -> Run:
    return Run.create(folder, Config.of("toy", settings, seed=5))


def scalars(run: Run, tag: str) -> dict[int, float]:
    log = EventLog(run.folder)
    log.reload()
    series = log.history().scalars[tag]
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def test_nan_stops_the_run_and_names_the_layer(tmp_path: Path) -> None:
    run = start(tmp_path / "run", nan_from=7)
    with pytest.raises(Diverged, match=r"at update 7: it began in the output of '6'"):
        train(run)
    status = run.status
    assert (status.state, status.step, status.epoch) == ("failed", 6, 1)
    assert "The checkpoint of step 4 is kept." in status.message
    assert "lower lr" in status.message
    assert [each.step for each in checkpoints(run)] == [4]
    losses = scalars(run, "step/loss")
    assert list(losses) == [1, 2, 3, 4, 5, 6, 7]
    assert math.isnan(losses[7])
    weights = load_file(checkpoints(run)[0].weights)
    assert all(np.isfinite(each).all() for each in weights.values())


def test_the_model_of_a_failed_run_is_its_best_epoch(tmp_path: Path) -> None:
    run = start(tmp_path / "run", nan_from=7)
    with pytest.raises(Diverged):
        train(run)
    assert (run.folder / "card.json").is_file()
    assert (run.folder / "model.safetensors").read_bytes()


def test_nothing_is_learned_from_nan(tmp_path: Path) -> None:
    run = start(tmp_path / "run", nan_from=6, checkpoint_steps=1)
    with pytest.raises(Diverged, match="checkpoint of step 5 is kept"):
        train(run)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_a_learning_rate_of_a_billion(tmp_path: Path, optimiser: str) -> None:
    settings = {"lr": 1e9, "optimiser": optimiser, "weight_decay": 0.01, "epochs": 40}
    run = start(tmp_path / "run", **settings)
    with pytest.raises(Diverged, match=r"(any more|has grown to \S+) at update \d+"):
        train(run)
    assert run.status.state == "failed"
    for each in checkpoints(run):
        assert all(np.isfinite(x).all() for x in load_file(each.weights).values())


def test_a_bounded_loss_that_never_fell_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbounded = Toy.answer

    def answer(self: Toy, module: nn.Module, batch: Any) -> Answer:
        found = unbounded(self, module, batch)
        return replace(found, loss=torch.tanh(found.loss))

    monkeypatch.setattr(Toy, "answer", answer)
    run = train(start(tmp_path / "run", lr=1e4, optimiser="sgd"))
    assert "It has learned nothing: its lowest loss" in run.status.message
    assert train(start(tmp_path / "good")).status.message == ""


def test_damaged_checkpoints_leave_everything_as_it_is(tmp_path: Path) -> None:
    run = start(tmp_path / "run", nan_from=7)
    with pytest.raises(Diverged):
        train(run)
    for each in checkpoints(run):
        each.weights.write_bytes(b"damaged")
    names = ("events", "checkpoints", "model", "card", "config", "data")
    before = {
        path: path.read_bytes()
        for path in run.folder.rglob("*")
        if path.is_file() and path.relative_to(run.folder).parts[0].startswith(names)
    }
    with pytest.raises(StorageError, match="no checkpoint is whole"):
        train(Run.open(run.folder))
    assert len(before) > 5
    assert {path: path.read_bytes() for path in before} == before
    assert "Restore the files" in run.status.message


def test_a_full_disk_says_what_is_kept_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "run", epochs=3)
    written = checkpoint.save

    def save(run: Run, *, step: int, **more: Any) -> Any:
        if step > 4:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise StorageError("The disk is full: 9 bytes do not fit.", "Free.") from error
        return written(run, step=step, **more)

    with monkeypatch.context() as full:
        full.setattr(checkpoint, "save", save)
        with pytest.raises(StorageError, match=r"full.*The checkpoint of step 4 is kept.*resume"):
            train(run)
    assert train(Run.open(run.folder)).status.state == "done"


def test_where_it_began() -> None:
    module = network(0.0).eval()
    points = torch.ones(4, 6)

    def forward() -> torch.Tensor:
        return module(points)

    assert first_not_finite(module, forward) == "the loss itself"
    module[6].broken = True
    assert first_not_finite(module, forward) == "the output of '6'"
    with torch.no_grad():
        module[4].bias[1] = float("inf")
    assert first_not_finite(module, forward) == "the weights of '4'"


def test_gradients_that_are_not_finite_are_named_where_they_began() -> None:
    module = network(0.0)
    norms = Norms(module)
    assert norms.first_not_finite() == ""
    loss = module(torch.randn(5, 6, generator=torch.Generator().manual_seed(0))).sum()
    loss.backward()
    for layer in (0, 1, 4):  # backpropagation goes from the last to the first
        module[layer].bias.grad[:] = float("nan")
    norms.before()
    norms.after()
    assert norms.first_not_finite() == "4"


def test_memory_that_runs_out_halves_the_batches(tmp_path: Path) -> None:
    settings = {"chance": False, "lr": 0.01}
    whole = train(start(tmp_path / "whole", **settings))
    halved = train(start(tmp_path / "halved", largest=4, **settings))  # 14, then 7, then 4
    assert halved.status.state == "done"
    assert "4 are taken at once" in halved.status.message
    ours, theirs = scalars(halved, "step/loss"), scalars(whole, "step/loss")
    assert list(ours) == list(theirs)
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-4)
    assert scalars(halved, "train/accuracy") == scalars(whole, "train/accuracy")


def test_memory_too_small_for_one_example(tmp_path: Path) -> None:
    run = start(tmp_path / "run", largest=0)
    with pytest.raises(OutOfMemory, match="on a single example"):
        train(run)
    assert run.status.state == "failed"
    assert "Use a smaller network" in run.status.message


def test_data_may_not_change_under_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path / "run", nan_from=7)
    with pytest.raises(Diverged):
        train(run)
    monkeypatch.setattr("toy_trainables.Points.fingerprint", lambda self: "other")
    with pytest.raises(BadInput, match="not those it began with"):
        train(Run.open(run.folder))
    assert [each.step for each in checkpoints(run)] == [4]


def test_an_error_of_a_recipe_is_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("nothing to divide")

    monkeypatch.setattr("toy_trainables.Toy.answer", broken)
    run = start(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        train(run)
    assert (run.status.state, run.status.message) == (
        "failed",
        "ZeroDivisionError: nothing to divide",
    )


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    with run.exclusively(), pytest.raises(Busy):
        train(Run.open(run.folder))
    assert run.status.state == "new"


def test_early_stopping(tmp_path: Path) -> None:
    run = train(
        start(tmp_path / "run", epochs=50, patience=2, lr=0.0, chance=False)
    )  # nothing gets better
    status = run.status
    assert (status.state, status.epoch, status.best_epoch) == ("done", 3, 1)
    assert list(scalars(run, "test/loss")) == [status.step]


def test_the_job_trains_the_folder_it_is_given(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    meter = Meter()
    train_folder({"run": str(run.folder)}, meter)
    assert run.status.state == "done"
    assert meter.progress.fraction == 1.0
    assert meter.done == 3 * 50
    train_folder({"run": str(run.folder)}, meter)  # there is nothing left to do
    assert meter.done == 3 * 50
