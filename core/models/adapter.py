"""The only place that knows raw inputs: one adapter per task turns them into tensors and back.

Everything after ``encode`` works on ``features``, one differentiable tensor per batch (pixels;
embeddings for text; columns for a table), so no method and no page branches on the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from core.tasks import Example, FeatureAxis


@dataclass(frozen=True)
class Batch:
    """Encoded examples.

    ``features`` is float32 ``[example, …]``; ``context`` are further arguments of the forward with
    the same first dimension (an attention mask); ``axes`` and ``pictures`` (uint8
    ``[row, column, 3]``) have one entry per example.
    """

    features: Tensor
    context: tuple[Tensor, ...]
    axes: tuple[FeatureAxis, ...]
    pictures: tuple[npt.NDArray[np.uint8], ...]
    names: tuple[str, ...]

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
        )


class Adapter(Protocol):
    """What a task has to provide."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs."""

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of the features of one typical example, for inspection and probing."""

    @property
    def baselines(self) -> tuple[str, ...]:
        """Kinds of baseline that ``baseline`` makes."""

    def encode(self, examples: Sequence[Example], device: Any) -> Batch:
        """Decode and prepare raw inputs. Raises ``BadInput`` with a sentence for people."""

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """One forward: ``[example, class]``."""

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        """Reference input of the shape of ``batch.features``; ``other`` for kind ``image``."""

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        """Which features belong together: int64 ids from 0, shaped to broadcast over features
        ``[example, …]``.
        """

    def fold(self, values: Tensor) -> npt.NDArray[np.float32]:
        """Values over the features of one example as an array of its axis' shape."""
