"""From a file to a model in hand: opened in a process of its own, kept in the workspace, asked."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from test_exported_clean import Net, Payload, exported, saved
from typer.testing import CliRunner

import core
from core.errors import BadModel, BadParameter, UnknownName
from core.models.exported import own
from core.models.exported.clean import CARD
from core.models.exported.description import Description, completed
from core.models.exported.opening import opened
from core.tasks import Task
from core.workspace import workspace

PICTURES = {"height": 8, "width": 8, "channels": 1, "mean": [0.5], "std": [0.25]}
ABOUT = {
    "title": "Shapes",
    "task": "image-classification",
    "classes": ["round", "square", "long"],
    "preprocessing": PICTURES,
}
FOUND: dict[str, Any] = {
    "inputs": [
        {"name": "x", "dtype": "float32", "least": [2, 3, 8, 8], "most": [None, 3, 8, 8]},
    ],
    "answer": [3],
    "widths": [],
}
ROWS: dict[str, Any] = {
    "inputs": [{"name": "x", "dtype": "float32", "least": [2, 4], "most": [None, 4]}],
    "answer": [2],
    "widths": [],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with its card, and a payload where torch keeps its sample inputs."""
    path = tmp_path_factory.mktemp("own") / "My shapes (1).pt2"
    torch.manual_seed(0)
    exported(path, extra_files={CARD: json.dumps(ABOUT)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, pickle.dumps(Payload()) if "sample_inputs" in name else data)
    return path


class Large(torch.nn.Module):
    """Wants 20 GB."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[example, column]``."""
        return rows + torch.zeros(5_000_000_000)[:3]


@pytest.fixture(scope="module")
def added(file: Path) -> own.Added:
    """It, taken into the workspace."""
    return own.add(file)


def test_it_is_kept_once_and_asked_by_name(file: Path, added: own.Added) -> None:
    assert added.name == "own:My-shapes-1"
    assert not added.known
    assert added.notes == ()
    again = own.add(file)
    assert (again.name, again.known) == (added.name, True)
    assert own.names().count(added.name) == 1
    assert not Path("ran").exists()
    folder = workspace().models / "My-shapes-1"
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.pt2"]
    assert [path for path in workspace().models.iterdir() if path.name.startswith(".")] == []
    about = own.card(added.name)
    assert (about.title, about.task) == ("Shapes", Task.IMAGE_CLASSIFICATION)
    assert about.classes == ("round", "square", "long")
    assert about.preprocessing is not None
    assert about.preprocessing.std == (0.25,)
    assert about.raw["parameters"] == sum(each.numel() for each in Net().parameters())
    assert own.card(str(file)).name == added.name


def test_a_file_is_computed_by_the_name_that_it_has_in_the_workspace(
    file: Path, added: own.Added
) -> None:
    """The process that computes is sealed, and may not open it again."""
    ref = core.reference(str(file))
    assert ref == core.reference(added.name)
    assert ref.name == added.name


def test_it_answers_like_the_live_network(added: own.Added) -> None:
    picture = core.open_example("assets/examples/digit-2.png")
    model = core.reference(added.name)
    (prediction,) = core.predict(model, [picture])
    torch.manual_seed(0)
    live = Net().eval()
    from core.models.loader import load

    loaded = load(model)
    batch = loaded.adapter.encode([picture], loaded)
    with torch.no_grad():
        logits = live(batch.features)[0]
    assert prediction.logits.tolist() == pytest.approx(logits.tolist(), abs=1e-6)
    (found,) = core.attribute(model, [picture], "integrated_gradients", n_steps=8)
    assert found.values.shape == (1, 8, 8)
    assert [layer.kind for layer in core.describe(model).layers] == ["Net", "Conv2d", "Linear"]


def test_the_command_says_what_was_found(file: Path, added: own.Added) -> None:
    from dashboard.cli import app

    done = CliRunner().invoke(app, ["add", str(file), "--classes", "a,b,c", "--set", "mean=0.1"])
    assert done.exit_code == 0, done.output
    assert "8 × 8, mean 0.1, std 0.25, cover" in done.output
    assert f"{added.name} (known already)" in done.output
    assert own.card(added.name).classes == ("a", "b", "c")
    wrong = CliRunner().invoke(app, ["add", str(file), "--classes", "a,b"])
    assert isinstance(wrong.exception, BadModel)
    assert "2 names of classes, and the network has 3" in str(wrong.exception)
    assert own.card(added.name).classes == ("a", "b", "c")  # nothing was lost


def test_names_are_looked_at(file: Path, added: own.Added) -> None:
    with pytest.raises(BadParameter, match="cannot be the name"):
        own.add(file, name="../up")
    with pytest.raises(UnknownName, match="My-shapes-1"):
        own.card("own:My-shape")
    with pytest.raises(UnknownName, match="no file"):
        own.add(file.with_name("other.pt2"))
    assert str(UnknownName.of("model", "x", (), "Make one.")) == "There is no model 'x'. Make one."


def test_a_process_that_breaks_or_is_too_slow_is_a_sentence(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUOROSCOPE_OPEN_GIB", "4")
    large = saved(Large(), (torch.rand(2, 3),), tmp_path / "large.pt2")
    with pytest.raises(BadModel, match=r"4 GiB.*FLUOROSCOPE_OPEN_GIB"):
        opened(large, tmp_path / "out.pt2")
    monkeypatch.setenv("FLUOROSCOPE_OPEN_SECONDS", "1")
    with pytest.raises(BadModel, match=r"1 seconds.*FLUOROSCOPE_OPEN_SECONDS"):
        opened(file, tmp_path / "out.pt2")
    assert list(tmp_path.iterdir()) == [large]
    monkeypatch.setenv("FLUOROSCOPE_OPEN_GIB", "many")
    with pytest.raises(BadParameter, match="'many'"):
        opened(file, tmp_path / "out.pt2")


@pytest.mark.parametrize("deed", ["pickle.loads(pickle.dumps(io.BytesIO))", "os.system('true')"])
def test_the_process_may_neither_unpickle_nor_start_anything(deed: str) -> None:
    script = f"import io, os, pickle\nfrom core.confinement.deeds import forbid\nforbid()\n{deed}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert "PermissionError: the program tried to" in done.stderr


def test_what_is_not_said_is_told_from_the_program() -> None:
    said, notes = completed(Description(), FOUND)
    assert said.task is Task.IMAGE_CLASSIFICATION
    assert said.classes == ("class 0", "class 1", "class 2")
    assert said.preprocessing["height"] == 8
    assert said.preprocessing["mean"] == [0.0, 0.0, 0.0]
    assert len(notes) == 3
    rows, _ = completed(
        Description.read('{"preprocessing": {"features": ["a", "b", "c", "d"]}}'), ROWS
    )
    assert rows.task is Task.TABULAR_CLASSIFICATION
    assert [each["name"] for each in rows.preprocessing["features"]] == ["a", "b", "c", "d"]
    assert Description.read(said.written()) == said


@pytest.mark.parametrize(
    ("card", "found", "words"),
    [
        ("[1]", FOUND, "no JSON object"),
        ("{", FOUND, "no JSON"),
        ('{"task": "reconstruction"}', FOUND, "no task that can be asked"),
        ('{"task": "translation"}', FOUND, "what was written so far"),
        ('{"classes": ["a", "a"]}', FOUND, "one name"),
        ('{"classes": ["a"]}', FOUND, "1 names of classes, and the network has 3"),
        ('{"classes": "abc"}', FOUND, "no list"),
        ('{"preprocessing": {"height": 9}}', FOUND, "says 9 height, the program takes 8"),
        ('{"preprocessing": {"std": [0]}}', FOUND, "not above 0"),
        ('{"preprocessing": {"mean": ["x"]}}', FOUND, "no numbers"),
        ('{"preprocessing": {"mean": [1, 2]}}', FOUND, "2 numbers for 3 channels"),
        ('{"preprocessing": {"fit": "stretch"}}', FOUND, "fit"),
        (
            '{"task": "tabular-classification", "preprocessing": {"features": ["a"]}}',
            ROWS,
            "1 inputs",
        ),
        ('{"task": "text-classification"}', ROWS, "tokenizer"),
        ('{"task": "causal-language-model"}', FOUND, r"\[3\]"),
    ],
)
def test_a_card_that_does_not_fit(card: str, found: dict[str, Any], words: str) -> None:
    with pytest.raises(BadModel, match=words) as caught:
        completed(Description.read(card), found)
    assert caught.value.next_step
