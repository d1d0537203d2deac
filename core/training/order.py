"""Chance without memory: what is random in a run is a function of its seed and of where it stands.

So nothing about generators has to be kept for resuming: the numbers of update 700 are the same,
whether the 699 before it were made in this process or in another.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    torch.manual_seed(value)
    random.seed(value)
    np.random.seed(value % 2**32)


@dataclass(frozen=True)
class Order:
    """Which examples make up each update: ``accumulate`` batches of ``batch_size``, shuffled anew
    in every epoch.
    """

    seed: int
    count: int
    batch_size: int
    accumulate: int
    workers: int
    pin_memory: bool

    @property
    def updates(self) -> int:
        """Updates in an epoch."""
        return -(-self.count // (self.batch_size * self.accumulate))

    def epoch(self, epoch: int) -> list[list[list[int]]]:
        """Positions of examples ``[update][batch][example]``."""
        shuffle = torch.Generator().manual_seed(number(self.seed, "order", epoch))
        order = torch.randperm(self.count, generator=shuffle).tolist()
        group = self.batch_size * self.accumulate
        return [self.batches(order[at : at + group]) for at in range(0, len(order), group)]

    def batches(self, positions: Sequence[int]) -> list[list[int]]:
        """Positions cut into batches."""
        size = self.batch_size
        return [list(positions[at : at + size]) for at in range(0, len(positions), size)]

    def read(self, examples: Split, updates: list[list[list[int]]]) -> Iterator[Any]:
        """For each update its positions and its batches, read ahead by the loader's workers."""
        loader = iter(self.loader(examples, [batch for update in updates for batch in update]))
        for update in updates:
            yield update, [next(loader) for _ in update]

    def loader(self, examples: Split, batches: list[list[int]]) -> DataLoader[Any]:
        """The batches at these positions, in this order."""
        return DataLoader(
            examples,  # type: ignore[arg-type]  # it is read by whole batches only
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            pin_memory=self.pin_memory,
            multiprocessing_context="spawn" if self.workers else None,
        )


def _as_it_is(batch: Any) -> Any:
    return batch
