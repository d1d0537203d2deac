"""A network that learns: a trainable on its device, with its optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from core.device import out_of_memory
from core.parameters import Value
from core.progress import Meter
from core.training.fabric import fabric
from core.training.metrics import Measured, Tally
from core.training.optimisation import optimiser
from core.training.order import Order, Reader, seed_all
from core.training.trainable import Answer, Trainable
from core.training.watch import LossReader, Norms, first_not_finite, unit_shares

Positions = Sequence[list[int]]  # of the examples of an update, batch by batch


class TooMuch(Exception):
    """Memory ran out on a batch; neither weights nor optimiser have changed."""


class Learner:
    """Makes updates and measures splits."""

    def __init__(self, trainable: Trainable, settings: Mapping[str, Value], device: str) -> None:
        self._fabric = fabric(device, str(settings["precision"]), int(settings["devices"]))
        self._rank, self._team = self._fabric.global_rank, self._fabric.world_size
        self.device = self._fabric.device
        self.trainable = trainable
        self.module = trainable.module
        moving = optimiser(self.module.parameters(), settings)
        network: Any = torch.compile(self.module) if settings["compile"] else self.module
        self._network, self._optimiser = self._fabric.setup(network, moving)
        self._clip = float(settings["gradient_clip"])
        self._generator = torch.Generator(self.device)
        self._loss = LossReader(self.device)
        self._workers = int(settings["workers"])
        self._readers: dict[str, Reader] = {}
        self._last: Any = None
        self.norms = Norms(self.module)

    def updates(self, updates: Sequence[Positions]) -> Iterator[tuple[Positions, list[Any]]]:
        """For each update the positions of its examples and this process' part of them."""
        mine = [[self._part(batch) or batch[:1] for batch in update] for update in updates]
        batches = self.read("train", list(chain.from_iterable(mine)))
        for positions in updates:
            yield positions, [next(batches) for _ in positions]

    def gradients(
        self, positions: Positions, batches: Sequence[Any], seed: int
    ) -> tuple[float, list[Answer]]:
        """Gradients of the mean loss over the examples of an update, added up over its batches.

        Returns the loss and what the network said, both before it learns from it. Raises
        ``TooMuch``.
        """
        seed_all(seed + self._rank)
        self._generator.manual_seed(seed + self._rank)
        self._network.train()
        self._optimiser.zero_grad()
        examples = sum(len(batch) for batch in positions) / self._team
        answers: list[Answer] = []
        total = torch.zeros((), device=self.device)
        try:
            for at, (places, batch) in enumerate(zip(positions, batches, strict=True)):
                share = len(self._part(places)) / examples
                self._last = self._fabric.to_device(batch)
                self._last = self.trainable.augment(self._last, self._generator)
                answer = self._answer(self._network, self._last)
                total = total + answer.loss.detach().float() * share
                if at + 1 == len(batches):
                    self._loss.send(self._everywhere(total) / self._team)
                self._fabric.backward(answer.loss * share)
                if share:
                    answers.append(_without_graph(answer))
        except Exception as error:
            if self._team > 1 or not out_of_memory(error):
                raise
            raise TooMuch from error
        return self._loss.value(), answers

    def count(self, answers: Sequence[Answer], tally: Tally) -> None:
        """Add to a tally what all processes of the team answered."""
        own = tally if self._team == 1 else self.tally()
        for answer in answers:
            own.add(answer)
        if self._team > 1:
            tally.merge(own, self._everywhere)

    def update(self, rate: float) -> None:
        """Move the weights along the gradients, at this learning rate."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._fabric.strategy.precision.unscale_gradients(self._optimiser.optimizer)
        norms = self.norms.before()
        if self._clip:
            total = torch.linalg.vector_norm(norms)
            clip_grads_with_norm_(self.module.parameters(), self._clip, total)
        self._optimiser.step()
        self.norms.after()

    def let_go(self) -> None:
        """Give back the memory of an update that was too much."""
        self._last = None
        self._optimiser.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def read(self, split: str, batches: Sequence[list[int]]) -> Iterator[Any]:
        """The examples of a split at these positions, batch by batch."""
        if split not in self._readers:
            examples = self.trainable.splits[split]
            self._readers[split] = Reader(examples, self._workers, self.device)
        return self._readers[split].read(batches)

    @torch.no_grad()
    def measure(self, split: str, order: Order, meter: Meter) -> Measured:
        """Metrics and confusions of a split, with the weights as they are.

        Raises ``Cancelled``.
        """
        tally = self.tally()
        self._network.eval()
        for batch in self.read(split, order.batches(range(len(self.trainable.splits[split])))):
            meter.check()
            tally.add(self._answer(self._network, self._fabric.to_device(batch)))
        further = self.trainable.extra_metrics(self.module, split, self._fabric.to_device)
        return {**tally.metrics(self.trainable.classes), **further}, tally.matrix()

    def unit_shares(self, order: Order) -> dict[str, float]:
        """Dead and saturated units over the first batch of the examples held out."""
        split = "val" if "val" in self.trainable.splits else "train"
        first = order.batches(range(len(self.trainable.splits[split])))[:1]
        return unit_shares(
            self.module, lambda: [self.look(batch) for batch in self.read(split, first)]
        )

    @torch.no_grad()
    def look(self, batch: Any) -> None:
        """One forward, for whoever has hooks on the module."""
        self._network.eval()
        self._answer(self.module, self._fabric.to_device(batch))

    @property
    def finite(self) -> bool:
        """Whether all weights are finite numbers; waits for the device."""
        return all(torch.stack([p.isfinite().all() for p in self.module.parameters()]).tolist())

    def began(self) -> str:
        """Where the last forward, whose loss was not finite, first had such a number, in words."""
        if layer := self.norms.first_not_finite():
            return f"the gradients of '{layer}' of the update before"
        return first_not_finite(self.module, lambda: self._answer(self.module, self._last))

    def tally(self) -> Tally:
        """An empty one."""
        return Tally(len(self.trainable.classes), self.device)

    @property
    def state(self) -> dict[str, Any]:
        """What ``restore`` takes, besides the weights."""
        return {
            "optimiser": self._optimiser.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
        }

    def restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.module.load_state_dict(weights)
        self._optimiser.load_state_dict(state["optimiser"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])

    def _part(self, batch: Sequence[int]) -> list[int]:
        return list(batch[self._rank :: self._team])

    def _everywhere(self, own: Tensor) -> Tensor:
        """The sum over the processes of the team."""
        if self._team == 1:
            return own
        total = self._fabric.all_reduce(own, reduce_op="sum")
        return torch.as_tensor(total)

    def _answer(self, network: Any, batch: Any) -> Answer:
        with self._fabric.autocast():
            return self.trainable.answer(network, batch)


def _without_graph(answer: Answer) -> Answer:
    logits = None if answer.logits is None else answer.logits.detach()
    return Answer(answer.loss.detach(), answer.count, logits, answer.labels)
