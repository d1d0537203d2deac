"""What the loop computes with: schedules, metrics, norms, histograms, the order of examples."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from torch import nn

from core.training.metrics import Tally, scores
from core.training.optimisation import LearningRate, optimiser
from core.training.order import Order, number, seed_all
from core.training.standing import Standing
from core.training.trainable import Answer
from core.training.watch import Norms, distributions, unit_shares

SETTINGS: dict[str, Any] = {"lr": 0.1, "warmup": 0, "schedule": "constant"}


def rates(steps: int, **settings: Any) -> list[float]:
    rate = LearningRate(SETTINGS | settings, steps)
    return [rate.at(step) for step in range(steps)]


def test_constant_with_warmup() -> None:
    assert rates(6, warmup=4) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 19)),
        ("one_cycle", lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=21)),
    ],
)
def test_schedules_are_those_of_torch(schedule: str, make: Any) -> None:
    count = 20 if schedule == "cosine" else 21  # then 30 % of the steps is a whole number
    plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(plain)
    expected = []
    for _ in range(count):
        expected.append(plain.param_groups[0]["lr"])
        plain.step()
        if len(expected) < count:
            scheduler.step()
    if schedule == "one_cycle":  # theirs rises to one step earlier: compare shape at its ends
        ours = rates(count, schedule=schedule)
        assert [ours[0], max(ours), ours[-1]] == pytest.approx(
            [expected[0], max(expected), expected[-1]], rel=0.01
        )
    else:
        assert rates(count, schedule=schedule) == pytest.approx(expected, abs=1e-12)


def test_steps_drop_by_ten_at_each_third() -> None:
    found = rates(10, schedule="step")
    assert found == pytest.approx([0.1] * 3 + [0.01] * 3 + [0.001] * 4)


def test_plateau_halves_after_three_stale_epochs_and_remembers() -> None:
    rate = LearningRate(SETTINGS | {"schedule": "plateau"}, 100)
    for loss in (1.0, 0.9, 0.9, 0.95, 0.9):
        rate.learned(loss)
    assert rate.at(50) == 0.1
    other = LearningRate(SETTINGS | {"schedule": "plateau"}, 100)
    other.restore(rate.state)
    for each in (rate, other):
        each.learned(0.91)
        assert each.at(50) == pytest.approx(0.05)
        each.learned(0.5)
        assert each.at(50) == pytest.approx(0.05)


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")])
def test_optimisers(name: str, kind: str) -> None:
    settings = {"optimiser": name, "lr": 0.3, "weight_decay": 0.01, "momentum": 0.7}
    made = optimiser([nn.Parameter(torch.ones(1))], settings)
    assert type(made).__name__ == kind
    group = made.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.01)
    assert group.get("momentum", 0.7) == 0.7


def test_metrics_are_those_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    classes = ("ant", "bee", "cat", "dog")
    labels = torch.randint(0, 4, (200,), generator=generator)
    logits = torch.randn(200, 4, generator=generator)
    logits[:, 3] -= 10  # never predicted: precision 0
    tally = Tally(4, torch.device("cpu"))
    for start in range(0, 200, 30):
        part = slice(start, start + 30)
        loss = nn.functional.cross_entropy(logits[part], labels[part])
        tally.add(Answer(loss, len(labels[part]), logits[part], labels[part]))
    found = tally.metrics(classes)
    true, said = labels.numpy(), logits.argmax(1).numpy()
    each = precision_recall_fscore_support(true, said, labels=range(4), zero_division=0)
    macro = precision_recall_fscore_support(true, said, average="macro", zero_division=0)
    for at, name in enumerate(("precision", "recall", "f1")):
        assert found[f"{name}_macro"] == pytest.approx(macro[at])
        assert [found[f"{name}/{label}"] for label in classes] == pytest.approx(list(each[at]))
    assert found["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert found["loss"] == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels)), rel=1e-5
    )
    np.testing.assert_array_equal(tally.matrix(), confusion_matrix(true, said))


def test_classes_that_do_not_occur_are_not_in_the_means() -> None:
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    found = scores(matrix, ("ant", "bee", "cat"))
    assert found["recall_macro"] == pytest.approx((0.75 + 1) / 2)
    assert found["f1/cat"] == 0


def test_a_tally_without_classes_has_a_loss_alone() -> None:
    tally = Tally(0, torch.device("cpu"))
    tally.add(Answer(torch.tensor(2.0), 3))
    tally.add(Answer(torch.tensor(5.0), 1))
    assert tally.metrics(()) == {"loss": 2.75}
    assert tally.matrix() is None


def length(tensors: Iterable[torch.Tensor]) -> float:
    """The Euclidean norm of all of them together."""
    return math.sqrt(sum(float(np.sum(x.detach().double().numpy() ** 2)) for x in tensors))


def test_norms_against_plain_sums() -> None:
    generator = torch.Generator().manual_seed(2)
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), nn.Linear(3, 3))
    module[3].weight.requires_grad_(False)  # never has a gradient
    module[3].bias.requires_grad_(False)
    moving = torch.optim.AdamW(module.parameters(), lr=0.05)
    norms = Norms(module)
    assert norms.layers == ("0", "2", "3")
    expected = []
    for _ in range(3):
        moving.zero_grad()
        module(torch.randn(7, 5, generator=generator)).square().sum().backward()
        before = {name: p.detach().clone() for name, p in module.named_parameters()}
        total = norms.before()  # of each parameter
        moving.step()
        norms.after()
        gradients, ratios = [], []
        for layer in norms.layers:
            own = [name for name in before if name.startswith(f"{layer}.")]
            after = {name: module.get_parameter(name) for name in own}
            gradients.append(length(p.grad for p in after.values() if p.grad is not None))
            moved = length(after[name] - before[name] for name in own)
            ratios.append(moved / length(after.values()))
        assert length([total]) == pytest.approx(math.hypot(*gradients), rel=1e-5)
        expected.append(gradients + ratios)
    found = norms.rows()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert found[:, 2].tolist() == [0, 0, 0]
    assert norms.rows().shape == (0, 6)


def test_distributions_against_numpy() -> None:
    module = nn.Linear(50, 40)
    module(torch.ones(2, 50)).sum().backward()
    found = distributions(module)
    weights = np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])
    each = found["weights/model"]
    counts, edges = np.histogram(weights.astype(np.float64), len(each.counts))
    assert np.abs(each.counts - counts).sum() <= 2  # a value on an edge may fall to either side
    np.testing.assert_allclose(each.edges, edges, rtol=1e-6)
    assert each.counts.sum() == weights.size
    assert each.total == pytest.approx(weights.sum(), abs=1e-3)
    assert each.sum_of_squares == pytest.approx((weights**2).sum(), rel=1e-4)
    assert found["gradients/model"].counts.sum() == weights.size


def test_distributions_of_one_value_and_of_none_that_is_finite() -> None:
    module = nn.Linear(2, 2)
    nn.init.constant_(module.weight, 3.0)
    nn.init.constant_(module.bias, 3.0)
    each = distributions(module)["weights/model"]
    assert (each.edges[0], each.edges[-1], each.counts.sum()) == (2.5, 3.5, 6)
    nn.init.constant_(module.weight, float("nan"))
    nn.init.constant_(module.bias, float("inf"))
    assert np.isfinite(distributions(module)["weights/model"].edges).all()


def test_dead_and_saturated_units() -> None:
    first = nn.Conv2d(1, 4, 1)
    with torch.no_grad():
        first.weight.zero_()
        first.bias.copy_(torch.tensor([1.0, -1.0, -1.0, -1.0]))  # three channels of four are dead
    second = nn.Linear(4, 8)
    with torch.no_grad():
        second.weight.zero_()
        second.bias.copy_(torch.tensor([9.0, -9.0, 0, 0, 0, 0, 0, 0]))
    module = nn.Sequential(first, nn.ReLU(), nn.Flatten(), second, nn.Sigmoid())
    found = unit_shares(module, lambda: module(torch.zeros(5, 1, 1, 1)))
    assert found == {"dead/1": 0.75, "saturated/4": 0.25}
    assert not any(part._forward_hooks for part in module.modules())


def test_units_of_tokens_are_features() -> None:
    values = torch.full((2, 3, 4), -1.0)  # [example, token, feature]
    values[1, 2, 0] = 1
    module = nn.Sequential(nn.ReLU())
    assert unit_shares(module, lambda: module(values)) == {"dead/0": 0.75}


@pytest.mark.parametrize(
    ("count", "per_update", "at_once"),
    [(50, 14, 14), (50, 14, 5), (1, 8, 8), (29, 7, 7), (5, 1, 1)],
)
def test_an_epoch_has_every_example_once(count: int, per_update: int, at_once: int) -> None:
    order = Order(3, count, per_update, at_once)
    epoch = order.epoch(1)
    assert len(epoch) == order.updates
    flat = [place for update in epoch for batch in update for place in batch]
    assert sorted(flat) == list(range(count))
    assert epoch == Order(3, count, per_update, at_once).epoch(1)
    if count > 1:
        assert epoch != order.epoch(2)
        assert epoch != Order(4, count, per_update, at_once).epoch(1)
    if at_once > 1 and count > 1:  # nothing for batch normalisation to stumble over
        assert min(len(batch) for update in epoch for batch in update) > 1
    halved = order.halved().epoch(1)
    assert [list(chain(*update)) for update in halved] == [list(chain(*update)) for update in epoch]


def test_seeds_differ_by_seed_purpose_and_place() -> None:
    places = [(seed, what, at) for seed in (0, 1) for what in ("step", "order") for at in range(50)]
    seeds = {number(*place) for place in places}
    assert len(seeds) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeding_repeats_every_generator() -> None:
    def drawn() -> tuple[float, float, float]:
        seed_all(number(1, "step", 2))
        return float(torch.rand(())), random.random(), float(np.random.random())

    assert drawn() == drawn()


def test_a_standing_survives_json() -> None:
    standing = Standing()
    assert Standing.from_json(standing.as_json()) == standing
    for loss in (0.5, 0.4, 0.6, 0.7):
        standing = standing.moved(loss).learned(loss)
    assert (standing.best, standing.best_epoch, standing.stale) == (0.4, 2, 2)
    assert Standing.from_json(standing.as_json()) == standing
    assert standing.done(10, 2)
    assert not standing.done(10, 3)
    assert not standing.done(10, 0)
    assert standing.done(4, 0)


def test_an_epoch_that_does_not_count_is_not_the_best() -> None:
    standing = Standing().learned(0.1, counts=False).learned(0.5)
    assert (standing.best, standing.best_epoch, standing.epoch) == (0.5, 2, 2)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 3e6])
def test_losses_without_hope(loss: float) -> None:
    standing = Standing().moved(2.5)
    assert standing.hopeless(loss)
    assert not standing.hopeless(2e6)
    assert Standing().hopeless(loss) is not math.isfinite(loss)
