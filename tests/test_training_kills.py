"""SIGKILL at any moment: a run that was killed twenty times is the one that never was."""

from __future__ import annotations

import os
import random
import select
import signal
from pathlib import Path

import pytest
from test_training_resume import assert_same, start
from toy_trainables import toy

from core.training.loop import train
from core.training.run import Run

__all__ = ["toy"]
pytestmark = pytest.mark.usefixtures("toy")
KILLS = 20
# Long enough for twenty kills; a checkpoint at every second update.
SETTINGS = {"epochs": 30, "checkpoint_steps": 2, "keep_every": 5}


def trains(run: Run, seconds: float | None) -> int:
    """Exit status of a process that trains; killed after so many seconds of training."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(ready)
            os.write(go, b"!")
            train(run)
            status = 0
        finally:
            os._exit(status)
    os.close(go)
    os.read(ready, 1)
    os.close(ready)
    if seconds is not None:
        watch = os.pidfd_open(child)
        ended, _, _ = select.select([watch], [], [], seconds)
        os.close(watch)
        if not ended:
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_twenty_random_kills_change_nothing(tmp_path: Path) -> None:
    reference = start(tmp_path / "whole", **SETTINGS)
    assert trains(reference, None) == 0
    took = reference.status.seconds
    chance = random.Random(7)
    killed, attempts = 0, 0
    run = start(tmp_path / "killed", **SETTINGS)
    while killed < KILLS:
        attempts += 1
        assert attempts < 200
        status = trains(run, chance.uniform(0.01, took / 6))
        if status == 0:  # it came to its end: from the start again, until there were enough kills
            assert_same(run, reference)
            run = start(tmp_path / f"killed-{attempts}", **SETTINGS)
            continue
        assert status == -signal.SIGKILL
        killed += 1
        assert not run.alive
    assert trains(run, None) == 0
    assert_same(run, reference)
