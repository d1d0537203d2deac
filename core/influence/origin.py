"""Where a model comes from: its recipe, its run, and the checkpoints that the run has kept.

Imports no torch: pages ask this before anything is computed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import BadInput, NotValid, StorageError
from core.models.card import ModelCard
from core.training.checkpoint import Checkpoint, checkpoints
from core.training.events import EventLog
from core.training.recipe import recipe
from core.training.run import Run

_RATE = "step/learning_rate"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Origin:
    """The run that made a model, and what it kept at the ends of epochs.

    ``weights`` are files of weights, the oldest first, with the number of updates that were done
    (``steps``) and the learning rate there (``rates``). Where the run kept no checkpoint they are
    those of its model alone, at rate 1, and ``whole`` is False.
    """

    run: Run
    weights: tuple[Path, ...]
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    whole: bool

    @property
    def quick(self) -> bool:
        """Whether its examples are sure to be on this machine, so that nothing is fetched: a
        person's own, or rows of a table.
        """
        return bool(self.run.config.data) or recipe(self.run.config.recipe).task.axis == "columns"


def origin(about: ModelCard) -> Origin:
    """The run behind a model.

    Raises ``NotValid`` when no run of it is kept, or what it learned has no classes.
    """
    run = _run(about)
    if run is None:
        raise NotValid(
            f"The run that trained '{about.name}' is not kept, so its training examples and "
            "checkpoints are not known.",
            "Look at examples that are alike, or at a model of a run: `fluoroscope runs`.",
        )
    if not about.classes:
        raise NotValid(
            f"'{about.name}' writes: influence on an answer is computed for classifiers.",
            "Choose a model that sorts examples into classes.",
        )
    last = _last(run, about)
    kept = [
        each
        for each in checkpoints(run)
        if each.whole_epoch and each.epoch <= last and _sound(each)
    ]
    if not kept:
        return Origin(run, (run.folder / _WEIGHTS,), (run.status.step,), (1.0,), whole=False)
    steps = tuple(each.step for each in kept)
    return Origin(run, tuple(each.weights for each in kept), steps, _rates(run, steps), whole=True)


def _run(about: ModelCard) -> Run | None:
    for folder in (about.folder, about.folder.parent.parent):
        if (folder / "config.json").is_file() and (folder / _WEIGHTS).is_file():
            try:
                run = Run.open(folder)
                _ = run.config
            except BadInput:
                continue
            return run
    return None


def _sound(each: Checkpoint) -> bool:
    try:
        each.check()
    except StorageError:
        return False
    return True


def _last(run: Run, about: ModelCard) -> int:
    """The epoch whose weights the model has; what came later did not move its answers."""
    for each in checkpoints(run):
        if each.folder == about.folder:
            return each.epoch
    return run.status.best_epoch or run.status.epoch or sys.maxsize


def _rates(run: Run, steps: tuple[int, ...]) -> tuple[float, ...]:
    """The learning rate at each step: as it was recorded next to it, else as it was asked for."""
    log = EventLog(run.folder)
    log.reload()
    recorded = log.history().scalars.get(_RATE)
    if recorded is None or not len(recorded.steps):
        return (float(run.config.settings["lr"]),) * len(steps)
    found = np.interp(steps, recorded.steps, recorded.values)
    return tuple(float(rate) for rate in found)
