"""``fluoroscope compare``: two models on standard output, figures on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_capture_command import run


def test_a_checkpoint_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    status, output, _ = run(
        capsys, "compare", "tabular_mlp", "run:tabular_mlp@1", "--json", "--out", out,
        "--format", "json", "--workspace", tmp_path,
    )  # fmt: skip
    assert status == 0
    found = json.loads(output)
    assert sum(row["examples"] for row in found["classes"]) == found["labelled"] == 142
    split = found["mcnemar"]
    assert split["both"] + split["first"] + split["second"] + split["neither"] == 142
    measures = {row["measure"]: row for row in found["measures"]}
    gap = (split["first"] - split["second"]) / 142
    assert measures["accuracy"]["difference"] == pytest.approx(gap, abs=1e-4)
    assert measures["accuracy"]["low"] <= gap <= measures["accuracy"]["high"]
    assert -1 <= found["reasons"]["spearman"] < 1
    assert found["layers"]
    for name in ("answers", "measures", "classes", "layers", "reasons"):
        assert (out / f"tabular_mlp-run-tabular_mlp@1.{name}.json").is_file()


def test_a_table_of_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(
        capsys, "compare", "digits_cnn", "digits_cnn", "--limit", 40, "--workspace", tmp_path
    )
    assert status == 0
    assert output.splitlines()[1].split() == ["agreement", "1.0000", "0.9124", "1.0000"]
    assert "only the first 0, only the second 0" in output
    assert "McNemar's exact p = 1" in output
    assert "rank correlation 1.0, 100% of the strongest same" in output


def test_models_that_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(
        capsys, "compare", "tiny_lm", "tiny_lm", "--limit", 5, "--json", "--workspace", tmp_path
    )
    assert status == 0
    found = json.loads(output)
    assert [row["measure"] for row in found["measures"]] == ["perplexity"]
    gap = found["nats per token"]
    assert gap == {"value": 0.0, "low": 0.0, "high": 0.0, "wilcoxon p": 1.0}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("text_rnn", "no class in common"),
        ("digits_cnn", "reads texts, 'digits_cnn' pictures"),
        ("tiny_lm", "'tiny_lm' writes"),
        ("sentimant", "Did you mean 'sentiment'"),
        ("compressed:nobody", "no compressed model 'nobody'"),
    ],
)
def test_what_cannot_be_compared(other: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = run(capsys, "compare", "sentiment", other)
    assert status == 2
    assert said in error
    assert "Traceback" not in error


def test_data_without_labels_still_agree_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("A wonderful film.\nTerrible.\nIt has ten songs.\n")
    status, output, error = run(
        capsys, "compare", "sentiment", "sentiment", texts, "--workspace", tmp_path
    )
    assert status == 0
    assert "McNemar" not in output
    assert "nobody is right or wrong" in error
