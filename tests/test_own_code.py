"""One's own code as a model: it runs only where a person wrote its name, and says what is wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import core
from core import settings
from core.attribution import describe
from core.data.gallery import gallery_item
from core.engine.call import Call
from core.engine.process import ProcessExecutor
from core.engine.verbs import VERBS
from core.errors import BadModel, BadParameter, UnknownName
from core.models.catalogue import card
from core.models.formats import configured, factory
from core.models.loader import load
from core.models.reference import ModelRef
from core.progress import Meter
from core.workspace import workspace
from tests.test_command_line import run

CODE = """
import random, torch
import own_parts
from own_parts import Wide
called = []
def shapes():
    called.append(1)
    return own_parts.net(), {
        "title": "Shapes of mine", "task": "image-classification", "classes": ["round", "long"],
        "preprocessing": {"size": 8, "channels": 1, "mean": 0.5, "std": 0.5},
    }
def other():
    called.append(2)
    net, about = shapes()
    torch.nn.init.constant_(net[-1].bias, len(called))
    return net, about
def broken():
    raise ValueError("no data here")
def leaving():
    raise SystemExit("gone")
def number():
    return 3
"""
PARTS = """
from torch import nn
class Wide(nn.Linear):
    pass
def net():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), Wide(108, 2))
"""
NAME = "own_code:shapes"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with code, in which a person stands; nothing is permitted there yet."""
    (tmp_path / "own_code.py").write_text(CODE)
    (tmp_path / "own_parts.py").write_text(PARTS)
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "place"))
    for owner, name in (
        (factory, "_typed"), (factory, "_made"), (configured, "_opened"), (configured, "_failed"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, type(getattr(owner, name))())
    monkeypatch.setattr(factory, "_listed", [])
    yield tmp_path
    for name in ("own_code", "own_parts"):
        sys.modules.pop(name, None)


def listed(home: Path, *names: str) -> None:
    """The settings list these functions."""
    (home / "place" / settings.FILE).write_text(f"models = {json.dumps(names)}\n")


def test_the_settings_name_functions(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.models() == ()
    listed(home, NAME, "a.b.c:d", NAME)
    assert settings.models() == (NAME, "a.b.c:d")
    assert settings.value("upload_mb") == 500  # beside them limits are as they were
    monkeypatch.setenv("FLUOROSCOPE_MODELS", " one:net, two.three:net ,")
    assert settings.models() == ("one:net", "two.three:net")
    monkeypatch.setenv("FLUOROSCOPE_MODELS", "")
    assert settings.models() == ()
    monkeypatch.setenv("FLUOROSCOPE_MODELS", "one:net,/etc/passwd")
    with pytest.raises(BadParameter, match="FLUOROSCOPE_MODELS names '/etc/passwd', expected"):
        settings.models()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('"a.b:c"', "is 'a.b:c', expected a list"),
        ("3", "is '3', expected a list of at most 50"),
        ("{a = 1}", "expected a list"),
        ('["a.b"]', "names 'a.b'"),
        ('["a:b()"]', "names 'a:b()'"),
        ('["own:net"]', "names 'own:net'"),
        ("[3]", "names '3'"),
        ('["a b:c"]', "names 'a b:c'"),
        (json.dumps([f"a:b{each}" for each in range(51)]), "lists 51 functions"),
        (json.dumps(["a:" + "b" * 300]), "names 'a:bbb"),
        ("[" * 400 + "]" * 400, "names|cannot be read"),
    ],
)
def test_a_list_that_makes_no_sense_gets_a_sentence(written: str, words: str, home: Path) -> None:
    (home / "place" / settings.FILE).write_text(f"models = {written}\n")
    with pytest.raises(BadParameter, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        settings.models()
    assert len(str(caught.value)) < 300


def test_only_what_a_person_wrote_runs(home: Path) -> None:
    for name in (NAME, "os:getcwd"):
        with pytest.raises(BadModel, match="only where you wrote its name"):
            core.reference(name)
    listed(home, "own_code:number")
    factory.permit_listed()
    with pytest.raises(BadModel, match="only where you wrote its name"):
        core.reference(NAME)
    assert "own_code" not in sys.modules
    with pytest.raises(BadModel, match="returns int"):
        core.reference("own_code:number")
    listed(home, NAME)  # a changed file holds at once
    assert core.reference(NAME).name == NAME


def test_what_fails_gets_a_sentence(home: Path) -> None:
    for name, words in (
        ("own_code:broken", "ValueError: no data here"),
        ("own_code:leaving", "SystemExit: gone"),
        ("own_code:none", "no function 'none' in own_code"),
        ("nowhere:net", "no module 'nowhere'"),
    ):
        factory.permit(name)
        with pytest.raises((BadModel, UnknownName), match=words):
            core.reference(name)


def test_a_network_is_made_anew_each_time_and_is_the_same(home: Path) -> None:
    factory.permit(NAME, "own_code:other")
    torch.manual_seed(7)
    before = torch.rand(1)
    torch.manual_seed(7)
    one, two = (factory.module(NAME) for _ in range(2))
    assert torch.equal(torch.rand(1), before)  # what else is random goes on as it would
    assert one is not two
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])
    factory.module("own_code:other")
    with pytest.raises(BadModel, match="other weights than when it was first called"):
        factory.module("own_code:other")


def test_the_fingerprint_is_that_of_weights_and_code(home: Path) -> None:
    factory.permit(NAME)
    first = core.reference(NAME)
    files = [Path(each).name for each in factory.live(NAME).files]
    assert files == ["own_code.py", "own_parts.py"]

    def again() -> str:
        for name in ("own_code", "own_parts"):
            sys.modules.pop(name, None)
        factory._made.clear()
        return core.reference(NAME).fingerprint

    assert again() == first.fingerprint
    (home / "own_parts.py").write_text(PARTS + "\n# the same, in other words\n")
    assert again() != first.fingerprint
    with pytest.raises(BadModel, match="is not the network that it was"):
        load(first, "cpu")


def test_the_dashboard_knows_what_its_worker_told(home: Path) -> None:
    listed(home, NAME)
    with pytest.raises(BadModel, match="was not called yet"):
        card(NAME)
    factory.permit_listed()  # as in the worker
    told = configured.open_code(ModelRef(NAME, ""), (), {}, 0, Meter())
    truth, ref = factory.card(NAME), core.reference(NAME)
    factory._listed.clear()  # and as in the dashboard again
    assert not configured.known(NAME)
    configured.keep(NAME, told)
    assert configured.known(NAME)
    found = card(NAME)
    assert (found.title, found.classes) == ("Shapes of mine", ("round", "long"))
    for each in ("task", "factory", "arguments", "preprocessing", "summary", "raw"):
        assert getattr(found, each) == getattr(truth, each)
    assert core.reference(NAME) == ref
    assert not ref.brought
    asked = configured.asked(NAME)
    os.utime(home / "own_parts.py", (1, 1))
    assert configured.changed(NAME)
    assert not configured.known(NAME)
    assert configured.asked(NAME) != asked
    listed(home)
    with pytest.raises(BadModel, match="only where you wrote its name"):
        card(NAME)


def test_a_forged_card_runs_nothing(home: Path) -> None:
    """A sealed worker may write to a folder of compressed models; and one may be a stranger's."""
    listed(home, NAME)
    factory.permit_listed()
    for of, own in (("own_code:broken", ""), ("os:getcwd", ""), ("antigravity:fly_mode", "own/")):
        folder = workspace().of(bool(own)).compressed / of.partition(":")[0]
        folder.mkdir(parents=True)
        about = {"of": of, "structure": [], "titles": ["forged"], "steps": []}
        (folder / "card.json").write_text(json.dumps(about))
        save_file({"0.weight": np.zeros(1, np.float32)}, folder / "weights.safetensors")
        with pytest.raises(BadModel, match="only where you wrote its name"):
            core.reference(f"compressed:{own}{folder.name}")
    assert not {"own_code", "antigravity"} & set(sys.modules)


def test_commands(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe, "best_batch", lambda forward, device: (2, 0.001))
    listed(home, NAME, "own_code:broken")
    status, text, _ = run(capsys, "list", "models", "--json")
    rows = {each["name"]: each for each in json.loads(text)}
    assert status == 0
    assert rows[NAME]["title"] is None  # nobody's code is run to list it
    assert "own_code" not in sys.modules
    status, text, _ = run(capsys, "check", NAME, "--json")
    assert json.loads(text)["parameters"] == 30 + 218
    picture = gallery_item("digit-3.png").path
    status, text, errors = run(
        capsys, "attribute", NAME, picture, "--method", "saliency", "--out", home / "out",
        "--format", "json",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    (written,) = (home / "out").iterdir()
    assert json.loads(written.read_text())["provenance"]["model"] == NAME
    # What was not typed and is not listed in this workspace is not run.
    folder = home / "elsewhere" / "compressed" / "forged"
    folder.mkdir(parents=True)
    about = {"of": "own_code:number", "structure": [], "titles": ["forged"], "steps": []}
    (folder / "card.json").write_text(json.dumps(about))
    status, _, errors = run(capsys, "check", "compressed:forged", "--workspace", home / "elsewhere")
    assert status == 2
    assert "only where you wrote its name" in errors
    for name in (NAME, "own_code:other"):  # and what is typed is, also as the second of two
        run(capsys, "compare", "digits_cnn", name, "--workspace", home / "elsewhere")
        assert factory.permitted(name)
    assert not factory.permitted("own_code:number")


def test_a_sealed_worker_runs_none_of_it(home: Path) -> None:
    listed(home, NAME)
    with ProcessExecutor("cpu", workspace(), verbs=VERBS, sealed=True) as worker:
        handle = worker.submit(Call("open_code", ModelRef(NAME, "")))
        with pytest.raises(BadModel, match="only where you wrote its name"):
            handle.result(60)


def test_the_worker_runs_what_the_settings_list(home: Path) -> None:
    listed(home, NAME, "own_code:broken")
    with ProcessExecutor("cpu", workspace(), verbs=VERBS) as worker:

        def asked(name: str, **more: Any) -> Any:
            return worker.submit(Call("open_code", ModelRef(name, ""), parameters=more)).result(60)

        configured.keep(NAME, asked(NAME))
        first, pid = core.reference(NAME), worker.pid
        assert "own_code" not in sys.modules
        with pytest.raises(BadModel, match="ValueError: no data here"):
            asked("own_code:broken")
        with pytest.raises(BadModel, match="only where you wrote its name"):
            asked("own_code:number")
        (home / "own_parts.py").write_text(PARTS.replace("108, 2", "108, 2, False"))
        worker.renew()
        configured.keep(NAME, asked(NAME, **configured.asked(NAME)))
        assert worker.pid != pid
        assert core.reference(NAME) != first
        picture = gallery_item("digit-3.png").example()
        (found,) = worker.submit(Call("predict", core.reference(NAME), (picture,))).result(60)
        assert found.classes == ("round", "long")
        with pytest.raises(BadModel, match="is not the network that it was"):
            worker.submit(Call("predict", first, (picture,))).result(60)
