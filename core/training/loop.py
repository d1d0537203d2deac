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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.device import out_of_memory, probe_threads
from core.errors import Cancelled, FluoroscopeError, OutOfMemory, UserError
from core.models.catalogue import resolve
from core.progress import Meter
from core.training import checkpoint, outcome
from core.training.eventfile import PREFIX
from core.training.fabric import fabric
from core.training.journal import Journal, Update
from core.training.metrics import Measured, Tally, matrices, tagged
from core.training.optimisation import LearningRate, optimiser
from core.training.order import Order, number, seed_all
from core.training.recipe import recipe
from core.training.run import Run, Status
from core.training.trainable import Answer, Trainable
from core.training.watch import first_not_finite, unit_shares


class Diverged(UserError):
    """The loss is not a finite number any more."""


def train_folder(parameters: Mapping[str, Any], meter: Meter) -> None:
    """The job ``train``: its parameter ``run`` is the folder."""
    train(Run.open(Path(str(parameters["run"]))), meter)


def train(run: Run, meter: Meter | None = None) -> Status:
    """Train a run to its end, from its newest checkpoint if it has one.

    The meter counts training examples; cancelled, the run writes a checkpoint and stops. Raises
    ``Busy`` when another process trains it, ``Cancelled``, ``Diverged`` when the loss is not finite
    any more, ``BadInput`` for unusable data, ``OutOfMemory``, ``StorageError``.
    """
    with run.exclusively():
        if run.status.state == "done":
            return run.status
        try:
            run.update(state="running", message="", pid=os.getpid())
            Loop(run, meter or Meter()).run()
            return run.update(state="done")
        except Cancelled:
            run.update(state="stopped", message="Stopped; it can be resumed.")
            raise
        except Exception as error:
            ours = isinstance(error, FluoroscopeError)
            said = str(error) if ours else f"{type(error).__name__}: {error}"[:500]
            run.update(state="failed", message=said)
            raise


class Loop:
    """One process' work on one run."""

    def __init__(self, run: Run, meter: Meter) -> None:
        self._run, self._meter = run, meter
        self._seed, self._epochs = run.config.seed, run.config.epochs
        self._settings = settings = run.config.settings
        probe_threads()
        self._fabric = fabric(run.config.device, str(settings["precision"]))
        seed_all(number(self._seed, "weights", 0))
        data = Path(run.config.data) if run.config.data else None
        make = resolve(recipe(run.config.recipe).make)
        self._trainable: Trainable = make(settings, data, self._seed)
        self._module = self._trainable.module
        self._order = Order(
            self._seed,
            len(self._trainable.splits["train"]),
            int(settings["batch_size"]),
            int(settings["accumulate"]),
            int(settings["workers"]),
            pin_memory=self._fabric.device.type == "cuda",
        )
        moving = optimiser(self._module.parameters(), settings)
        network: Any = torch.compile(self._module) if settings["compile"] else self._module
        self._network, self._optimiser = self._fabric.setup(network, moving)
        self._rate = LearningRate(settings, self._epochs * self._order.updates)
        self._augmenter = torch.Generator(self._fabric.device)
        self._tally = self._new_tally()
        self._step = self._epoch = self._best_epoch = self._stale = 0
        self._best, self._stage = math.inf, ""
        self._last: Any = None

    def run(self) -> None:
        """Resume if there is something to resume, train, and write the model's card."""
        self._begun = time.perf_counter()
        self._resume()
        first = self._step + 1 if self._step else 0
        every = int(self._settings["histogram_every"])
        self._journal = Journal(self._run.folder, self._module, first, every)
        try:
            self._announce()
            while self._epoch < self._epochs and not self._enough():
                self._one_epoch()
            self._finish()
        except Cancelled:
            self._journal.write()
            self._save(whole_epoch=False)
            raise
        finally:
            self._journal.close()

    def _one_epoch(self) -> None:
        epoch = self._epoch + 1
        stage = self._trainable.begin_epoch(epoch, self._epochs)
        if stage and stage != self._stage:
            self._journal.say(self._step, "stage", stage)
        self._stage = stage
        done = self._step - self._epoch * self._order.updates
        updates = self._order.epoch(epoch)[done:]
        self._network.train()
        for positions, batches in self._order.read(self._trainable.splits["train"], updates):
            self._update(positions, batches)
            if self._checkpoint_due():
                self._write()
                self._save(whole_epoch=False)
        self._write()
        loss = self._measure(epoch)  # stopped in here, a resumed run measures again
        self._epoch = epoch
        self._rate.learned(loss)
        self._tally = self._new_tally()
        self._stale += 1
        if loss < self._best:
            self._best, self._best_epoch, self._stale = loss, epoch, 0
            outcome.keep(self._run, self._module)
        last = epoch == self._epochs or self._enough()
        if last or epoch % int(self._settings["checkpoint_every"]) == 0:
            self._save(whole_epoch=True)
        self._tell()

    def _update(self, positions: Sequence[Sequence[int]], batches: Sequence[Any]) -> None:
        """One update from one or several batches, whose gradients are added up."""
        begun = time.perf_counter()
        seed_all(number(self._seed, "step", self._step))
        self._augmenter.manual_seed(number(self._seed, "augment", self._step))
        rate = self._rate.at(self._step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        examples = sum(len(each) for each in positions)
        loss = torch.zeros((), device=self._fabric.device)
        for each, batch in zip(positions, batches, strict=True):
            self._meter.tick(len(each))
            loss += self._backward(batch, len(each) / examples)
        if clip := float(self._settings["gradient_clip"]):
            self._fabric.clip_gradients(self._network, self._optimiser, max_norm=clip)
        if self._fabric.device.type == "cpu":
            self._check(loss)  # before it is in the weights; elsewhere that would mean to wait
        self._journal.norms.before()
        self._optimiser.step()
        self._journal.norms.after()
        self._step += 1
        took = time.perf_counter() - begun
        self._journal.add(Update(self._step, rate, examples, took, loss))
        if self._journal.due:
            self._write()
            self._tell()

    def _backward(self, batch: Any, share: float) -> Tensor:
        self._last = self._trainable.augment(self._fabric.to_device(batch), self._augmenter)
        try:
            answer = self._answer(self._last)
            self._fabric.backward(answer.loss * share)
        except Exception as error:
            if not out_of_memory(error):
                raise
            size, times = self._order.batch_size, self._order.accumulate
            raise OutOfMemory(
                f"Memory ran out on a batch of {size} examples.",
                f"Train with --set batch_size={max(size // 2, 1)} --set accumulate={2 * times}, "
                "which makes the same updates.",
            ) from error
        self._tally.add(answer)
        return answer.loss.detach().float() * share

    def _answer(self, batch: Any) -> Answer:
        with self._fabric.autocast():
            return self._trainable.answer(self._network, batch)

    def _measure(self, epoch: int) -> float:
        """Write the metrics of an epoch; the loss by which epochs are compared."""
        found: dict[str, Measured] = {
            "train": (self._tally.metrics(self._trainable.classes), self._tally.matrix())
        }
        if "val" in self._trainable.splits:
            found["val"] = self._evaluate("val")
        values = tagged(found) | unit_shares(self._module, self._look)
        values |= {"epoch": float(epoch), "seconds": self._seconds()}
        arrays = self._trainable.extra_arrays(self._module, epoch)
        self._journal.epoch(self._step, values, {**matrices(found), **arrays})
        return values.get("val/loss", values["train/loss"])

    def _look(self) -> None:
        """One forward of the first examples held out, for whoever has hooks on the module."""
        splits = self._trainable.splits
        examples = splits.get("val", splits["train"])
        first = self._order.batches(range(len(examples)))[:1]
        self._network.eval()
        for batch in self._order.loader(examples, first):
            self._answer(self._fabric.to_device(batch))

    def _evaluate(self, split: str) -> Measured:
        """Metrics and confusions of a split, with the weights as they are."""
        tally, examples = self._new_tally(), self._trainable.splits[split]
        self._network.eval()
        with torch.no_grad():
            for batch in self._order.loader(examples, self._order.batches(range(len(examples)))):
                self._meter.check()
                tally.add(self._answer(self._fabric.to_device(batch)))
            further = self._trainable.extra_metrics(self._module, split, self._fabric.to_device)
        return {**tally.metrics(self._trainable.classes), **further}, tally.matrix()

    def _finish(self) -> None:
        """Measure the best weights, also on what was never looked at, and write the card."""
        outcome.restore(self._run, self._module)
        names = [name for name in ("val", "test") if name in self._trainable.splits]
        found = {name: self._evaluate(name) for name in names}
        tested = {name: each for name, each in found.items() if name == "test"}
        self._journal.final(self._step, tagged(tested), matrices(tested))
        self._tell()
        metrics = {name: values for name, (values, _) in found.items()}
        outcome.write_card(self._run, self._trainable, metrics, str(self._fabric.device))

    def _save(self, whole_epoch: bool) -> None:
        newest = checkpoint.checkpoints(self._run)[-1:]
        known = any(each.step == self._step and each.whole_epoch >= whole_epoch for each in newest)
        if not self._step or known:
            return
        self._journal.keep()
        checkpoint.save(
            self._run,
            step=self._step,
            epoch=self._epoch,
            whole_epoch=whole_epoch,
            weights=self._module.state_dict(),
            resume={
                "optimiser": self._optimiser.state_dict(),
                "rate": self._rate.state,
                "tally": self._tally.state,
                "best": self._best if math.isfinite(self._best) else None,
                "best_epoch": self._best_epoch,
                "stale": self._stale,
                "stage": self._stage,
                "threads": torch.get_num_threads(),
                "seconds": self._seconds(),
            },
        )
        checkpoint.tidy(
            self._run,
            keep_last=int(self._settings["keep_last"]),
            keep_every=int(self._settings["keep_every"]),
            best_epoch=self._best_epoch,
        )

    def _resume(self) -> None:
        """Go on from the newest undamaged checkpoint."""
        found = checkpoint.latest(self._run)
        if found is None:  # a process before this one did not come as far as a checkpoint
            for events in self._run.folder.glob(f"{PREFIX}*"):
                events.unlink()
            return
        each, weights, state, notes = found
        checkpoint.forget_after(self._run, each.step)
        self._module.load_state_dict(weights)
        self._optimiser.load_state_dict(state["optimiser"])
        self._rate.restore(state["rate"])
        self._tally.restore(state["tally"])
        torch.set_num_threads(int(state["threads"]))  # the last bit of a sum depends on it
        self._step, self._epoch = each.step, each.epoch
        self._best = math.inf if state["best"] is None else float(state["best"])
        self._best_epoch, self._stale = int(state["best_epoch"]), int(state["stale"])
        self._stage = str(state["stage"])
        self._begun -= float(state["seconds"])
        if notes:
            self._run.update(message=" ".join(notes))

    def _announce(self) -> None:
        splits = self._trainable.splits
        about = {
            "fingerprints": {name: split.fingerprint() for name, split in splits.items()},
            "examples": {name: len(split) for name, split in splits.items()},
            "skipped": list(self._trainable.skipped)[:1000],
            "classes": list(self._trainable.classes),
        }
        self._run.write("data.json", about)
        updates = self._step - self._epoch * self._order.updates
        done = updates * self._order.batch_size * self._order.accumulate
        self._meter.expect((self._epochs - self._epoch) * self._order.count - done, "Training")
        self._tell()

    def _write(self) -> None:
        """Write what is pending; on a device that is not waited for, a loss is looked at here."""
        if not self._journal.write():
            self._check(torch.tensor(math.nan))

    def _tell(self) -> None:
        self._run.update(
            epoch=self._epoch,
            step=self._step,
            steps=self._epochs * self._order.updates,
            seconds=self._seconds(),
            best=self._best if math.isfinite(self._best) else None,
            best_epoch=self._best_epoch,
            stage=self._stage,
        )

    def _check(self, loss: Tensor) -> None:
        """Raise ``Diverged`` when the loss is not finite."""
        if math.isfinite(float(loss)):
            return
        where = first_not_finite(self._module, lambda: self._answer(self._last))
        kept = checkpoint.checkpoints(self._run)
        last = f" The checkpoint of step {kept[-1].step} is kept." if kept else ""
        raise Diverged(
            f"The loss is not a finite number any more at update {self._step + 1}: it began in "
            f"{where}.{last}",
            "Train again with a lower lr, or with --set gradient_clip=1.",
        )

    def _enough(self) -> bool:
        patience = int(self._settings["patience"])
        return bool(patience) and self._stale >= patience

    def _checkpoint_due(self) -> bool:
        every = int(self._settings["checkpoint_steps"])
        return every > 0 and self._step % every == 0 and self._step % self._order.updates != 0

    def _seconds(self) -> float:
        return time.perf_counter() - self._begun  # of all processes that worked on this run

    def _new_tally(self) -> Tally:
        return Tally(len(self._trainable.classes), self._fabric.device)
