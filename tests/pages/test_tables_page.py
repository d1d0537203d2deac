"""A table of one's own on the Attribution page, and models of tables on every page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.data.kept import InHand, keep_data
from core.models.catalogue import card
from core.workspace import Workspace
from dashboard import cached
from tests.pages.driving import opened, param, settle, words

TABLE = b"First_Feature;second feature;note\n1,5;-0.2;a\nx;0.4;b\n"


def specs(app: Any) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def plain(**query: str) -> str:
    return words(opened(**query)).replace("\\", "")


def test_a_table_of_ones_own_is_read_told_and_picked_from() -> None:
    app = opened(model="two_features")
    uploader = next(each for each in app.file_uploader if each.label == "A table of rows")
    uploader.set_value(("mine.csv", TABLE, "text/csv"))
    settle(app)
    said = words(app).replace("\\", "")
    assert "**mine.csv** · 2 rows" in said
    assert "Read under another name: First_Feature as first feature." in said
    assert "Values that the model cannot know: first feature (1)." in said
    assert "The model does not read column 'note'." in said
    reading = next(each.value for each in app.dataframe if "Read from" in each.value)
    assert list(reading["Read from"]) == ["First_Feature", "second feature"]
    assert list(reading["Unknown"]) == [1, 0]  # what may want a correction comes first
    app.session_state["rows:table"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    assert not app.exception


def test_a_correction_in_the_address_is_taken_and_nonsense_is_not() -> None:
    kept = cached.keep_upload("mine.csv", TABLE)
    asked = json.dumps({"second feature": ["First_Feature", "number"]})
    said = plain(model="two_features", table=kept, column=asked)
    assert "First_Feature as second feature" in said
    for nonsense in ("{", '{"a": 3}', "[1]"):
        said = plain(model="two_features", table=kept, column=nonsense)
        assert "Read under another name: First_Feature as first feature." in said


def test_a_row_by_row_waterfall_is_the_first_screen() -> None:
    app = opened(model="tabular_mlp")
    assert any(t["type"] == "waterfall" for spec in specs(app) for t in spec["data"])
    assert [len(each.value) for each in app.dataframe if "Delta" in each.value] == [3]


def test_overview_says_what_the_columns_are() -> None:
    app = opened("views/overview.py", model="tabular_mlp")
    table = next(each.value for each in app.dataframe if "Read as" in each.value)
    assert len(table) == 30 and set(table["Read as"]) == {"number"}
    features = card("tabular_mlp").raw["preprocessing"]["features"]
    assert table["Mean"].tolist() == [f"{each['mean']:.4g}" for each in features]


@pytest.fixture
def people_file(tmp_path: Path) -> str:
    io = pytest.importorskip("skops.io")
    from test_estimators import fitted, people

    path = tmp_path / "people.skops"
    io.dump(fitted(), path)
    frame, labels = people()
    frame.assign(label=labels).to_csv(path.with_suffix(".csv"), index=False)
    return str(path)


@pytest.mark.slow
def test_an_estimators_file_is_explained(people_file: str) -> None:
    app = opened(model=people_file)
    assert param(app, "model") == [people_file]
    assert any(t["type"] == "waterfall" for spec in specs(app) for t in spec["data"])
    assert "has no layers" in words(opened("views/layers.py", model=people_file))


@pytest.mark.slow
def test_an_estimators_file_is_a_model_of_other_pages(people_file: str) -> None:
    said = words(opened("views/overview.py", model=people_file))
    assert "RandomForestClassifier" in said
    app = opened("views/evaluation.py", model=people_file)
    assert app.metric[0].value.endswith("%")


def test_data_whose_columns_are_called_otherwise_are_matched(place: Workspace) -> None:
    rows = "".join(f"{n / 9:.3f},{-n / 7:.3f},{'ab'[n % 2]}\n" for n in range(12))
    kept = keep_data(place, "mine.csv", f"A,B,label\n{rows}".encode())
    app = opened("views/evaluation.py", model="two_features", data=kept.key)
    said = words(app).replace("\\", "")
    assert "none of the columns that the model reads: 'first feature', 'second feature'" in said
    reading = next(each.value for each in app.dataframe if "Read from" in each.value)
    assert list(reading["Read from"]) == ["(nowhere)", "(nowhere)"]
    by_hand = {"first feature": ["A", "number"], "second feature": ["B", "number"]}
    data = str(InHand(kept.key, json.dumps(by_hand)))
    app = opened("views/evaluation.py", model="two_features", data=data)
    assert not [each for each in app.warning if "columns" in each.value]
    found = cached.survey("two_features", data)
    assert found is not None
    assert found.examples == 12
    assert "Read under another name: A as first feature, B as second feature." in found.notes
