"""``fluoroscope surrogate``: a readable tree with its fidelity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_capture_command import run


def test_the_tree_of_the_sample_table_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = ("surrogate", "tabular_mlp", "--depth", 4, "--out", out, "--format", "json")
    status, output, error = run(capsys, *asked)
    assert status == 0
    lines = output.splitlines()
    assert lines[0].startswith("worst ") and " ≤ " in lines[0]
    assert any(line.startswith("Fidelity") and "95 % interval" in line for line in lines)
    kinds = ("json", "txt", "skops")
    written = [out / f"tabular_mlp.surrogate.{kind}" for kind in kinds]
    assert error.split() == [str(path) for path in written]
    assert written[1].read_text() == output.partition("\n\n")[0] + "\n"
    assert json.loads(written[0].read_text())["results"][0]["file"]["bytes"] > 1000


def test_json_is_the_tree_and_the_way_of_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    row = Path("assets/examples/tumour-1.json")
    status, output, _ = run(
        capsys, "surrogate", "tabular_mlp", "--depth", 2, "--example", row, "--json"
    )
    found = json.loads(output)
    assert status == 0
    node = found["tree"]
    assert sum(node["held_out"].values()) == sum(
        sum(node[side]["held_out"].values()) for side in ("yes", "no")
    )
    assert found["example"]["model"] in ("benign", "malignant")
    assert found["example"]["way"].count("→") == 1


def test_what_cannot_be_done_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for asked, said in (
        (("tabular_mlp", "--depth", 9), "expected a whole number from 1 to 8"),
        (("tabular_mlp", "--on", "words"), "expected columns or layer:NAME"),
        (("tiny_lm",), "has no classes"),
        (("tabular_mlp", "--limit", 15), "needs at least 20"),
    ):
        status, _, error = run(capsys, "surrogate", *asked)
        assert status == 2 and said in error
