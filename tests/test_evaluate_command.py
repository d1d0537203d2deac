"""``fluoroscope evaluate``: metrics on standard output, figures on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.test_capture_command import run


def test_a_table_of_ones_own_by_a_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "mine.csv"
    pd.DataFrame(
        {
            "text": ["A wonderful film.", "Terrible and boring.", "It has ten songs."] * 4,
            "label": ["positive", "negative", "neutral"] * 4,
            "shop": ["north", "south"] * 6,
            "price": [*range(1, 12), None],
        }
    ).to_csv(table, index=False)
    out = tmp_path / "out"
    status, output, _ = run(
        capsys, "evaluate", "sentiment", table, "--by", "shop", "--positive", "negative",
        "--json", "--out", out, "--format", "json",
    )  # fmt: skip
    assert status == 0
    found = json.loads(output)
    assert sum(row["examples"] for row in found["classes"]) == 12
    assert [row["shop"] for row in found["groups"]] == ["north", "south"]
    assert set(found["gaps"]) == {"right", "selected", "caught", "false_alarms"}
    measures = {row["measure"]: row for row in found["measures"]}
    right = sum(row["right"] * row["examples"] for row in found["groups"]) / 12
    assert measures["accuracy"]["value"] == pytest.approx(right, abs=1e-3)
    assert (out / "sentiment.confusion.json").is_file()
    assert (out / "sentiment.groups.caught.json").is_file()
    status, output, _ = run(
        capsys, "evaluate", "sentiment", table, "--by", "price", "--positive", "negative"
    )
    assert status == 0
    *_, prices, about = output.split("\n\n")
    groups = [line.split("  ")[0] for line in prices.splitlines()[1:]]
    assert groups == ["1 to 3.5", "3.5 to 6", "6 to 8.5", "8.5 to 11", "(missing)"]
    assert about.strip() == "selected and positives are about the class negative"


def test_data_that_ship_and_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output, _ = run(capsys, "evaluate", "digits_cnn", "--limit", 100)
    assert status == 0
    assert output.splitlines()[0].split() == ["measure", "value", "low", "high", "good"]
    status, _, error = run(capsys, "evaluate", "digits_cnn", "--limit", 100, "--by", "shop")
    assert status == 2
    assert "no column 'shop'" in error
    status, output, said = run(
        capsys, "evaluate", "tiny_lm", "--limit", 5, "--json", "--out", tmp_path, "--by", "shop"
    )
    assert status == 0
    assert "Over 5 texts" in said
    assert "no rates by 'shop'" in said
    assert (tmp_path / "tiny_lm.measures.png").is_file()
    assert [row["measure"] for row in json.loads(output)["measures"]] == ["perplexity"]


def test_data_without_labels_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("A wonderful film.\nTerrible.\n")
    status, _, error = run(capsys, "evaluate", "sentiment", texts)
    assert status == 2
    assert "no labels" in error
    assert "Traceback" not in error
