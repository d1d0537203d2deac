"""Several devices that train one run: two processes on the CPU stand for two GPUs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.errors import BadParameter, Cancelled
from core.progress import Meter
from core.training.config import Config
from core.training.events import EventLog
from core.training.fabric import fabric
from core.training.loop import train
from core.training.run import Run


def start(folder: Path, devices: int) -> Run:
    settings = {"devices": devices, "epochs": 4, "batch_size": 33, "threads": 1}
    return Run.create(folder, Config.of("two_features", settings, device="cpu"))


def scalars(run: Run) -> dict[str, Any]:
    log = EventLog(run.folder)
    log.reload()
    times = ("seconds", "step/examples_per_second")
    return {t: s.values for t, s in log.history().scalars.items() if t not in times}


@pytest.mark.slow
def test_two_train_like_one_and_resume_to_the_bit(tmp_path: Path) -> None:
    alone = scalars(train(start(tmp_path / "alone", 1)))
    before = dict(os.environ)
    pair = train(start(tmp_path / "pair", 2))
    assert dict(os.environ) == before
    together = scalars(pair)
    assert together.keys() == alone.keys()
    for tag in ("step/loss", "step/gradient_norm", "train/loss", "val/loss"):
        np.testing.assert_allclose(together[tag], alone[tag], rtol=1e-4, err_msg=tag)
    assert together["train/accuracy"].tolist() == alone["train/accuracy"].tolist()

    cut = start(tmp_path / "cut", 2)
    meter = Meter(cancelled=lambda: meter.done > 120)
    with pytest.raises(Cancelled):
        train(cut, meter)
    assert 0 < cut.status.step < cut.status.steps
    train(cut)
    for tag, values in scalars(cut).items():
        np.testing.assert_array_equal(values, together[tag], err_msg=tag)
    weights = load_file(pair.folder / "model.safetensors")
    for name, value in load_file(cut.folder / "model.safetensors").items():
        np.testing.assert_array_equal(value, weights[name])


def test_more_devices_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    with pytest.raises(BadParameter, match="on 2 devices was asked for, and there are 1"):
        fabric("mps", "32", devices=2)
