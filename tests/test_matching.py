"""A stranger's table beside a model's columns, and labels in another coding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import core
from core.data.asread import by_hand, check
from core.data.coding import coding
from core.data.columns import UnknownColumn
from core.data.dataset import dataset, open_dataset
from core.data.matching import as_read, matched, told
from core.data.table import Feature
from core.models.catalogue import card
from dashboard.commands import inputs

FEATURES = (Feature("mean radius"), Feature("colour", ("red", "blue", "3")), Feature("size"))
ROWS = [
    {"Mean_Radius": "1,5", "colour": "red", "note": "a"},
    {"Mean_Radius": "n/a", "colour": "green", "note": "b"},
    {"Mean_Radius": "old", "colour": 3.0, "note": None},
    {"Mean_Radius": 2, "colour": None, "note": None},
]


def test_columns_find_each_other_and_what_is_read_is_told() -> None:
    radius, colour, size = matched(FEATURES, ROWS)
    assert (radius.source, radius.kind) == ("Mean_Radius", "number")
    assert (radius.missing, radius.unknown) == (1, 1)
    assert "a like name; 2 of 4 values are numbers" in radius.why
    assert (colour.source, colour.kind, colour.missing, colour.unknown) == (
        "colour",
        "category",
        1,
        1,
    )
    assert (size.source, size.missing, size.why) == ("", 4, "no such column")
    assert told((radius, colour, size), ROWS) == [
        "It has no column 'size', which the model reads: taken as missing unless you say where to "
        "read it from.",
        "Read under another name: Mean_Radius as mean radius.",
        "Values that the model cannot know: mean radius (1), colour (1).",
        "The model does not read column 'note'.",
    ]


def test_rows_are_as_the_model_reads_them() -> None:
    assert as_read(matched(FEATURES, ROWS), ROWS) == [
        {"mean radius": 1.5, "colour": "red", "size": None},
        {"mean radius": None, "colour": "green", "size": None},
        {"mean radius": None, "colour": "3", "size": None},
        {"mean radius": 2.0, "colour": None, "size": None},
    ]


def test_a_person_knows_better() -> None:
    by_hand = {
        "size": ("Mean_Radius", "number"),
        "colour": ("colour", "ignored"),
        "mean radius": ("no such", "nonsense"),
    }
    radius, colour, size = matched(FEATURES, ROWS, by_hand)
    assert (radius.source, radius.kind) == ("", "number")
    assert (colour.kind, size.source, size.why.partition(";")[0]) == (
        "ignored",
        "Mean_Radius",
        "by hand",
    )
    assert as_read((radius, colour, size), ROWS)[0] == {
        "mean radius": None,
        "colour": None,
        "size": 1.5,
    }


def test_two_columns_of_a_like_name_are_nobodys() -> None:
    rows = [{"mean_radius": 1, "MEAN-RADIUS": 2}]
    assert matched(FEATURES[:1], rows)[0].source == ""
    assert matched(FEATURES[:1], [{**rows[0], "mean radius": 3}])[0].source == "mean radius"
    assert matched((), []) == () and as_read((), []) == [] and told((), []) == []


@pytest.mark.parametrize(
    ("given", "classes", "expected"),
    [
        (("Benign", "MALIGNANT"), ("malignant", "benign"), [1, 0]),
        (("benign", "other"), ("malignant", "benign"), [1, -1]),
        (("0", "1"), ("malignant", "benign"), [0, 1]),
        (("0.0", "2.0"), ("a", "b", "c"), [0, 2]),
        (("1", "2"), ("malignant", "benign"), [0, 1]),
        (("1", "2"), ("a", "b", "c"), [-1, -1]),  # from 0 or from 1?
        (("0", "3"), ("a", "b", "c"), [-1, -1]),
        (("False", "True"), ("yes", "no"), [1, 0]),
        (("0", "1"), ("yes", "no"), [1, 0]),
        (("1", "true"), ("yes", "no"), [-1, -1]),
        (("5", "6"), ("0", "1"), [-1, -1]),
        (("no", "maybe"), ("n", "y"), [-1, -1]),
        ((), ("a", "b"), []),
    ],
)
def test_labels_in_another_coding(
    given: tuple[str, ...], classes: tuple[str, ...], expected: list[int]
) -> None:
    found, said = coding(given, classes)
    assert found.tolist() == expected
    assert bool(said) is (bool(given) and min(expected) >= 0 and given[0].lower() not in classes)


def test_numbered_labels_of_a_table_are_the_models_classes_and_told(tmp_path: Path) -> None:
    data = core.dataset(card("two_features"))
    names = list(data.columns)[:2]
    rows = [json.loads(each.data) for each in data.examples(range(len(data)))]
    labels = np.asarray(data.labels)
    lines = [",".join([*names, "label"])]
    lines += [
        f"{row[names[0]]},{row[names[1]]},{label}" for row, label in zip(rows, labels, strict=True)
    ]
    path = tmp_path / "points.csv"
    path.write_text("\n".join(lines))
    own = core.dataset(card("two_features"), path)
    np.testing.assert_array_equal(np.asarray(own.labels), labels)
    assert "labels in another coding: 0 is upper moon, 1 is lower moon" in own.notes


def test_a_table_on_the_command_line_is_rows_as_the_model_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("First_Feature;note\n1,5;a\nx;b\n")
    found, notes = inputs.given(card("two_features"), [str(path)])
    assert [each.name for each in found] == ["mine-1.json", "mine-2.json"]
    row = {"first feature": 1.5, "second feature": None}
    assert json.loads(found[0].data) == row
    assert json.loads(found[1].data) == dict.fromkeys(row)
    assert any("no column 'second feature'" in note for note in notes)


def table(path: Path, rename: dict[str, str]) -> tuple[Path, list[dict[str, Any]]]:
    """Rows of the sample model's data as a CSV, with some columns called otherwise."""
    shipped = dataset(card("tabular_mlp"))
    rows = [json.loads(each.data) for each in shipped.examples(range(30))]
    assert shipped.labels is not None
    frame = pd.DataFrame(rows).rename(columns=rename)
    frame["diagnosis"] = [shipped.classes[label] for label in shipped.labels[:30]]
    frame.to_csv(path, index=False)
    return path, rows


def test_data_under_other_names_are_read_all_the_same(tmp_path: Path) -> None:
    about = card("tabular_mlp")
    path, rows = table(tmp_path / "a.csv", {"mean radius": "MEAN_RADIUS", "mean area": "Area"})
    found = dataset(about, path, label="diagnosis")
    record = json.loads(found[3].data)
    assert record["mean radius"] == float(rows[3]["mean radius"])
    assert record["mean area"] is None
    assert "MEAN_RADIUS as mean radius" in " ".join(found.notes)
    assert "no column 'mean area'" in " ".join(found.notes)
    said = json.dumps({"mean area": ["Area", "number"]})
    better = dataset(about, path, text=said, label="diagnosis")
    whole = [json.loads(each.data) for each in better.examples(range(30))]
    assert whole == [{name: float(value) for name, value in row.items()} for row in rows]
    assert better.fingerprint != found.fingerprint
    again = open_dataset(better.ref)
    assert again[3] == better[3]
    assert by_hand("nonsense") == by_hand("[1]") == by_hand('{"a": 3}') == {}


def test_data_with_their_own_names_stay_as_they_are(tmp_path: Path) -> None:
    path, rows = table(tmp_path / "a.csv", {})
    found = dataset(card("tabular_mlp"), path, label="diagnosis")
    assert {"diagnosis", *rows[0]} - set(json.loads(found[0].data)) == {"diagnosis"}
    assert "reads" not in " ".join(found.notes)
    check(found, card("tabular_mlp"))
    (tmp_path / "b.csv").write_text("u,v,label\n1,2,a\n")
    with pytest.raises(UnknownColumn, match="none of the columns that the model reads") as caught:
        check(dataset(card("tabular_mlp"), tmp_path / "b.csv"), card("tabular_mlp"))
    assert caught.value.columns == ("u", "v")
