"""``fluoroscope capture`` and ``list layers``, the verb, the job, and the notebook's function."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import core
from core.data.dataset import dataset
from core.engine import job
from core.errors import NotValid, UnknownName
from core.models.catalogue import card
from core.results.activations import open_capture
from core.workspace import workspace
from dashboard import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["fluoroscope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def test_the_layers_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, errors = run(capsys, "list", "layers", "text_rnn")
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0].split() == ["name", "kind", "parameters", "units", "positions", "why"]
    assert lines[3].split() == ["recurrent", "GRU", "63,744", "128", "token"]
    status, output, _ = run(capsys, "list", "layers", "sentiment", "--json")
    rows = {row["name"]: row for row in json.loads(output)}
    assert rows["embedding"]["positions"] == [None]
    assert rows["encoder.layers.0"]["default"] is False  # its parts are captured
    assert "not called" in rows["encoder.layers.0.self_attn.out_proj"]["why"]
    assert sum(row["parameters"] for row in rows.values()) == card("sentiment").raw["parameters"]


def test_a_capture_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "digits"
    status, output, errors = run(
        capsys, "capture", "digits_cnn", "--layer", "conv2", "--layer", "dense1", "--out", out,
        "--limit", 50, "--format", "npy,safetensors", "--json",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    facts = json.loads(output)
    made = open_capture(out)
    assert facts["path"] == str(out)
    assert [layer["shape"] for layer in facts["layers"]] == [[50, 64], [50, 128]]
    assert facts["examples"] == 50
    assert facts["accuracy"] > 0.9
    with safe_open(out / "capture.safetensors", "np") as stored:
        assert set(stored.keys()) == {"conv2", "dense1", "scores", "labels"}
        for name in made.names:
            np.testing.assert_array_equal(stored.get_tensor(name), made.layer(name))
        np.testing.assert_array_equal(stored.get_tensor("scores"), made.scores)
        assert json.loads(stored.metadata()["ids"]) == list(made.ids)
        assert stored.metadata()["weights_sha256"] == made.weights
    np.testing.assert_array_equal(np.load(out / made.about("conv2").file), made.layer("conv2"))
    status, output, errors = run(
        capsys, "capture", "digits_cnn", "--layer", "conv2", "--out", out, "--limit", 50
    )
    assert status == 2
    assert "holds a capture of other layers" in errors


def test_whole_activations_of_own_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.images import picture, png

    for name in ("3", "7"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "a.png").write_bytes(png(picture()))
    status, output, errors = run(
        capsys, "capture", "digits_cnn", tmp_path / "pictures", "--layer", "conv1", "--pool",
        "whole", "--out", tmp_path / "out", "--dtype", "float32", "--format", "npy,safetensors",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    assert "2 × 32 × 28 × 28" in output
    made = open_capture(tmp_path / "out")
    assert made.ids == ("3/a.png", "7/a.png")
    assert made.labels is not None
    assert made.labels.tolist() == [3, 7]
    with safe_open(tmp_path / "out" / "capture.safetensors", "np") as stored:
        np.testing.assert_array_equal(stored.get_tensor("conv1"), made.layer("conv1"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--layer", "conv9"), "There is no layer 'conv9'. Did you mean"),
        (("--layer", "conv1", "--pool", "first"), "a grid of positions"),
        (("--pool", "middle"), "pool"),
        (("--dtype", "int4"), "dtype"),
        (("--format", "csv"), "There is no format 'csv'"),
        (("nowhere",), "does not exist"),
        (("--device", "tpu"), "is not a device"),
    ],
)
def test_mistakes_are_one_clear_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output, errors = run(capsys, "capture", "digits_cnn", *arguments, "--out", tmp_path)
    assert (status, output) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1


def test_the_notebook_finds_its_captures_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = core.reference("text_rnn")
    made = core.capture(model, layers=["recurrent"], limit=40, pool="last")
    assert made.complete
    assert made.names == ("recurrent",)
    assert made.folder.parent == workspace().captures
    monkeypatch.setattr(core.notebook, "_run", None)  # type: ignore[attr-defined]
    again = core.capture(model, layers=["recurrent"], limit=40, pool="last")
    assert again.folder == made.folder
    own = replace(dataset(card("text_rnn")).limited(5), source={})
    assert len(core.capture(model, own, ["recurrent"])) == 5
    with pytest.raises(UnknownName):
        core.capture(model, own, ["recurent"])
    with pytest.raises(NotValid):
        core.capture(core.reference("sentiment"), own, ["encoder.layers.0.self_attn.out_proj"])


def test_a_long_capture_is_a_job(tmp_path: Path) -> None:
    from core.activations.shelf import request, shelved

    place, model = workspace(tmp_path), core.reference("digits_cnn")
    found = dataset(card("digits_cnn"), limit=30)
    asked = request(place, model, found, ["conv1"])
    more = {"model": [model.name, model.fingerprint], "seed": 0}
    work = job.submit(place, "capture", {**asked, **more}, "cpu")
    assert work.wait() == "done", work.log()
    made = shelved(asked)
    assert made is not None
    assert work.result == str(made.folder)
    assert len(made) == 30
    assert work.progress.done >= 30
