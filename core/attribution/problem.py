"""One explanation to be computed: everything a method's function needs, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.attribution.scored import Scored
from core.errors import UnknownName
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import Value
from core.results.architecture import Architecture, LayerInfo
from core.tasks import Example

_RANDOM_BASELINES = ("uniform", "gaussian")


@dataclass(frozen=True)
class Problem:
    """One example, one target, one method.

    ``score`` is the metered model, ``features`` is ``[1, …]``, ``batch_size`` the number of
    examples that fit a pass well.
    """

    model: LoadedModel
    architecture: Architecture
    score: Scored
    batch: Batch
    settings: Mapping[str, Value]
    seed: int
    other: Example | None

    @property
    def features(self) -> Tensor:
        """``[1, …]``, on the model's device."""
        return self.batch.features

    @property
    def batch_size(self) -> int:
        """How many examples to send through at once."""
        return self.score.limit

    @property
    def gradient_batch_size(self) -> int:
        """How many examples to send forward and back at once."""
        return self.score.gradient_limit

    def whole(self, name: str) -> int:
        """A setting that is a whole number."""
        return int(self.settings[name])

    def baseline(self) -> Tensor:
        """The reference input that the settings name, ``[1, …]``."""
        kind = str(self.settings["baseline"])
        return self.model.adapter.baseline(self.batch, kind, self.seed, self.other)

    def baselines(self, count: int) -> Tensor:
        """``count`` draws of a random baseline, or the one there is: ``[baseline, …]``."""
        kind = str(self.settings["baseline"])
        draws = count if kind in _RANDOM_BASELINES else 1
        make = self.model.adapter.baseline
        return torch.cat(
            [make(self.batch, kind, self.seed + draw, self.other) for draw in range(draws)]
        )

    def segments(self) -> Tensor:
        """Which features belong together, int64 ids from 0."""
        return self.model.adapter.segments(self.batch, self.settings)

    def layer(self) -> tuple[nn.Module, LayerInfo]:
        """The module and description of the layer that the settings name.

        Raises ``UnknownName`` with the layers that lie over the input.
        """
        name = str(self.settings["layer"])
        if name == "auto":
            name = self.architecture.cam_layer
        for info in self.architecture.spatial_layers:
            if info.name == name:
                return self.score.module.get_submodule(name), info
        raise UnknownName.of(
            "layer over the input", name, (x.name for x in self.architecture.spatial_layers)
        )

    def score_of(self, features: Tensor) -> Tensor:
        """Scores ``[example]`` without gradient."""
        with torch.no_grad():
            scores: Tensor = self.score(features)
        return scores


@dataclass(frozen=True)
class Outcome:
    """``values`` over the features ``[1, …]`` (or one channel of them), and f(baseline) in logits
    for complete methods, as a tensor of one or more baselines whose mean counts.
    """

    values: Tensor
    baseline_score: Tensor | None = None


Run = Callable[[Problem], Outcome]
