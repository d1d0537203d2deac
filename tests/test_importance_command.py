"""``fluoroscope importance``: what a model goes by, on standard output and as figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.test_capture_command import run


def test_permutation_of_the_data_that_ship(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, "importance", "two_features", "--json", "--set", "repeats=3")
    assert status == 0
    found = json.loads(output)
    assert (found["seeds"], found["unit"], found["examples"]) == (3, "nats", 100)
    first, second = found["features"]
    assert first["importance"] > second["importance"] > 0
    assert first["lowest seed"] <= first["importance"] <= first["highest seed"]
    mean = np.mean([each[first["feature"]] for each in found["by true class"].values()])
    assert mean == pytest.approx(first["importance"], abs=2e-3)  # as many of each


def test_groups_figures_and_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    status, output, _ = run(
        capsys, "importance", "two_features", "--method", "ablation", "--limit", 20, "--group",
        "both=First feature,second feature", "--out", out, "--format", "json",
    )  # fmt: skip
    assert status == 0
    assert "both" in output
    assert (out / "two_features.importance.ablation.json").is_file()
    status, output, _ = run(capsys, "importance", "two_features", "--of", "first feature", "--json")
    assert status == 0
    points = json.loads(output)["points"]
    assert all(0 <= each["low"] <= each["probability"] <= each["high"] <= 1 for each in points)
    status, output, _ = run(
        capsys, "importance", "two_features", "--of", "first feature", "--of", "second feature",
        "--limit", 12, "--json",
    )  # fmt: skip
    found = json.loads(output)
    assert status == 0
    assert 0 <= found["low"] <= found["h"] <= found["high"] <= 1


def test_a_table_without_labels_has_no_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "mine.csv"
    rows = np.random.default_rng(0).normal(size=(5, 2))
    pd.DataFrame(rows, columns=["first feature", "second feature"]).to_csv(table, index=False)
    status, _, error = run(capsys, "importance", "two_features", table, "--set", "measure=accuracy")
    assert status == 2
    assert "no labels" in error
    status, output, error = run(capsys, "importance", "two_features", table, "--method", "saliency")
    assert status == 0
    assert "Saliency" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("two_features", "--group", "a=first feature,third"), "no column 'third'"),
        (("two_features", "--group", "nothing"), "is no group"),
        (("two_features", "--group", "a=first feature", "--correlated"), "both given"),
        (("two_features", "--of", "third"), "no column 'third'"),
        (("two_features", "--method", "taste"), "no way to importance 'taste'"),
        (("two_features", "--set", "orders=3"), "no parameter of Permutation 'orders'"),
        (("tiny_lm",), "writes"),
        (("digits_cnn", "--of", "x"), "does not read tables"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = run(capsys, "importance", *arguments)
    assert status == 2
    assert said in error
    assert "Traceback" not in error
