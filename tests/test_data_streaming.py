"""Tables and texts that are read from disk: every value as a slow twin reads it all at once, in
memory that does not grow with the file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data import files, ownexamples, spool
from core.data.dataset import Dataset
from core.data.ownexamples import rows
from core.errors import BadInput, StorageError

ROOT = Path(__file__).parents[1]
TEXTS = ["plain", 'a "quoted",\nline;\r\nand\tmore', "日本語 👩‍👩‍👧", " spaces ", "12", "é|è"]


@pytest.fixture(autouse=True)
def on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even a few rows go to the disk, in small blocks."""
    monkeypatch.setattr(spool, "IN_MEMORY", 1)
    monkeypatch.setattr(spool, "decoded_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(ownexamples, "_OPENED", {})


def cells(count: int) -> list[list[str]]:
    return [
        [str(row), TEXTS[row % len(TEXTS)], "ab"[row % 2], "" if row % 7 == 3 else f"{row / 4:g}"]
        for row in range(count)
    ]


def agrees(found: Dataset, given: list[list[str]]) -> None:
    """Cells in the order number, text, label, size; read forwards and backwards."""
    texts = [text for _, text, _, _ in given]
    for order in (range(len(given)), range(len(given) - 1, -1, -1)):
        assert [found[row].data.decode() for row in order] == [texts[row] for row in order]
    assert found.ids == [f"row {row + 1}" for row in range(len(given))]
    assert found.classes == ("a", "b")
    assert found.labels is not None
    assert [found.classes[label] for label in found.labels] == [label for _, _, label, _ in given]
    sizes = [float(size) if size else np.nan for _, _, _, size in given]
    np.testing.assert_array_equal(found.columns["size"], sizes)
    np.testing.assert_array_equal(found.columns["number"], np.arange(len(given)))
    assert found.columns["text"].tolist() == texts
    some = found.limited(7)
    assert [each.data for each in some.examples(range(7))] == [
        found[row * len(given) // 7].data for row in range(7)
    ]
    np.testing.assert_array_equal(
        some.columns["size"], np.array(sizes)[np.arange(7) * len(given) // 7]
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_as_the_csv_module_reads_it(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(["number", "text", "label", "size"])
    writer.writerows(cells(60))
    path = tmp_path / "data.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    with path.open(encoding=encoding, newline="") as file:
        twin = list(csv.reader(file, delimiter=delimiter))[1:]
    assert twin == cells(60)
    agrees(rows(path, "tokens"), twin)


def test_blocks_end_within_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many blocks as rows, and rows that are longer than a block."""
    from core.data import csvfile

    monkeypatch.setattr(csvfile, "_BLOCK", 160)
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["number", "text", "label", "size"], *cells(200)])
    (tmp_path / "small.csv").write_text(text.getvalue(), newline="")
    agrees(rows(tmp_path / "small.csv", "tokens"), cells(200))
    monkeypatch.setattr(csvfile, "_BLOCK", 30)
    shutil.copy(tmp_path / "small.csv", tmp_path / "long.csv")
    agrees(rows(tmp_path / "long.csv", "tokens"), cells(200))


def test_json_lines_as_json_reads_them(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [
        {"text": text, "label": row % 3 > 0, "n": row, "mixed": row if row % 2 else str(row / 2)}
        | {"half": None if row % 5 == 0 else row / 2, "deep": {"é": [row]}, "odd": 10**400 + row}
        for row, text in enumerate(TEXTS * 300)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=bool(row["n"] % 2)) for row in given))
    found = rows(path, "tokens")
    assert [each.data.decode() for each in found.examples(range(len(found)))] == [
        row["text"] for row in given
    ]
    assert found.classes == ("false", "true")
    frame = pd.DataFrame(given)
    np.testing.assert_array_equal(found.columns["half"], frame["half"].to_numpy(float))
    np.testing.assert_array_equal(found.columns["mixed"], frame["mixed"].astype(float))
    assert found.columns["deep"][4] == '{"é": [4]}'
    assert np.isinf(found.columns["odd"]).all()
    records = rows(path, "columns")
    record = json.loads(records[3].data)
    assert record["half"] == 1.5
    assert record["n"] == 3.0
    assert json.loads(records[5].data)["half"] is None


def test_half_a_surrogate_is_no_character(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "a\\ud800b"}\n{"text": "\\ud83d\\ude00"}\n')
    assert [rows(path, "tokens")[row].data.decode() for row in (0, 1)] == ["a\ufffdb", "😀"]


def test_parquet_as_pandas_reads_it(tmp_path: Path) -> None:
    count = 300
    made = {
        "text": pa.array([TEXTS[row % 6] for row in range(count)], pa.large_string()),
        "whole": pa.array([None if row % 9 == 0 else row for row in range(count)], pa.int32()),
        "half": pa.array([row / 2 for row in range(count)], pa.float32()),
        "flag": pa.array([row % 2 > 0 for row in range(count)]),
        "day": pa.array([date(2020, 1, 1 + row % 28) for row in range(count)]),
        "time": pa.array([datetime(2020, 1, 1, 2, row % 60, 3, 4_000) for row in range(count)]),
        "price": pa.array([Decimal(row) / 4 for row in range(count)]),
        "kind": pa.array([f"k{row % 3}" for row in range(count)]).dictionary_encode(),
        "code": pa.array([row % 4 for row in range(count)], pa.uint8()).dictionary_encode(),
        "nothing": pa.nulls(count),
    }
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(made), path, row_group_size=70)
    found = rows(path, "tokens")
    frame = pd.read_parquet(path)
    assert [found[row].data.decode() for row in range(count)] == list(frame["text"])
    for name in ("whole", "half", "price", "code"):
        np.testing.assert_array_equal(found.columns[name], frame[name].astype(float))
    for name in ("day", "time", "kind"):
        assert found.columns[name].tolist() == [str(each) for each in frame[name]]
    assert found.columns["flag"].tolist() == [str(each).lower() for each in frame["flag"]]
    assert np.isnan(found.columns["nothing"]).all()
    record = json.loads(rows(path, "columns")[9].data)
    assert (record["whole"], record["half"], record["flag"]) == (None, 4.5, "true")
    assert json.loads(rows(path, "columns")[10].data)["whole"] == 10


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_lines_of_a_text(tmp_path: Path, encoding: str) -> None:
    lines = ["one", "", "deux é", "  ", "three", "four "]
    path = tmp_path / "lines.txt"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    found = rows(path, "tokens")
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    assert [found[row].data.decode() for row in range(4)] == [line for _, line in kept]
    assert found.ids == [f"line {number}" for number, _ in kept]
    assert found.columns["text"].tolist() == [line for _, line in kept]
    assert [tuple(each) for each in found.skipped] == [
        ("line 2", "an empty line"),
        ("line 4", "an empty line"),
    ]


def test_parts_of_a_column_and_of_files(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text,split\na,train\nb,dev\nc,test\nd,train\n")
    one = rows(tmp_path / "one.csv", "tokens")
    assert one.columns["part"].tolist() == ["train", "val", "test", "train"]
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "train.csv").write_text("text,n\na,1\nb,2\n")
    (folder / "test.jsonl").write_text('{"text": "c", "n": 3}\n')
    many = rows(folder, "tokens")
    assert [many[row].data for row in range(3)] == [b"a", b"b", b"c"]
    assert many.columns["part"].tolist() == ["train", "train", "test"]
    assert many.columns["n"].tolist() == [1, 2, 3]


def test_what_does_not_fit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.data import csvfile

    monkeypatch.setattr(csvfile, "_BLOCK", 100)
    monkeypatch.setattr(files, "MOST_LISTED", 5)
    lines = [f"text {row},{'x' if row in (90, 95) else row}" for row in range(100)]
    lines[20:30] = ["broken"] * 10
    (tmp_path / "data.csv").write_text("text,n\n" + "\n".join(lines))
    found = rows(tmp_path / "data.csv", "tokens")
    assert found.columns["n"][-1] == "99"
    notes = " | ".join(found.notes)
    assert "column 'n' begins with numbers and is taken as texts, for 2 values" in notes
    assert "(the first: 'x' in row 81)" in notes
    assert "10 rows that cannot be read left out" in notes
    assert len(found.skipped) == 6
    assert found.skipped[0].reason == "1 field, expected 2"
    assert found.skipped[-1].name == "5 more"


def test_values_that_are_no_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_VALUES", 20)
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(f"t,{row}\n" for row in range(21)))
    found = rows(path, "tokens")
    assert found.labels is None
    assert "no classes" in found.notes[-1]
    with pytest.raises(BadInput, match="are no classes"):
        rows(path, "tokens", label="label")


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.data import jsonlines, textfile

    for module in (textfile, jsonlines, ownexamples):
        monkeypatch.setattr(module, "LONGEST_LINE", 2**10)
    lines = ['{"text": "a"}'] * 20 + ['{"text": "' + "b" * 5_000 + '"}', '{"text": "c"}']
    for name in ("data.jsonl", "data.txt"):
        (tmp_path / name).write_text("\n".join(lines))
        found = rows(tmp_path / name, "tokens")
        assert len(found) == 21
        assert "longer than" in found.skipped[0].reason
        assert found.ids[-1].endswith("21" if name == "data.jsonl" else "22")


def test_a_full_disk_is_said_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(spool, "_LOOK_EVERY", 0)
    (tmp_path / "data.csv").write_text("text\n" + "a\n" * 50)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
        with pytest.raises(StorageError, match=r"'data.csv' do not fit into .*No space left"):
            rows(tmp_path / "data.csv", "tokens")
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(rows(tmp_path / "data.csv", "tokens")) == 50


def test_rows_take_no_more_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small Parquet file can hold far more than its size."""
    monkeypatch.setenv("FLUOROSCOPE_ZIP_GIB", "0.001")
    table = pa.table({"text": ["x" * 1_000] * 20_000})
    pq.write_table(table, tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 2**16
    with pytest.raises(BadInput, match=r"take more than 0\.0 GiB"):
        rows(tmp_path / "bomb.parquet", "tokens")


MEASURED = """
import sys, tracemalloc
from pathlib import Path
import pyarrow
from core.data.ownexamples import rows
def read(path):
    found = rows(path, "tokens")
    return len([found[row].data for row in range(0, len(found), max(1, len(found) // 20))])
ways = "csv", "jsonl", "txt", "parquet"
for way in ways: read(Path(sys.argv[1]) / f"small.{way}")
tracemalloc.start()
for way in ways: assert read(Path(sys.argv[1]) / f"large.{way}") >= 20
print(pyarrow.default_memory_pool().max_memory() / 2**20)
print(tracemalloc.get_traced_memory()[1] / 2**20)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Of files of 60 MB Arrow holds at most 80 MB at a time, since it reads 35 blocks of 1 MB
    ahead, and Python and numpy 40 MB. The system may map more of the disk, as long as it has room.
    """
    for way in ("csv", "jsonl", "txt", "parquet"):
        write(tmp_path / f"small.{way}", 1)
        write(tmp_path / f"large.{way}", 60)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    arrow, python = map(float, done.stdout.split())
    assert arrow < 80
    assert python < 40


def write(path: Path, megabytes: int) -> None:
    """About so many megabytes of texts of 2 kB each."""
    text = "lorem ipsum " * 167
    count = megabytes * 2**20 // len(text)
    if path.suffix == ".parquet":
        schema = pa.schema({"text": pa.string()})
        with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
            for _ in range(0, count, 5_000):
                writer.write_table(pa.table({"text": [text] * 5_000}), row_group_size=5_000)
        return
    line = {".csv": f'"{text}",a\n', ".jsonl": json.dumps({"text": text}) + "\n"}.get(
        path.suffix, text + "\n"
    )
    with path.open("w") as file:
        file.write("text,label\n" if path.suffix == ".csv" else "")
        for _ in range(0, count, 1_000):
            file.write(line * 1_000)
