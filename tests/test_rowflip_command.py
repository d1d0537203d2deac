"""``fluoroscope flip`` for a row of a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_capture_command import run

ROW = Path("assets/examples/point-1.json")


def test_changes_of_a_row_are_printed_and_told_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, output, _ = run(capsys, "flip", "two_features", ROW)
    assert status == 0
    assert output.startswith("point-1.json: lower moon 7")
    assert "upper moon 50.0%   1 column, " in output and " σ)" in output
    kept = ("--keep", "first feature", "--set", "count=1")
    status, output, _ = run(capsys, "flip", "two_features", ROW, *kept, "--json")
    (found,) = json.loads(output)
    (change,) = found["changes"]
    assert [each["column"] for each in change["columns"]] == ["second feature"]
    assert change["row"]["first feature"] == json.loads(ROW.read_text())["first feature"]
    assert change["after"] == "upper moon"


def test_what_cannot_be_done_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("--keep", "first feature", "--keep", "second feature")
    status, output, _ = run(capsys, "flip", "two_features", ROW, *columns)
    assert status == 0 and "Every column is kept, so nothing can change." in output
    for asked, said in (
        (("two_features", ROW, "--keep", "third feature"), "no column 'third feature'"),
        (("two_features", ROW, "--to", "sun"), "no class 'sun'"),
        (("text_rnn", "A game.", "--keep", "age"), "--keep and --data are for tables"),
    ):
        status, _, error = run(capsys, "flip", *asked)
        assert status == 2 and said in error
