"""Tables of every common kind as inputs of a network, and what is wrong in them in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.columns import read_columns
from core.data.table import Table, encode, features_from, read_table
from core.errors import BadInput

Write = Callable[[pd.DataFrame, Path], Any]


def example_frame(rows: int = 200) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": range(rows),
            "height": np.round(generator.normal(170, 9, rows), 3),
            "legs": generator.integers(2, 9, rows),
            "colour": generator.choice(["red", "green", "blue"], rows),
            "label": generator.choice(["cat", "dog"], rows),
        }
    )
    frame.loc[4:9, "height"] = np.nan
    frame.loc[[10, 11], "colour"] = None
    return frame


WRITERS: dict[str, Write] = {
    "comma.csv": lambda frame, path: frame.to_csv(path, index=False),
    "tab.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "bars.txt": lambda frame, path: frame.to_csv(path, index=False, sep="|"),
    "german.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=","),
    "sixteen.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-16"),
    "marked.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig"),
    "crlf.csv": lambda frame, path: frame.to_csv(path, index=False, lineterminator="\r\n"),
    "lines.jsonl": lambda frame, path: frame.to_json(
        path, orient="records", lines=True, double_precision=15
    ),
    "table.parquet": lambda frame, path: frame.to_parquet(path),
    "wrong-name.csv": lambda frame, path: frame.to_parquet(path),
}


def fingerprints(table: Table) -> list[str]:
    return [part.fingerprint() for part in table.splits.values()]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_inputs(tmp_path: Path, name: str) -> None:
    frame = example_frame()
    WRITERS["comma.csv"](frame, tmp_path / "first.csv")
    WRITERS[name](frame, tmp_path / name)
    first, table = read_table(tmp_path / "first.csv"), read_table(tmp_path / name)
    assert fingerprints(table) == fingerprints(first)
    assert table.classes == ("cat", "dog")
    assert "column 'id' left out: it only numbers the rows" in table.notes
    assert table.inputs == (
        "height",
        "height = (missing)",
        "legs",
        *(f"colour = {value}" for value in ("(missing)", "blue", "green", "red")),
    )


def test_values_follow_from_the_training_part_alone(tmp_path: Path) -> None:
    frame = example_frame()
    frame["split"] = np.where(np.arange(200) < 150, "train", "val")
    frame.loc[160, "height"] = 1e6  # must not move the mean
    frame.loc[161, "colour"] = "violet"  # never seen in training
    frame.to_csv(tmp_path / "data.csv", index=False)
    table = read_table(tmp_path / "data.csv")
    assert {name: len(part) for name, part in table.splits.items()} == {"train": 150, "val": 50}
    height = frame["height"].to_numpy()
    mean, std = np.nanmean(height[:150]), np.nanstd(height[:150])
    expected = np.where(np.isnan(height), 0, (height - mean) / std).astype(np.float32)
    got = np.concatenate([part.values for part in table.splits.values()])
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-6)
    assert got[:, 1].tolist() == np.isnan(height).astype(float).tolist()
    colours = ["(missing)", "blue", "green", "red"]
    given = frame["colour"].fillna("(missing)")
    assert got[:, 3:].tolist() == [[float(value == each) for each in colours] for value in given]
    assert not got[161, 3:].any()


def test_batches_and_labels(tmp_path: Path) -> None:
    example_frame().to_csv(tmp_path / "data.csv", index=False)
    part = read_table(tmp_path / "data.csv").splits["train"]
    values, labels = part.__getitems__([3, 0, 3])
    assert values.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert torch.equal(values, torch.from_numpy(part.values[[3, 0, 3]]))
    assert labels.tolist() == part.labels[[3, 0, 3]].tolist()


def test_features_survive_a_card(tmp_path: Path) -> None:
    frame = example_frame()
    frame.to_csv(tmp_path / "data.csv", index=False)
    table = read_table(tmp_path / "data.csv")
    card = json.loads(json.dumps(table.preprocessing()))
    assert features_from(card) == table.features
    assert card["label"] == "label"
    again = encode(features_from(card), frame)
    assert sorted(map(bytes, again)) == sorted(
        bytes(row) for part in table.splits.values() for row in part.values
    )
    with pytest.raises(BadInput, match=r"The table has no column 'legs'. Its columns are 'id'"):
        encode(features_from(card), frame.drop(columns="legs"))


def test_fingerprint_follows_content_and_seed(tmp_path: Path) -> None:
    frame = example_frame()
    frame.to_csv(tmp_path / "data.csv", index=False)
    first = fingerprints(read_table(tmp_path / "data.csv", seed=1))
    assert first == fingerprints(read_table(tmp_path / "data.csv", seed=1))
    assert first != fingerprints(read_table(tmp_path / "data.csv", seed=2))
    frame.loc[50, "legs"] += 1
    frame.to_csv(tmp_path / "data.csv", index=False)
    assert first != fingerprints(read_table(tmp_path / "data.csv", seed=1))


def test_folder_with_a_file_for_each_part(tmp_path: Path) -> None:
    frame = example_frame()
    frame[:120].to_csv(tmp_path / "train.csv", index=False)
    frame[120:160].to_parquet(tmp_path / "validation.parquet")
    frame[160:].to_json(tmp_path / "test.jsonl", orient="records", lines=True)
    table = read_table(tmp_path)
    sizes = {name: len(part) for name, part in table.splits.items()}
    assert sizes == {"train": 120, "val": 40, "test": 40}
    (tmp_path / "validation.parquet").unlink()
    sizes = {name: len(part) for name, part in read_table(tmp_path).splits.items()}
    assert sizes == {"train": 108, "val": 12, "test": 40}


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    WRITERS["table.parquet"](example_frame(), tmp_path / "data.parquet")
    WRITERS["comma.csv"](example_frame(), tmp_path / "data.csv")
    for name in ("data.parquet", "data.csv"):
        columns = read_columns(tmp_path / name, lambda names: ["legs"])
        assert list(columns.frame.columns) == ["legs"]
        assert read_table(tmp_path / name, features=["legs"]).inputs == ("legs",)


def test_many_categories_identifiers_and_empty_columns(tmp_path: Path) -> None:
    rows = 300
    frame = pd.DataFrame(
        {
            "town": [f"town {(i * i) % 100 % 77:02}" for i in range(rows)],
            "name": [f"person {i}" for i in range(rows)],
            "nothing": [""] * rows,
            "same": [5] * rows,
            "size": [str(i % 7) for i in range(rows)],
            "label": ["a", "b", "c"] * (rows // 3),
        }
    )
    frame.loc[3, "size"] = "n.a."
    frame.to_csv(tmp_path / "data.csv", index=False)
    table = read_table(tmp_path / "data.csv", max_categories=5, held_out={"val": 0.1}, seed=4)
    town, size = table.features
    assert len(town.categories) == 5
    assert town.categories[-1] == "(other)"
    assert table.splits["train"].values[:, :5].sum(axis=1).tolist() == [1.0] * 270
    assert size.name == "size"
    said = " | ".join(table.notes)
    assert "column 'name' left out: nearly every row has a text of its own" in said
    assert "column 'nothing' left out: it is empty" in said
    assert "column 'same' left out: all its values are the same" in said
    assert "1 value that no finite number is taken as missing (the first: 'n.a.')" in said


def test_columns_without_or_with_equal_names(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5},{i % 3},{i % 2}\n" for i in range(60))
    table = read_table(written(tmp_path / "plain.csv", rows), label="column 3")
    assert table.inputs == ("column 1", "column 2")
    assert "has no header" in table.notes[0]
    assert sum(map(len, table.splits.values())) == 60
    twice = read_table(
        written(
            tmp_path / "twice.csv",
            "x,x,,class\n"
            + rows.replace(",", ",7,", 1).replace("\n", ",k\n").replace("0,7,", "0,", 1),
        ),
        label="column 3",
    )
    assert twice.inputs == ("x", "x (2)")


def test_ragged_rows_are_skipped_up_to_a_share(tmp_path: Path) -> None:
    rows = [f"{i},{i % 3},{'ab'[i % 2]}" for i in range(100)]
    rows[7], rows[30] = "1,2", "1,2,3,4"
    path = written(tmp_path / "ragged.csv", "x,y,label\n" + "\n".join(rows))
    table = read_table(path)
    assert sum(map(len, table.splits.values())) == 98
    assert table.skipped == (
        "ragged.csv, row 8: 2 fields, expected 3",
        "ragged.csv, row 31: 4 fields, expected 3",
    )
    with pytest.raises(BadInput, match=r"2 rows of 100 in 'ragged.csv' cannot be read, at most 1%"):
        read_table(path, max_skipped=0.01)


def test_lines_that_are_not_json_are_skipped(tmp_path: Path) -> None:
    lines = [json.dumps({"x": i, "deep": {"a": i % 2}, "label": "ab"[i % 2]}) for i in range(50)]
    lines[5], lines[9] = "{broken", "[1, 2]"
    table = read_table(written(tmp_path / "data.jsonl", "\n".join(lines)))
    assert table.skipped == (
        "data.jsonl, line 6: not a JSON object",
        "data.jsonl, line 10: not a JSON object",
    )
    assert table.inputs[0] == "x"


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    rows = "".join(f"{i},{('a', 'b', '')[i % 3]}\n" for i in range(90))
    table = read_table(written(tmp_path / "data.csv", "x,label\n" + rows))
    assert sum(map(len, table.splits.values())) == 60
    assert table.classes == ("a", "b")
    assert "30 rows without a label skipped" in table.notes


def test_whole_numbers_stay_whole_as_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": range(40), "label": [2.0, 10.0] * 20})
    frame.to_parquet(tmp_path / "data.parquet")
    assert read_table(tmp_path / "data.parquet").classes == ("2", "10")


def test_types_of_parquet(tmp_path: Path) -> None:
    rows = 40
    frame = pd.DataFrame(
        {
            "whole": pd.array([None, *range(1, rows)], dtype="Int64"),
            "flag": [bool(i % 2) for i in range(rows)],
            "kind": pd.Categorical([f"k{i % 3}" for i in range(rows)]),
            "price": [Decimal(i) / 4 for i in range(rows)],
            "list": [[i] for i in range(rows)],
            "label": [bool(i % 2) for i in range(rows)],
        },
        index=pd.Index([i % 9 for i in range(rows)], name="nine"),
    )
    frame.to_parquet(tmp_path / "data.parquet")
    table = read_table(tmp_path / "data.parquet")
    assert table.classes == ("false", "true")
    assert table.inputs == (
        *("whole", "whole = (missing)"),
        *("flag = false", "flag = true"),
        *("kind = k0", "kind = k1", "kind = k2"),
        *("price", "nine"),
    )
    assert "columns of lists or objects left out: 'list'" in table.notes


TABLE = "x,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(30))
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"'data.csv' is empty \(0 bytes\)"),
    "blank lines": (b"\n\n\n", "'data.csv' has no header"),
    "header alone": (b"x,label\n", "'data.csv' has no rows below its header"),
    "no label": (TABLE.encode(), "has no column 'label'. Its columns are 'x', 'kind'"),
    "one class": (b"x,label\n" + b"1,a\n2,a\n" * 9, r"has only one class \('a'\)"),
    "no classes": (
        b"x,label\n" + b"".join(b"1,%d.5\n" % i for i in range(99)),
        "The column 'label' of 'data.csv' has 99 different values in 99 rows: these are no classes",
    ),
    "empty labels": (b"x,label\n1,\n2,\n", "The column 'label' of 'data.csv' is empty"),
    "nothing to learn from": (b"label\na\nb\n" * 1 + b"a\nb\n" * 9, "no column to learn from"),
    "unseen": (
        b"x,label,split\n" + b"1,a,train\n2,b,train\n" * 5 + b"1,c,val\n",
        "'data.csv': the label 'c' occurs in val and not in train",
    ),
    "unknown part": (
        b"x,label,split\n" + b"1,a,train\n2,b,perhaps\n" * 5,
        "The column 'split' of 'data.csv' says 'perhaps', expected train, val or test",
    ),
    "too few": (b"x,label\n1,a\n2,b\n", "2 examples of 2 classes are too few"),
    "ragged": (b"x,label\n" + b"1,a\n2\n" * 9, "9 rows of 18 in 'data.csv' cannot be read"),
    "open quote": (
        b"x,label\n" + b'"1,5",a\n"2,5",b\n' * 20 + b'"3,a\n',
        "opens a quotation mark that is never closed",
    ),
    "parquet cut off": (b"PAR1" + bytes(50), "'data.csv' is a damaged Parquet file"),
    "workbook": (b"PK\x03\x04" + bytes(50), "is a ZIP archive or an Excel workbook"),
    "pickle": (b"\x80\x04\x95" + bytes(50), "a Python pickle, which is never opened"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "packed with gzip"),
    "zeros": (b"a,b\n1,\x00\n" * 9, "not a text file: it has zero bytes"),
    "json list": (b'[{"x": 1}]', "is a JSON list. Save it as JSON Lines"),
    "broken json": (b"{broken\n{also\n", "cannot be read, at most 10% are skipped"),
    "many columns": (b",".join(b"x%d" % i for i in range(10_001)), "10,001 columns, at most"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_get_a_sentence(tmp_path: Path, name: str) -> None:
    data, sentence = BAD[name]
    (tmp_path / "data.csv").write_bytes(data)
    with pytest.raises(BadInput, match=sentence):
        read_table(tmp_path / "data.csv")


def test_too_many_rows_are_refused(tmp_path: Path) -> None:
    frame = example_frame()
    for name in ("comma.csv", "lines.jsonl", "table.parquet"):
        WRITERS[name](frame, tmp_path / name)
        assert len(read_columns(tmp_path / name, max_rows=200).frame) == 200
        with pytest.raises(BadInput, match=f"'{name}' has more than 199 rows. Take a sample"):
            read_table(tmp_path / name, max_rows=199)


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(5 * 2**30)  # a hole: takes no room
    with pytest.raises(BadInput, match=r"'huge.csv' has 5.0 GiB, at most 4 GiB are read"):
        read_table(tmp_path / "huge.csv")


def test_missing_files_and_odd_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"There is no file '.*nowhere.csv'"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(BadInput, match=r"The folder '.*' has no table"):
        read_table(tmp_path)
    for name in ("a.csv", "b.csv"):
        example_frame().to_csv(tmp_path / name, index=False)
    with pytest.raises(BadInput, match="has 2 tables and none called train"):
        read_table(tmp_path)
    example_frame().to_csv(tmp_path / "train.csv", index=False)
    example_frame().drop(columns="legs").to_csv(tmp_path / "val.csv", index=False)
    with pytest.raises(BadInput, match=r"'val.csv' has other columns than 'train.csv'"):
        read_table(tmp_path)


def test_row_too_long_for_any_table(tmp_path: Path) -> None:
    path = written(tmp_path / "long.csv", "x,label\n1,a\n" + "9" * (2**25 + 10) + ",b\n" * 9)
    with pytest.raises(BadInput, match=r"'long.csv' cannot be read as a table: a row is longer"):
        read_table(path)
