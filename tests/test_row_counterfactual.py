"""The smallest changes of a row: on a linear model they are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from core.codec import decode, encode
from core.counterfactual.find import counterfactual
from core.data.dataset import dataset
from core.data.table import Feature
from core.errors import BadParameter, NotValid, UnknownName
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.predict import predict
from core.models.reference import ModelRef
from core.models.tabular import TabularAdapter
from core.progress import Meter
from core.results import Counterfactual
from core.tasks import Example

COLUMNS = (
    Feature("height", mean=170.0, std=10.0, indicator=True),
    Feature("colour", ("blue", "red", "white")),
    Feature("children", mean=2.0, std=1.5),
    Feature("weight", mean=70.0, std=12.0),
)
# The logit of "yes": height, height missing, blue, red, white, children, weight; "no" is 0.
WEIGHTS = torch.tensor([0.8, -0.5, -1.0, 1.5, 0.0, 0.6, -1.2])
ROW = {"Height": 171.5, "colour": "blue", "children": 2, "weight": 73.0, "note": "kept"}


class Linear(nn.Module):
    """``no`` is 0 and ``yes`` a weighted sum."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(values)), values @ WEIGHTS], dim=1)


def linear() -> LoadedModel:
    about = replace(card("tabular_mlp"), classes=("no", "yes"))
    adapter = TabularAdapter(("no", "yes"), COLUMNS)
    return LoadedModel(
        ModelRef("toy", "0" * 64), about, adapter, torch.device("cpu"), Linear().eval()
    )


def example(**changed: Any) -> Example:
    return Example("mine", json.dumps(ROW | changed).encode())


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "people.csv"
    count = 200
    heights = random.normal(170, 10, count).round(1)
    heights[::20] = np.nan
    pd.DataFrame(
        {
            "height": heights,
            "colour": random.choice(["blue", "red", "white"], count),
            "children": random.integers(0, 6, count),
            "weight": random.normal(70, 12, count).round(2),
        }
    ).to_csv(path, index=False)
    return path


def found(table: Path, row: Example, **asked: Any) -> Counterfactual:
    return counterfactual(linear(), (row,), {"path": str(table), **asked}, 0, Meter())


def margin(row: Example) -> float:
    said = predict(linear(), (row,), {}, 0, Meter())[0]
    return float(said.logits[1] - said.logits[0])


@pytest.mark.parametrize("free", ["height", "weight"])
def test_one_column_of_a_linear_model_is_the_closed_form(table: Path, free: str) -> None:
    keep = [each.name for each in COLUMNS if each.name != free]
    (change,) = found(table, example(), keep=keep).found
    weight = float(WEIGHTS[0 if free == "height" else 6])
    assert change.columns == (free,)
    assert change.step[0] == pytest.approx(-margin(example()) / weight, abs=2e-3)
    assert change.distance == pytest.approx(abs(change.step[0]))
    row = json.loads(change.row)
    assert row["note"] == "kept" and set(row) == set(ROW)
    after = margin(Example("row", change.row.encode()))
    assert 0 < after < 3e-3  # on the border, on its other side: a step of rounding is 0.001
    assert change.answer == 1 and change.probabilities[1] >= 0.5


def test_every_change_gets_the_other_answer_and_stays_within_the_data(table: Path) -> None:
    frame = pd.read_csv(table)
    for changed in ({}, {"Height": None}, {"colour": "red", "weight": 30.0}, {"children": 5}):
        row = example(**changed)
        result = found(table, row, count=10)
        before = margin(row)
        assert result.found and len({each.columns for each in result.found}) == len(result.found)
        sizes = [len(each.columns) for each in result.found]
        assert sizes == sorted(sizes)
        for each in result.found:
            new = json.loads(each.row)
            assert margin(Example("row", each.row.encode())) * before < 0
            for name in ("height", "children", "weight"):
                key = "Height" if name == "height" else name
                if name in each.columns:
                    assert frame[name].min() <= new[key] <= frame[name].max()
                else:
                    assert new[key] == json.loads(row.data)[key]
            assert isinstance(new["children"], int)
            switched = np.isnan(each.step)
            assert each.distance == pytest.approx(
                np.abs(each.step[~switched]).sum() + switched.sum(), rel=1e-5
            )


def test_a_category_is_a_switch(table: Path) -> None:
    (change,) = found(table, example(), keep=["height", "children", "weight"]).found
    assert (change.was, change.now) == (("blue",), ("red",))
    assert np.isnan(change.step[0]) and change.distance == 1


def test_columns_that_are_kept_never_change(table: Path) -> None:
    for keep in (["Weight"], ["colour", " height "], ["children"]):
        result = found(table, example(), keep=keep, count=20)
        kept = {name.strip().lower() for name in keep}
        assert result.found and set(result.kept) == kept
        assert not kept & {name for each in result.found for name in each.columns}


def test_a_single_column_is_as_near_as_a_scan_of_its_values_finds() -> None:
    model = load(reference("two_features"), "cpu")
    data = dataset(model.card)
    for place in (0, 5, 9):
        row = data[place]
        result = counterfactual(model, (row,), {}, 0, Meter())
        values = {name: float(value) for name, value in json.loads(row.data).items()}
        for each in model.adapter.columns:
            line = data.columns[each.name].astype(float)
            scan = np.linspace(line.min(), line.max(), 600)
            rows = [
                Example("row", json.dumps(values | {each.name: value}).encode()) for value in scan
            ]
            said = np.array(
                [one.top(1)[0] for one in predict(model, rows, {}, 0, Meter())], np.int64
            )
            turned = scan[said != result.before.top(1)[0]]
            steps = np.abs(turned - values[each.name]) / each.std
            singles = [one for one in result.found if one.columns == (each.name,)]
            assert len(singles) == bool(len(steps))
            if singles:
                fine = (scan[1] - scan[0]) / each.std + 1e-3
                assert singles[0].distance == pytest.approx(steps.min(), abs=fine)


def test_what_is_impossible_is_said(table: Path) -> None:
    far = example()
    none = found(table, far, keep=["height", "colour", "weight", "children"])
    assert not none.found and none.reason == "Every column is kept, so nothing can change."
    little = found(table, example(weight=900), keep=["weight"])
    assert not little.found
    assert "answered anything but 'no' to none of" in little.reason
    assert little.reason.endswith("Let more columns change.")
    assert found(table, example(), to="No").reason == "The answer is 'no' already."
    assert found(table, example(), to="yes").found


def test_what_is_asked_wrongly_is_said(table: Path) -> None:
    with pytest.raises(UnknownName, match=r"no column .weigth.\. Did you mean .weight."):
        found(table, example(), keep=["weigth"])
    with pytest.raises(UnknownName, match="no class 'maybe'"):
        found(table, example(), to="maybe")
    with pytest.raises(BadParameter, match="'count' is 0"):
        found(table, example(), count=0)
    texts = load(reference("text_rnn"), "cpu")
    with pytest.raises(NotValid, match="does not read tables"):
        counterfactual(texts, (Example("text", b"A game."),), {}, 0, Meter())


def test_it_is_stored_and_comes_out_the_same(table: Path) -> None:
    result = found(table, example())
    again = decode(encode(result))
    assert [each.row for each in again.found] == [each.row for each in result.found]
    assert found(table, example()).found[0].row == result.found[0].row
