"""Rows of tables: from a JSON object to the network's inputs and back to columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import core
from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.registry import method, methods
from core.data.table import MISSING, Feature, read_table
from core.errors import BadInput, BadModel, BadParameter
from core.models.card import ModelCard
from core.models.catalogue import card
from core.models.loaded import LoadedModel
from core.models.reference import ModelRef
from core.models.tabular import TabularAdapter, classification
from core.progress import Meter
from core.tasks import Columns, Example

COLUMNS = (
    Feature("age", mean=40.0, std=10.0, indicator=True),
    Feature("colour", ("blue", "red", "white"), frequencies=(0.5, 0.3, 0.2)),
    Feature("size", mean=2.0, std=4.0),
)
WEIGHTS = torch.tensor(
    [[1.5, -0.5, 0.2, -0.7, 0.4, -2.0], [-0.3, 0.1, 0.9, 0.0, -0.6, 0.5]]
)  # [class, input]: age, age missing, blue, red, white, size
ROW = {"age": 55, "colour": "red", "size": 3.0}
QUICK = {"n_samples": 60, "n_steps": 8, "n_baselines": 3}


class Linear(nn.Module):
    """``logits = W x``: what each input adds is known."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(6, 2, bias=False)
        self.dense.weight.data = WEIGHTS.clone()

    def forward(self, values: Tensor) -> Tensor:
        logits: Tensor = self.dense(values)
        return logits


def loaded(columns: tuple[Feature, ...] = COLUMNS) -> LoadedModel:
    module = Linear().eval()
    adapter = TabularAdapter(("no", "yes"), columns)
    about = card("tabular_mlp")
    return LoadedModel(ModelRef("toy", "0" * 64), about, adapter, torch.device("cpu"), module)


def example(row: Any = None, **changed: Any) -> Example:
    return Example("row", json.dumps(ROW | changed if row is None else row).encode())


def inputs_of(model: LoadedModel, row: Example) -> list[float]:
    """What the network is given."""
    adapter = model.adapter
    given: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            given.append(values)
            return values

    batch = adapter.encode([row], model)
    adapter.logits(Spy(), batch.features)
    return [round(value, 6) for value in given[0][0].tolist()]


def test_a_row_becomes_the_inputs_of_training_in_their_order() -> None:
    assert inputs_of(loaded(), example()) == [1.5, 0, 0, 1, 0, 0.25]
    assert inputs_of(loaded(), example(age=None, colour="blue")) == [0, 1, 1, 0, 0, 0.25]
    assert inputs_of(loaded(), example(age="n/a", colour="green")) == [0, 1, 0, 0, 0, 0.25]


def test_names_of_columns_are_compared_without_case_and_extra_ones_do_not_matter() -> None:
    row = {" AGE ": "55", "Colour": " red ", "size": "3", "note": [1, 2]}
    assert inputs_of(loaded(), example(row)) == inputs_of(loaded(), example())


def test_what_the_row_says_is_told_as_people_write_it() -> None:
    batch = loaded().adapter.encode([example(age=None, size=0.123456789)], loaded())
    assert batch.axes[0] == Columns(("age", "colour", "size"), (MISSING, "red", "0.123457"))
    assert batch.notes == ()


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"colour": "green"}, "'colour' has a value unseen in training: green."),
        ({"age": "old"}, "'age' is no number and taken as missing: old."),
        ({"size": "inf"}, "'size' is no finite number: inf."),
    ],
)
def test_what_the_model_cannot_know_is_told(changed: dict[str, Any], note: str) -> None:
    assert loaded().adapter.encode([example(**changed)], loaded()).notes == (note,)


@pytest.mark.parametrize("data", [b"\x89PNG", b"[1, 2]", b"3", b"{", b'{"a":' * 5_000])
def test_what_is_no_row_gets_a_sentence(data: bytes) -> None:
    with pytest.raises(BadInput, match="no row of a table"):
        loaded().adapter.encode([Example("x.png", data)], loaded())


def test_columns_that_are_missing_are_named_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no column 'colour', 'size'; it has age, weight"):
        loaded().adapter.encode([example({"age": 1, "weight": 2})], loaded())


def test_a_card_without_columns_is_refused() -> None:
    about = card("tabular_mlp")
    raw = {**about.raw, "preprocessing": {"features": []}}
    fields = {name: getattr(about, name) for name in about.__dataclass_fields__}
    with pytest.raises(BadModel, match="names no column"):
        classification(ModelCard(**{**fields, "raw": raw}), Linear())
    with pytest.raises(BadModel, match="does not say which columns"):
        classification(ModelCard(**{**fields, "raw": {"preprocessing": {}}}), Linear())


def test_baselines_are_the_mean_row_zero_and_draws() -> None:
    model = loaded()
    batch = model.adapter.encode([example()], model)
    base = model.adapter.baseline
    mean = base(batch, "mean", 0, None)[0]
    assert mean.tolist() == [[0, 0, 0], pytest.approx([0.5, 0.3, 0.2]), [0, 0, 0]]
    zero = base(batch, "zero", 0, None)[0]
    assert zero.tolist() == [[-4, 0, 0], [0, 0, 0], [-0.5, 0, 0]]
    draws = torch.cat([base(batch, "gaussian", seed, None) for seed in range(400)])
    assert draws[:, 1].sum(dim=1).eq(1).all()
    assert draws[:, 1].mean(dim=0).tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.08)
    assert abs(float(draws[:, 2, 0].mean())) < 0.2
    assert torch.equal(base(batch, "gaussian", 3, None), base(batch, "gaussian", 3, None))
    with pytest.raises(BadParameter, match="mean, zero, gaussian"):
        base(batch, "blur", 0, None)


@pytest.mark.parametrize("name", [each.name for each in methods("columns")])
def test_every_method_on_a_linear_model(name: str) -> None:
    """``w · (x - baseline)`` column by column, for all methods that are in logits."""
    model, each = loaded(), method(name, "columns")
    settings = {p.name: QUICK[p.name] for p in each.parameters if p.name in QUICK}
    asked = {"method": name, "target": "no", "settings": settings}
    if not describe(model).fits[name].usable:
        pytest.fail(f"{name} should fit a linear model")
    (found,) = attribute(model, [example()], asked, 5, Meter())
    (again,) = attribute(model, [example()], asked, 5, Meter())
    assert np.array_equal(found.values, again.values)
    assert found.values.shape == (3,) and np.isfinite(found.values).all()
    weights = WEIGHTS[0]
    against_mean = [1.5 * 1.5, -0.7 - (0.5 * 0.2 - 0.3 * 0.7 + 0.2 * 0.4), -2.0 * 0.25]
    if each.complete and found.delta is not None and name != "lrp":
        drawn = each.name in ("gradient_shap", "deeplift_shap")
        total = found.score - (found.baseline_score or 0.0)
        assert found.values.sum() == pytest.approx(total, abs=1.0 if drawn else 1e-4)
    if name in ("integrated_gradients", "deeplift", "feature_ablation", "shapley_value_sampling"):
        assert found.values == pytest.approx(against_mean, abs=1e-5)
    if name == "input_x_gradient":
        assert found.values == pytest.approx([2.25, -0.7, -0.5], abs=1e-5)
    if name == "saliency":
        parts = (weights[:2], weights[2:5], weights[5:])
        assert found.values == pytest.approx([float(part.norm()) for part in parts], abs=1e-5)


def test_the_sample_model_answers_as_its_card_says() -> None:
    data = core.dataset(card("tabular_mlp"))
    assert (len(data), data.classes) == (142, ("malignant", "benign"))
    answers = core.predict(core.reference("tabular_mlp"), data.examples(range(142)))
    right = [each.top(1)[0] == label for each, label in zip(answers, data.labels, strict=True)]  # type: ignore[arg-type]
    assert np.mean(right) == card("tabular_mlp").raw["metrics"]["accuracy"]


def test_shares_of_categories_are_learned_and_kept_with_the_model(tmp_path: Path) -> None:
    path = tmp_path / "cars.csv"
    rows = [f"{n % 7},{'red' if n % 4 else 'blue'},{'ab'[n % 2]}" for n in range(80)]
    path.write_text("\n".join(["size,colour,label", *rows]), encoding="utf-8")
    table = read_table(path)
    colour = table.features[1]
    assert colour.categories == ("blue", "red")
    assert colour.frequencies == pytest.approx((0.25, 0.75), abs=0.06)
    assert sum(colour.frequencies) == pytest.approx(1)
