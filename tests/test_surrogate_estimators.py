"""Trees in place of models that read raw values, and what would change their answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.activations.capture import capture
from core.counterfactual.find import counterfactual
from core.data.dataset import dataset
from core.models.predict import predict
from core.progress import Meter
from core.surrogate.fit import surrogate
from core.tasks import Example
from tests.test_estimators import fitted, opened, people

io = pytest.importorskip("skops.io")


def test_an_estimator_with_gaps_and_categories(tmp_path: Path) -> None:
    io.dump(fitted(), tmp_path / "people.skops")
    people()[0].to_csv(tmp_path / "people.csv", index=False)
    model = opened(tmp_path / "people.skops")
    data = dataset(model.card, tmp_path / "people.csv")
    found = capture(model, data, tmp_path / "capture")
    asked = {"capture": str(found.folder), "min_leaf": 1}
    tree = surrogate(model, (data[0],), asked, 0, Meter())
    assert tree.measure("fidelity").value > tree.measure("commonest").value
    assert any(name.startswith("colour = ") for name in tree.features)
    assert {name for name in tree.features if " = " not in name} == {"age", "size"}
    row = {"age": 31.5, "colour": "blue", "size": 2.25}
    one = Example("row", json.dumps(row).encode())
    result = counterfactual(
        model, (one,), {"path": str(tmp_path / "people.csv"), "count": 6}, 0, Meter()
    )
    before = result.before.top(1)[0]
    assert ("colour",) in [each.columns for each in result.found]
    for each in result.found:
        after = predict(model, (Example("new", each.row.encode()),), {}, 0, Meter())[0]
        assert after.top(1)[0] == each.answer != before
        changed = {name for name, value in json.loads(each.row).items() if value != row[name]}
        assert changed == set(each.columns)
        if each.columns == ("age",):  # the forest's own rule is about 40 years
            assert np.isfinite(each.step[0]) and each.distance < 1.5
