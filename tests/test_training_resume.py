"""A run that was cut off anywhere and resumed is the same, to the bit, as one that never was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from toy_trainables import Points, toy

from core.errors import Cancelled
from core.progress import Meter
from core.training.config import Config
from core.training.events import EventLog
from core.training.loop import train
from core.training.run import Run

__all__ = ["toy"]
pytestmark = pytest.mark.usefixtures("toy")
TIMES = ("seconds", "step/examples_per_second")
STEPS = 12  # 3 epochs of 4 updates


class PulledPlug(BaseException):
    """The process ends here, without a chance to do anything."""


@dataclass
class After:
    """Calls ``then`` at the ``count``-th call."""

    count: int
    then: Callable[[], Any]
    calls: int = 0

    def __call__(self, *_: Any) -> bool:
        self.calls += 1
        return bool(self.then()) if self.calls == self.count else False


def pull() -> bool:
    raise PulledPlug


@pytest.fixture(autouse=True)
def _unwatched() -> Iterator[None]:
    yield
    Points.watch = None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """A run with these settings that was never cut off."""
    known: dict[str, Run] = {}

    def run(**settings: Any) -> Run:
        if str(settings) not in known:
            known[str(settings)] = train(
                start(tmp_path_factory.mktemp("runs") / "whole", **settings)
            )
        return known[str(settings)]

    return run


def start(folder: Path, **settings: Any) -> Run:
    return Run.create(folder, Config.of("toy", settings, seed=5))


def observed(run: Run) -> dict[str, Any]:
    """All that a run leaves but times: weights by name, events by tag."""
    found: dict[str, Any] = {}
    newest = sorted(run.checkpoints.iterdir())[-1]
    for file in (run.folder / "model.safetensors", newest / "weights.safetensors"):
        found |= {f"{file.stem}/{name}": (value,) for name, value in load_file(file).items()}
    log = EventLog(run.folder)
    log.reload()
    history = log.history()
    assert history.notes == ()
    for tag, series in history.scalars.items():
        if tag not in TIMES:
            found[tag] = (series.steps, series.values)
    for tag, histogram in history.histograms.items():
        found[tag] = (histogram.steps, *histogram.edges, *histogram.counts)
    for tag, blob in {**history.arrays, **history.texts}.items():
        items = [np.frombuffer(x, np.uint8) if isinstance(x, bytes) else x for x in blob.items]
        found[tag] = (blob.steps, *items)
    return found


def assert_same(run: Run, reference: Run) -> None:
    assert run.status.state == reference.status.state == "done"
    ours, theirs = observed(run), observed(reference)
    assert ours.keys() == theirs.keys()
    for tag, expected in theirs.items():
        for x, y in zip(ours[tag], expected, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=tag)


def test_a_run_leaves_what_the_contract_says(whole: Callable[..., Run]) -> None:
    found = observed(whole())
    steps = list(range(1, STEPS + 1))
    for tag in ("step/loss", "step/learning_rate", "step/gradient_norm", "step/update_ratio/0"):
        assert list(found[tag][0]) == steps
    for split in ("train", "val"):
        assert list(found[f"{split}/f1/bee"][0]) == [4, 8, 12]
        assert found[f"{split}/confusion"][1].sum() == {"train": 50, "val": 23}[split]
    assert list(found["test/accuracy"][0]) == [12]
    assert list(found["weights/4"][0]) == [4, 8, 12]
    assert list(found["dead/2"][0]) == list(found["saturated/5"][0]) == [4, 8, 12]
    assert list(found["stage"][0]) == [1, 5, 9]
    assert list(found["epoch"][1]) == [1, 2, 3]
    assert found["step/gradient_norm/0"][1][4:8].tolist() == [0, 0, 0, 0]  # frozen in epoch 2


@pytest.mark.parametrize("stop", range(1, STEPS + 1))
def test_stopped_after_any_step(tmp_path: Path, whole: Callable[..., Run], stop: int) -> None:
    reference = whole()
    run = start(tmp_path / "cut")
    ticks: list[float] = []

    class Counting(Meter):
        def tick(self, passes: float = 1.0) -> None:
            ticks.append(passes)
            super().tick(passes)

    with pytest.raises(Cancelled):
        train(run, Counting(cancelled=lambda: len(ticks) == stop))
    assert run.status.state == "stopped"
    assert run.status.step == stop
    assert_same(train(run), reference)


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_cut_off_wherever_data_are_read(
    tmp_path: Path, whole: Callable[..., Run], part: str, how: str
) -> None:
    reference = whole(checkpoint_steps=3)
    for count in {"train": (1, 2, 6, 9), "val": (2, 3, 6), "test": (1, 2)}[part]:
        run = start(tmp_path / f"cut{count}", checkpoint_steps=3)
        asked: list[str] = []
        act = After(count, pull if how == "killed" else partial(asked.append, part))
        Points.watch = lambda name, act=act: act() if name == part else None
        with suppress(Cancelled, PulledPlug):
            train(run, Meter(cancelled=lambda asked=asked: bool(asked)))
        Points.watch = None
        train(run)
        assert_same(run, reference)


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "plateau", "optimiser": "sgd", "epochs": 6},
        {"schedule": "one_cycle", "warmup": 3, "optimiser": "adam", "gradient_clip": 0.1},
        {"schedule": "cosine", "accumulate": 2, "batch_size": 7, "weight_decay": 0.1},
        {"schedule": "step", "histogram_every": 2, "checkpoint_every": 2, "keep_last": 1},
        {"held_out": False},
        {"largest": 5},
        {"precision": "bf16-mixed"},
    ],
    ids=str,
)
def test_with_any_settings(
    tmp_path: Path, whole: Callable[..., Run], settings: dict[str, Any]
) -> None:
    reference = whole(**settings)
    run = start(tmp_path / "cut", **settings)
    for count in (3, 2, 4):  # and cut off thrice
        Points.watch = After(count, pull)
        with pytest.raises(PulledPlug):
            train(run)
        Points.watch = None
        stop = After(3, lambda: True)
        with pytest.raises(Cancelled):
            train(run, Meter(cancelled=stop))
    assert_same(train(run), reference)


def test_workers_change_nothing(tmp_path: Path, whole: Callable[..., Run]) -> None:
    helped = train(start(tmp_path / "helped", held_out=False, workers=1))
    assert_same(helped, whole(held_out=False))


def test_another_seed_gives_another_run(tmp_path: Path, whole: Callable[..., Run]) -> None:
    first = observed(whole())
    other = observed(train(Run.create(tmp_path / "other", Config.of("toy", {}, seed=6))))
    assert not np.array_equal(first["step/loss"][1], other["step/loss"][1])
