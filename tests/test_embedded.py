"""Embeddings that are put in place of those that a network looks up."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core.errors import BadModel
from core.models.embedded import everywhere


class Fixed(nn.Module):
    """Takes two texts at a time, the last one again where there is one less, as a graph of a fixed
    number of examples is run.
    """

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.fc = nn.Linear(4, 2)
        self.first = first

    def forward(self, ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        answers = []
        for start in range(self.first, len(ids), 2):
            part = ids[start : start + 2]
            part = torch.cat([part, part[-1:].expand(2 - len(part), -1)])
            answers.append(self.fc(self.embedding(part).square().mean(1)))
        return torch.cat(answers)[: len(ids)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_few_texts_at_a_time(count: int) -> None:
    """Answers and gradients of each example are those that it has alone."""
    torch.manual_seed(0)
    network = Fixed().requires_grad_(False)
    ids = torch.arange(7 * count).reshape(count, 7) % 11
    given = torch.rand(count, 7, 4, requires_grad=True)
    with everywhere(network, given, ids):
        answers = network(ids)
    truth = network.fc(given.square().mean(1))
    torch.testing.assert_close(answers, truth)
    (mine,) = torch.autograd.grad(answers[:, 1].sum(), given)
    torch.testing.assert_close(mine, 2 / 7 * given.detach() * network.fc.weight[1])


def test_other_texts_than_those_asked_for() -> None:
    """One that is left out, or looked up once more, cannot be followed."""
    network, ids = Fixed(1), torch.arange(35).reshape(5, 7) % 11
    with (
        pytest.raises(BadModel, match="cannot be followed"),
        everywhere(network, torch.rand(5, 7, 4), ids),
    ):
        network(ids)
    network = Fixed()
    with (
        pytest.raises(BadModel, match="cannot be followed"),
        everywhere(network, torch.rand(5, 7, 4), ids),
    ):
        network(ids)
        network(ids)
