"""What a recipe hands to the loop: a module, its data, and the loss of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt
from torch import Generator, Tensor, nn


class Split(Protocol):
    """One part of a data set, as a map-style data set that is read by whole batches.

    ``torch.utils.data.DataLoader`` calls ``__getitems__`` with the positions of a batch; what comes
    back is a tensor or a (nested) tuple or dictionary of tensors on the CPU, already batched.
    """

    def __len__(self) -> int:
        """Number of examples."""

    def __getitems__(self, index: Sequence[int]) -> Any:
        """The examples at these positions as one batch."""

    def fingerprint(self) -> str:
        """SHA-256 of all that is in it."""


@dataclass(frozen=True)
class Answer:
    """What one forward says about one batch.

    ``loss`` is a scalar, the mean over ``count`` things (examples, tokens, pixels). For
    classification ``logits`` is ``[example, class]`` and ``labels`` int64 ``[example]``.
    """

    loss: Tensor
    count: int
    logits: Tensor | None = None
    labels: Tensor | None = None


class Trainable(ABC):
    """A module with its data and its loss. Everything here is a function of settings, data and
    seed: whatever is random takes its numbers from the generator it is handed, so that a resumed
    run repeats them.

    ``splits`` has ``train``, mostly ``val``, and ``test`` where there is a part that is looked at
    once at the end. ``classes`` is empty where there are none. ``skipped`` names files or rows that
    could not be read, for the run's log.
    """

    module: nn.Module
    splits: Mapping[str, Split]
    classes: tuple[str, ...] = ()
    skipped: Sequence[str] = ()

    @abstractmethod
    def answer(self, module: nn.Module, batch: Any) -> Answer:
        """One forward of a batch on the device; ``module`` is ``self.module``, perhaps wrapped."""

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """The model's card as far as it is known without training: ``title``, ``task``,
        ``summary``, ``arguments`` of the recipe's factory, ``classes``, ``preprocessing``,
        ``data`` (name, source, licence, split, note).
        """

    def augment(self, batch: Any, generator: Generator) -> Any:
        """A training batch on the device, varied at random by this generator of that device."""
        return batch

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        """Told before each epoch (from 1), also after resuming: may freeze parts of the module.

        Returns what the epoch is for, where recipes have stages, else an empty string.
        """
        return ""

    def counts(self, epoch: int, epochs: int) -> bool:
        """Whether an epoch may be the best: False while the network is not whole yet."""
        return True

    def extra_arrays(self, module: nn.Module, epoch: int) -> Mapping[str, npt.ArrayLike]:
        """Arrays to keep after an epoch by tag, such as a decision boundary."""
        return {}

    def extra_metrics(
        self, module: nn.Module, split: str, to_device: Callable[[Any], Any]
    ) -> Mapping[str, float]:
        """Further metrics of a split after an epoch by tag (``bleu``), beyond loss and those of
        classification.
        """
        return {}
