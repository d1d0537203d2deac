"""``fluoroscope layers`` and ``project``: tables, figures and numbers on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.test_capture_command import run


def test_layers_over_the_data_that_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures"
    status, output, _ = run(
        capsys, "layers", "digits_cnn", "--out", out, "--limit", 200, "--format", "json"
    )
    assert status == 0
    assert output.splitlines()[0].split()[:3] == ["layer", "kind", "units"]
    table = pd.read_csv(out / "digits_cnn.layers.csv")
    assert table["layer"].tolist()[0] == "conv1"
    probes = dict(zip(table["layer"], table["probe"], strict=True))
    assert probes["relu3"] > probes["conv1"] + 0.3
    document = json.loads((out / "digits_cnn.similarity.json").read_text())
    assert document
    status, output, _ = run(capsys, "layers", "tiny_lm", "--limit", 20, "--json")
    assert status == 0
    assert all(row["probe"] is None for row in json.loads(output))


def test_a_capture_and_an_array_are_projected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "capture", "digits_cnn", "--out", tmp_path / "c", "--limit", 80)
    status, output, _ = run(
        capsys, "project", tmp_path / "c", "--method", "pca", "--out", tmp_path / "o",
        "--format", "html,csv,parquet,json", "--json",
    )  # fmt: skip
    assert status == 0
    facts = json.loads(output)
    assert facts["examples"] == 80
    assert facts["source"].startswith("relu3 of digits_cnn")
    frame = pd.read_csv(tmp_path / "o" / "relu3.pca.csv")
    assert list(frame.columns[:4]) == ["id", "x", "y", "label"]
    same = pd.read_parquet(tmp_path / "o" / "relu3.pca.parquet")
    np.testing.assert_allclose(frame["x"], same["x"], rtol=1e-5)
    values = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.save(tmp_path / "mine.npy", values)
    status, output, _ = run(
        capsys, "project", tmp_path / "mine.npy", "--method", "umap", "--out", tmp_path / "o",
        "--dim", 3, "--set", "n_neighbors=5", "--format", "csv", "--stability",
    )  # fmt: skip
    assert status == 0
    assert "stability" in output
    assert pd.read_csv(tmp_path / "o" / "mine.umap.csv").columns[3] == "z"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "magic"], "magic"),
        (["--set", "min_dist"], "no setting"),
        (["--set", "taste=3"], "taste"),
        (["--dim", "4"], "2 or 3"),
        (["--layer", "conv1"], "no capture"),
        (["--format", "docx"], "docx"),
    ],
)
def test_bad_wishes(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(30, 4)))
    status, _, errors = run(
        capsys, "project", tmp_path / "v.npy", "--out", tmp_path / "o", *arguments
    )
    assert status == 2
    assert said in errors
    assert "Traceback" not in errors
