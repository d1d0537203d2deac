"""The only place that knows raw inputs: one adapter per task turns them into tensors and back.

Everything after ``encode`` works on ``features``, one differentiable tensor per batch (pixels;
embeddings of tokens for text), so no method and no page branches on the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.tasks import AxisKind, Example, FeatureAxis

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """Encoded examples.

    ``features`` is float32 ``[example, …]``; ``context`` are further arguments of the forward with
    the same first dimension (the ids of tokens); ``axes``, ``pictures`` (uint8
    ``[row, column, 3]``, None for a text), ``names`` and ``outputs`` (what the columns of the
    logits are called) have one entry per example. ``notes`` say what had to be done to the input.
    """

    features: Tensor
    context: tuple[Tensor, ...]
    axes: tuple[FeatureAxis, ...]
    pictures: tuple[Picture | None, ...]
    names: tuple[str, ...]
    outputs: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Batch:
        """The batch of one example."""
        part = slice(index, index + 1)
        return Batch(
            self.features[part],
            tuple(tensor[part] for tensor in self.context),
            self.axes[part],
            self.pictures[part],
            self.names[part],
            self.outputs[part],
            self.notes,
        )


class Living(Protocol):
    """What an adapter may ask of the loaded model it belongs to."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def exclusive(self, seed: int = 0) -> AbstractContextManager[nn.Module]:
        """Its module, for this thread alone."""


class Adapter(Protocol):
    """What a task has to provide."""

    @property
    def axis(self) -> AxisKind:
        """What inputs are divided into."""

    @property
    def unit(self) -> str:
        """What scores are counted in: ``logits`` or ``log-probability``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, where they are the same for every example."""

    @property
    def baselines(self) -> tuple[str, ...]:
        """Kinds of baseline that ``baseline`` makes."""

    @property
    def depth(self) -> int:
        """The dimension of the features along which a part of the input has several numbers:
        channels of pixels, the width of embeddings.
        """

    def encode(self, examples: Sequence[Example], model: Living) -> Batch:
        """Decode and prepare raw inputs of one size. Raises ``BadInput`` with a sentence for
        people.
        """

    def batches(
        self, examples: Sequence[Example], model: Living
    ) -> list[tuple[tuple[int, ...], Batch]]:
        """Any examples, as batches of one size with the places of their examples."""

    def typical(self, model: Living) -> Batch:
        """One seeded example of usual size, for inspection and timing."""

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """One forward: ``[example, output]``."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """What the logits ``[example, output]`` mean as probabilities."""

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        """Reference input of the shape of ``batch.features``; ``other`` for kind ``image``."""

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        """Which features belong together: int64 ids from 0, shaped to broadcast over features
        ``[example, …]``.
        """

    def fold(self, values: Tensor, norm: bool = False) -> npt.NDArray[np.float32]:
        """Values over the features of one example as an array of its axis' shape: summed over
        ``depth`` where the axis has none, or their Euclidean norm.
        """
