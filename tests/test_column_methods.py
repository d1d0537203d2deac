"""What every method promises on rows of tables, as on pictures: finite values, seeds, batches, a
model left as it was, progress, cancelling, and an honest price.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from test_attribution_contract import state
from test_tabular_adapter import COLUMNS, QUICK, example
from torch import nn

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.registry import method, methods
from core.errors import Cancelled
from core.models.catalogue import card
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.tabular import TabularAdapter
from core.progress import Meter
from core.results import Attribution

NAMES = [each.name for each in methods("columns")]


@cache
def network() -> LoadedModel:
    """A small dense network over a number that may be missing, a category and a number."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    adapter = TabularAdapter(("a", "b", "c"), COLUMNS)
    about = card("tabular_mlp")
    return LoadedModel(ModelRef("toy", "0" * 64), about, adapter, torch.device("cpu"), module)


def run(
    name: str, *rows: dict[str, Any], seed: int = 3, meter: Meter | None = None
) -> tuple[Attribution, ...]:
    settings = {
        p.name: QUICK[p.name] for p in method(name, "columns").parameters if p.name in QUICK
    }
    asked = {"method": name, "target": "top2", "settings": settings}
    inputs = [example(**row) for row in rows or ({},)]
    return attribute(network(), inputs, asked, seed, meter or Meter())


def test_all_that_fit_rows_are_declared() -> None:
    assert {"integrated_gradients", "deeplift", "lrp", "shapley_value_sampling", "lime"} <= {*NAMES}
    assert not {"grad_cam", "occlusion", "guided_backprop", "attention_rollout"} & {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_values_seeds_and_batches(name: str) -> None:
    assert describe(network()).fits[name].usable
    rows: list[dict[str, Any]] = [{}, {"age": None, "colour": "white"}]
    together = run(name, *rows)
    assert [len(each.values) for each in together] == [3] * 4
    assert all(each.values.dtype == np.float32 for each in together)
    assert all(np.isfinite(each.values).all() and np.ptp(each.values) > 0 for each in together)
    for one, other in zip(together, [*run(name, rows[0]), *run(name, rows[1])], strict=True):
        assert one.target == other.target
        np.testing.assert_array_equal(one.values, other.values)
    other = run(name, rows[0], seed=4)
    assert np.array_equal(other[0].values, together[0].values) is not method(name).stochastic
    if not method(name, "columns").signed:
        assert min(each.values.min() for each in together) >= 0
    if method(name).complete:
        for each in together:
            gain = each.score - float(each.baseline_score or 0)
            total = float(each.values.sum(dtype="float64"))
            assert each.delta == pytest.approx(total - gain, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_left_as_it_was_also_when_cancelled(name: str) -> None:
    loaded = network()
    describe(loaded)
    before = state(loaded._module)
    asked: list[int] = []
    meter = Meter(cancelled=lambda: bool(asked.append(1)))
    whole = run(name, meter=meter)[0].values
    assert meter.done > 0
    assert state(loaded._module) == before
    for stop in (0, len(asked) - 1):
        left = iter([False] * stop)
        with pytest.raises(Cancelled):
            run(name, meter=Meter(cancelled=lambda left=left: next(left, True)))  # type: ignore[misc]
        assert state(loaded._module) == before
    np.testing.assert_array_equal(run(name)[0].values, whole)


@pytest.mark.parametrize("name", NAMES)
def test_the_price_is_what_is_spent(name: str) -> None:
    describe(network())
    meter = Meter()
    found = run(name, meter=meter)
    cost = method(name, "columns").cost(found[0].settings, found[0].axis)
    # Two targets share the prediction and, where nothing but the model is called, all the rest.
    assert meter.done <= 2 * (cost.forward + cost.backward) + 2
    assert meter.done >= cost.forward + cost.backward - 2
