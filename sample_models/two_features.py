"""A network small enough to see whole: two features, one hidden layer, one probability.

Input ``[batch, 2]``; output ``[batch, 2]`` logits of the two classes, the first always 0, so that
softmax gives the second exactly the sigmoid of the network's one output. The hidden units begin as
steps across the plane, steep and in all directions: from weights near 0, a hundred updates of plain
gradient descent do not get beyond a straight boundary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
}
STEEPNESS = {"sigmoid": 3.0, "relu": 1.0, "tanh": 1.0}  # of the first weights: what learns fastest


class TwoFeatures(nn.Module):
    """Two features, ``hidden`` units, one output."""

    def __init__(self, hidden: int = 16, activation: str = "sigmoid") -> None:
        super().__init__()
        self.dense1 = nn.Linear(2, hidden)
        self.activation = ACTIVATIONS[activation]()
        self.dense2 = nn.Linear(hidden, 1)
        nn.init.normal_(self.dense1.weight, std=STEEPNESS[activation])
        nn.init.normal_(self.dense1.bias, std=STEEPNESS[activation])
        nn.init.normal_(self.dense2.weight, std=hidden**-0.5)

    def forward(self, points: Tensor) -> Tensor:
        output = self.dense2(self.activation(self.dense1(points)))
        return torch.cat([torch.zeros_like(output), output], dim=1)

    def probability(self, points: Tensor) -> Tensor:
        """The probability of the second class, ``[batch]``."""
        return self(points)[:, 1].sigmoid()


@torch.no_grad()
def boundary(module: nn.Module, size: int = 48, reach: float = 3.0) -> Tensor:
    """The probability of the second class over the plane, ``[row, column]``.

    Columns go with the first feature and rows with the second, both from ``-reach`` to ``reach`` in
    ``size`` steps; the decision boundary is where it is 0.5.
    """
    parameter = next(module.parameters())
    steps = torch.linspace(-reach, reach, size, device=parameter.device, dtype=parameter.dtype)
    second, first = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([first.flatten(), second.flatten()], dim=1)
    return module(points).softmax(dim=1)[:, 1].reshape(size, size)  # type: ignore[no-any-return]
