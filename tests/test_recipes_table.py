"""The recipes that learn from tables and points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import BadInput
from core.training.config import Config
from sample_models.table_data import breast_cancer, moons
from sample_models.table_training import points, tabular
from sample_models.tabular_mlp import TabularMLP
from sample_models.two_features import TwoFeatures, boundary


def test_tables_share_no_row_and_are_scaled_by_training_alone() -> None:
    table = breast_cancer()
    sizes = {name: len(part) for name, part in table.splits.items()}
    assert sizes == {"train": 342, "val": 85, "test": 142}
    train = table.splits["train"].values
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-5)
    rows = [tuple(row) for part in table.splits.values() for row in part.values.tolist()]
    assert len(set(rows)) == 569
    shares = [part.labels.mean() for part in table.splits.values()]
    assert max(shares) - min(shares) < 0.02


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_two_features_is_the_textbook_formula(activation: str) -> None:
    torch.manual_seed(0)
    network = TwoFeatures(5, activation)
    x = torch.randn(7, 2)
    hidden = getattr(torch, activation)(x @ network.dense1.weight.T + network.dense1.bias)
    expected = torch.sigmoid(hidden @ network.dense2.weight[0] + network.dense2.bias)
    torch.testing.assert_close(network.probability(x), expected)
    torch.testing.assert_close(network(x).softmax(dim=1)[:, 1], expected)


def test_boundary_is_the_probability_over_the_plane() -> None:
    network = TwoFeatures(4)
    plane = boundary(network, size=5, reach=2.0)
    assert plane.shape == (5, 5)
    with torch.no_grad():
        expected = network.probability(torch.tensor([[1.0, -2.0], [-2.0, 0.0]]))
    torch.testing.assert_close(torch.stack([plane[0, 3], plane[2, 0]]), expected)


def test_points_learn_by_squared_error_and_plain_gradient_descent() -> None:
    settings = Config.of("two_features").settings
    torch.manual_seed(0)
    learned = points(settings, None, 0)
    batch = learned.splits["train"].__getitems__(range(100))
    network = learned.module
    assert isinstance(network, TwoFeatures)
    losses = []
    for _ in range(settings["epochs"]):  # type: ignore[arg-type]  # an int by its declaration
        answer = learned.answer(network, batch)
        squared = (network.probability(batch[0]) - batch[1]).square().mean()
        torch.testing.assert_close(answer.loss, squared)
        losses.append(answer.loss.item())
        network.zero_grad()
        answer.loss.backward()
        with torch.no_grad():
            for weights in network.parameters():
                weights -= settings["lr"] * weights.grad
    right = (network(batch[0]).argmax(dim=1) == batch[1]).float().mean()
    assert right >= 0.93  # the best straight line gets 0.89
    assert losses[-1] < 0.5 * losses[0]
    assert learned.extra_arrays(network, 1)["boundary"].shape == (48, 48)


def test_moons_are_always_the_same() -> None:
    assert moons().splits["train"].fingerprint() == moons().splits["train"].fingerprint()
    assert moons().splits["train"].fingerprint() != moons().splits["val"].fingerprint()


def test_own_table(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'}" for a, b in generator.normal(size=(60, 2))
    ]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["height,weight,label", *rows]))
    learned = tabular(Config.of("tabular_mlp").settings, path, 0)
    assert learned.classes == ("no", "yes")
    assert learned.card()["arguments"]["inputs"] == 2
    assert learned.card()["baseline"] is None
    assert points(Config.of("two_features").settings, path, 0).classes == ("no", "yes")
    path.write_text("\n".join(["height,label", *[row.split(",", 1)[1] for row in rows]]))
    with pytest.raises(BadInput, match="two columns"):
        points(Config.of("two_features").settings, path, 0)


def test_tabular_mlp_shapes() -> None:
    network = TabularMLP(30, 4, hidden=8, layers=3)
    assert network(torch.zeros(5, 30)).shape == (5, 4)
    assert len([part for part in network.modules() if isinstance(part, torch.nn.ReLU)]) == 3
