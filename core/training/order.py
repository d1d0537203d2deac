"""Chance without memory: what is random in a run is a function of its seed and of where it stands.

So nothing about generators has to be kept for resuming: the numbers of update 700 are the same,
whether the 699 before it were made in this process or in another.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from core.training.trainable import Split


def number(seed: int, purpose: str, at: int) -> int:
    """A seed of 63 bits for one purpose at one place of a run."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{at}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_all(value: int) -> None:
    """Seed every generator of the process: torch's of every device, Python's, numpy's."""
    torch.default_generator.manual_seed(value)  # torch.manual_seed would note where it was called
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(value)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(value)
    random.seed(value)
    np.random.seed(value % 2**32)


@dataclass(frozen=True)
class Order:
    """Which of ``count`` examples make up each update, shuffled anew in every epoch.

    An update learns from ``per_update`` examples, of which ``at_once`` go through the network
    together.
    """

    seed: int
    count: int
    per_update: int
    at_once: int

    @property
    def updates(self) -> int:
        """Updates in an epoch."""
        return len(_starts(self.count, self.per_update))

    def epoch(self, epoch: int) -> list[list[list[int]]]:
        """Positions of examples ``[update][batch][example]``."""
        shuffle = torch.Generator().manual_seed(number(self.seed, "order", epoch))
        order = torch.randperm(self.count, generator=shuffle).tolist()
        return [self.batches(each) for each in _cut(order, self.per_update)]

    def batches(self, positions: Sequence[int]) -> list[list[int]]:
        """Positions cut into batches."""
        return _cut(positions, self.at_once)

    def halved(self) -> Order:
        """The same updates from batches of half the size."""
        return replace(self, at_once=-(-self.at_once // 2))


def _starts(count: int, size: int) -> range:
    """Where parts begin. A last part of a single example joins the one before: there is no variance
    in it for batch normalisation.
    """
    return range(0, count - 1 if 1 < size < count else count, size)


def _cut(positions: Sequence[int], size: int) -> list[list[int]]:
    starts = _starts(len(positions), size)
    ends = [*starts[1:], len(positions)]
    return [list(positions[at:end]) for at, end in zip(starts, ends, strict=True)]


class Reader:
    """Reads examples by batches, ahead of time where there are workers, which stay for the next
    time.
    """

    def __init__(self, examples: Split, workers: int, device: torch.device) -> None:
        self._batches: list[list[int]] = []
        self._loader: DataLoader[Any] = DataLoader(
            examples,  # type: ignore[arg-type]  # it is read by whole batches only
            batch_sampler=self._batches,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # its own: it draws a number each time it begins
        )

    def read(self, batches: Sequence[list[int]]) -> Iterator[Any]:
        """The batches at these positions, in this order; whatever was read before is let go."""
        self._batches[:] = batches
        return iter(self._loader)


def _as_it_is(batch: Any) -> Any:
    return batch
