"""A dense network on a table: ``[batch, input]`` numbers to ``[batch, class]`` logits.

Hidden layers of equal width with ReLU and dropout, each ReLU a module of its own, because
DeepLIFT, guided backpropagation and LRP work through hooks on modules.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class TabularMLP(nn.Module):
    """``layers`` hidden layers of ``hidden`` units."""

    def __init__(
        self, inputs: int, classes: int, hidden: int = 64, layers: int = 2, dropout: float = 0.2
    ) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * layers]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*parts)
        self.dense = nn.Linear(widths[-1], classes)

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.dense(self.hidden(values))
        return logits
