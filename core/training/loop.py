"""The training loop: a run's config becomes a trained model, and may be cut off at any moment.

Whatever is random is a function of the seed and of where the run stands (``core.training.order``).
So a run that was stopped or killed and then resumed gives the same numbers, to the bit, as one that
never was, on the same device.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from core.data.laidout import laid_out
from core.errors import Cancelled, FluoroscopeError, OutOfMemory, StorageError
from core.models.catalogue import resolve
from core.progress import Meter
from core.training import checkpoint, outcome
from core.training.config import Config
from core.training.eventfile import lengths, roll_back
from core.training.facts import choose_threads, note
from core.training.failure import Diverged, diverged, in_words, learned_nothing
from core.training.journal import Journal
from core.training.learner import Learner, TooMuch
from core.training.metrics import Measured, matrices, tagged
from core.training.optimisation import LearningRate
from core.training.order import Order, number, seed_all
from core.training.recipe import recipe
from core.training.run import Run
from core.training.standing import Standing
from core.training.team import helpers
from core.training.trainable import Trainable


def train_folder(parameters: Mapping[str, Any], meter: Meter) -> None:
    """The job ``train``: its parameter ``run`` is the folder."""
    train(Run.open(Path(str(parameters["run"]))), meter)


def train(run: Run, meter: Meter | None = None) -> Run:
    """Train a run to its end, from its newest checkpoint if it has one.

    The meter counts training examples; cancelled, the run writes a checkpoint and stops. Raises
    ``Busy`` when another process trains it, ``Cancelled``, ``Diverged``, ``BadInput`` for unusable
    data, ``OutOfMemory``, ``StorageError``.
    """
    with run.exclusively():
        if run.status.state == "done":
            return run
        try:
            run.update(state="running", message="", pid=os.getpid())
            with helpers(run, int(run.config.settings["devices"])):
                Loop(run, meter or Meter()).run()
            run.update(state="done")
        except Cancelled:
            run.update(state="stopped", message="Stopped; it can be resumed.")
            raise
        except Exception as error:
            told = in_words(error, run)
            ours = isinstance(told, FluoroscopeError)
            message = str(told) if ours else f"{type(told).__name__}: {told}"[:500]
            with suppress(StorageError):  # when the disk is full, the error itself says more
                run.update(state="failed", message=message)
            if told is error:
                raise
            raise told from error
    return run


class Loop:
    """One process' work on one run."""

    def __init__(self, run: Run, meter: Meter) -> None:
        self._run, self._meter = run, meter
        self._seed, self._epochs = run.config.seed, run.config.epochs
        self._settings = settings = run.config.settings
        self._begun = time.perf_counter()
        choose_threads(run, settings["threads"])
        self._trainable = trainable(run.config)
        note(run, self._trainable)
        self._learner = Learner(self._trainable, settings, run.config.device)
        self._module = self._learner.module
        count, size = len(self._trainable.splits["train"]), int(settings["batch_size"])
        self._order = Order(self._seed, count, size * int(settings["accumulate"]), size)
        self._rate = LearningRate(settings, self._epochs * self._order.updates)
        self._standing = Standing()
        self._tally = self._learner.tally()
        self._stage = ""
        self._found: Mapping[str, Measured] = {}  # what the best weights reach, once it is known
        self._about: dict[str, Any] | None = None  # the card of what is trained

    def run(self) -> None:
        """Resume if there is something to resume, train, and write the model's card."""
        self._resume()
        first = self._standing.step + 1 if self._standing.step else 0
        self._journal = Journal(self._run.folder, self._learner.norms, first)
        try:
            self._announce()
            while not self._done(self._standing):
                self._one_epoch()
            self._write_card(self._found or self._measure_best({}))
            self._note(learned_nothing(self._standing))
        except Cancelled:
            self._save(whole_epoch=False)
            self._tell()
            raise
        except FluoroscopeError:
            self._journal.write()
            self._tell()
            raise
        finally:
            self._journal.close()

    def _one_epoch(self) -> None:
        epoch = self._standing.epoch + 1
        stage = self._trainable.begin_epoch(epoch, self._epochs)
        if stage and stage != self._stage:
            self._journal.say(self._standing.step + 1, "stage", stage)
        self._stage = stage
        while left := self._order.epoch(epoch)[self._updates_done :]:
            if not self._updates(left):
                self._take_fewer()
        self._journal.write()
        self._end_epoch(epoch)

    def _updates(self, updates: Sequence[list[list[int]]]) -> bool:
        """Updates from these examples; False when memory ran out."""
        self._journal.skip()
        for positions, batches in self._learner.updates(updates):
            try:
                self._update(positions, batches)
            except TooMuch:
                return False
            if self._journal.due:
                self._journal.write()
                self._tell()
            every = int(self._settings["checkpoint_steps"])
            if every and self._standing.step % every == 0 and self._updates_done:
                self._save(whole_epoch=False)
                self._journal.skip()
        return True

    def _update(self, positions: Sequence[list[int]], batches: Sequence[Any]) -> None:
        """One update from one or several batches, whose gradients are added up."""
        step = self._standing.step
        self._meter.check()
        seed = number(self._seed, "step", step)
        loss, answers = self._learner.gradients(positions, batches, seed)
        if self._standing.hopeless(loss):
            self._journal.diverged(step + 1, loss)
            raise self._diverged(loss, f"at update {step + 1}")
        rate = self._rate.at(step)
        self._learner.update(rate)
        self._learner.count(answers, self._tally)
        examples = sum(len(each) for each in positions)
        self._standing = self._standing.moved(loss)
        self._journal.add(step + 1, loss, rate, examples)
        every = int(self._settings["histogram_every"]) or self._order.updates
        if self._standing.step % every == 0:
            self._journal.histograms(step + 1, self._module)
        self._meter.tick(examples)

    def _end_epoch(self, epoch: int) -> None:
        """Measure, keep what is best, and write a checkpoint. Cut off in here, a resumed run
        measures again: only then does the epoch count.
        """
        seed_all(number(self._seed, "measure", epoch))
        classes = self._trainable.classes
        found: dict[str, Measured] = {"train": (self._tally.metrics(classes), self._tally.matrix())}
        if "val" in self._trainable.splits:
            found["val"] = self._measure("val")
        values = tagged(found) | self._learner.unit_shares(self._order)
        values |= {"epoch": float(epoch), "seconds": self._seconds()}
        arrays = {**matrices(found), **self._trainable.extra_arrays(self._module, epoch)}
        loss = values.get("val/loss", values["train/loss"])
        if not math.isfinite(loss):
            self._journal.epoch(self._standing.step, values, arrays)
            raise self._diverged(loss, f"on the examples held out, after epoch {epoch}")
        counts = epoch == self._epochs or self._trainable.counts(epoch, self._epochs)
        standing = self._standing.learned(loss, counts)
        if best := standing.best_epoch == epoch:
            outcome.keep(self._run, self._module)
        held_out = {name: each for name, each in found.items() if name == "val"}
        if done := self._done(standing):
            self._found = self._measure_best(held_out if best else {})
            tested = {name: each for name, each in self._found.items() if name == "test"}
            values, arrays = values | tagged(tested), arrays | matrices(tested)
        self._journal.epoch(self._standing.step, values, arrays)
        self._standing = standing
        self._rate.learned(loss)
        self._tally = self._learner.tally()
        if best and not done:
            self._write_card(held_out)
        if done or epoch % int(self._settings["checkpoint_every"]) == 0:
            self._save(whole_epoch=True)
        self._tell()

    def _measure(self, split: str) -> Measured:
        return self._learner.measure(split, self._order, self._meter)

    def _measure_best(self, known: Mapping[str, Measured]) -> Mapping[str, Measured]:
        """What the best weights reach on the examples held out, beyond what is known."""
        names = [name for name in ("val", "test") if name in self._trainable.splits]
        with outcome.restored(self._run, self._module):
            return {name: known.get(name) or self._measure(name) for name in names}

    def _take_fewer(self) -> None:
        """Go on with batches of half the size: the same updates, in less memory."""
        size = self._order.at_once
        if size == 1:
            raise OutOfMemory(
                "Memory ran out on a single example.", "Use a smaller network or another device."
            )
        self._learner.let_go()
        self._order = self._order.halved()
        self._note(
            f"Memory ran out on {size} examples at once: {self._order.at_once} are taken "
            "at once, and their gradients added up to the same updates."
        )

    def _note(self, said: str) -> None:
        """Add a sentence to what the run's status says."""
        if said:
            self._run.update(message=f"{self._run.status.message} {said}".strip())

    def _diverged(self, loss: float, when: str) -> Diverged:
        return diverged(self._run, self._standing, loss, when, self._learner.began)

    def _save(self, whole_epoch: bool) -> None:
        """Write a checkpoint, unless there is one from here."""
        standing = self._standing
        newest = checkpoint.checkpoints(self._run)[-1:]
        known = any(
            each.step == standing.step and each.whole_epoch >= whole_epoch for each in newest
        )
        self._journal.keep()
        if not standing.step or known or not self._learner.finite:
            return
        checkpoint.save(
            self._run,
            step=standing.step,
            epoch=standing.epoch,
            whole_epoch=whole_epoch,
            weights=self._module.state_dict(),
            resume={
                "standing": standing.as_json(),
                "learner": self._learner.state,
                "events": lengths(self._run.folder),
                "rate": self._rate.state,
                "tally": self._tally.state,
                "at_once": self._order.at_once,
                "threads": torch.get_num_threads(),
                "seconds": self._seconds(),
            },
        )
        checkpoint.tidy(
            self._run,
            keep_last=int(self._settings["keep_last"]),
            keep_every=int(self._settings["keep_every"]),
            best_epoch=standing.best_epoch,
        )

    def _resume(self) -> None:
        """Go on from the newest undamaged checkpoint."""
        found = checkpoint.latest(self._run)
        if found is None:  # a process before this one did not come as far as a checkpoint
            roll_back(self._run.folder, {})
            return
        each, weights, state, notes = found
        checkpoint.forget_after(self._run, each.step)
        roll_back(self._run.folder, state["events"])
        self._learner.restore(weights, state["learner"])
        self._rate.restore(state["rate"])
        self._tally.restore(state["tally"])
        self._order = Order(self._seed, self._order.count, self._order.per_update, state["at_once"])
        self._standing = Standing.from_json(state["standing"])
        if epoch := self._standing.epoch + bool(self._updates_done):
            self._stage = self._trainable.begin_epoch(epoch, self._epochs)
        torch.set_num_threads(int(state["threads"]))  # the last bit of a sum depends on it
        self._begun = time.perf_counter() - float(state["seconds"])
        self._note(" ".join(notes))

    def _announce(self) -> None:
        left = (self._epochs - self._standing.epoch) * self._order.count
        self._meter.expect(max(left - self._updates_done * self._order.per_update, 0), "Training")
        self._tell()

    def _write_card(self, found: Mapping[str, Measured]) -> None:
        self._tell()
        if self._about is None:
            self._about = self._trainable.card()
        metrics = {name: values for name, (values, _) in found.items()}
        device = str(self._learner.device)
        outcome.write_card(self._run, self._trainable, self._about, metrics, device)

    def _tell(self) -> None:
        standing = self._standing
        self._run.update(
            epoch=standing.epoch,
            step=standing.step,
            steps=self._epochs * self._order.updates,
            seconds=self._seconds(),
            best=standing.as_json()["best"],
            best_epoch=standing.best_epoch,
            stage=self._stage,
        )

    @property
    def _updates_done(self) -> int:
        """Updates of the epoch that has begun."""
        return self._standing.step - self._standing.epoch * self._order.updates

    def _done(self, standing: Standing) -> bool:
        return standing.done(self._epochs, int(self._settings["patience"]))

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun  # of all processes that worked on this run


def trainable(config: Config) -> Trainable:
    """What a config trains, with the weights that it begins with.

    Raises what the recipe raises for unusable data, mostly ``BadInput``, and ``laid_out``.
    """
    seed_all(number(config.seed, "weights", 0))
    data = laid_out(Path(config.data)) if config.data else None
    made: Trainable = resolve(recipe(config.recipe).make)(config.settings, data, config.seed)
    return made
