"""The page of one's own model: a file is dropped, what is missing is asked for, it is in hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

import sample_models
from core.errors import BadModel
from core.models.exported import own
from core.models.exported.clean import clean
from core.models.exported.description import Description
from core.models.exported.trial import tried
from core.models.formats import door
from core.progress import Meter
from core.workspace import Workspace
from dashboard.bringing import form
from dashboard.checking import report
from tests.pages.driving import opened, param, settle, words
from tests.test_exported_clean import Net, exported, saved
from tests.test_exported_module import Recurrent
from tests.test_ways_in import Joined

PAGE = "views/models.py"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are opened here, and not checked up: that a process of its own does the same is tested
    elsewhere.
    """

    def here(source: Path, target: Path, meter: Meter) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(tried(clean(source, target), target)))
        return found

    monkeypatch.setattr(own, "opened", here)
    monkeypatch.setattr(report, "panel", lambda model: None)


def dropped(app: AppTest, path: Path) -> AppTest:
    """The page after a file was dropped on it."""
    app.file_uploader(key="bring").set_value((path.name, path.read_bytes(), "application/zip"))
    return settle(app)


def test_a_network_is_brought_and_described(place: Workspace, tmp_path: Path) -> None:
    torch.manual_seed(0)
    app = opened(PAGE, model="digits_cnn")
    assert "torch.export.save" in app.code[0].value
    dropped(app, exported(tmp_path / "shapes.pt2"))
    assert not app.exception
    assert "Its 3 classes have no names" in words(app)
    assert "on the page Your model" in words(app)  # where it is read on another page, too
    assert "Looked into" not in [each.label for each in app.selectbox]  # there is no choice
    assert param(app, "model") == ["own:shapes"]
    before = own.card("own:shapes")
    next(each for each in app.text_area if each.label.startswith("Classes")).set_value(
        "round\nsquare\nlong"
    )
    next(each for each in app.selectbox if each.label == "Values of a pixel become").set_value(
        "−1 to 1"
    )
    next(each for each in app.button if each.label == "Save").click()
    settle(app)
    after = own.card("own:shapes")
    assert after.classes == ("round", "square", "long")
    assert after.preprocessing is not None
    assert (after.preprocessing.mean, after.preprocessing.std) == ((0.5,), (0.5,))
    assert before.preprocessing is not None
    assert before.preprocessing.mean == (0.0,)
    for name, text in (("Mean", "0.3"), ("Std", "0.2")):  # and the choice as it was
        next(each for each in app.text_input if each.label == name).set_value(text)
    next(each for each in app.button if each.label == "Save").click()
    settle(app)
    typed = own.card("own:shapes").preprocessing
    assert typed is not None
    assert (typed.mean, typed.std) == ((0.3,), (0.2,))
    found = app.table[0].value
    assert found.loc["classes"].item() == "round, square, long"
    assert found.loc["parameters"].item() == f"{sum(p.numel() for p in Net().parameters()):,}"
    next(each for each in app.text_area if each.label.startswith("Classes")).set_value(
        "round\nsquare"
    )
    next(each for each in app.button if each.label == "Save").click()
    settle(app)
    assert "2 names of classes, and the network has 3 outputs" in words(app)
    assert own.card("own:shapes").classes == ("round", "square", "long")


def test_what_is_missing_is_asked_for(place: Workspace, tmp_path: Path) -> None:
    app = opened(PAGE, model="digits_cnn")
    ids = torch.arange(14).reshape(2, 7)
    dropped(app, saved(Recurrent(), (ids,), tmp_path / "words.pt2"))
    assert "needs the tokenizer" in words(app)
    assert param(app, "model") == ["digits_cnn"]
    assert len(param(app, "brought")[0]) == 64
    assert [each.label for each in app.button if each.label == "Use this model"]
    assert [each.value for each in app.selectbox if each.label == "Task"] == ["text-classification"]


def test_what_else_it_takes_is_held(place: Workspace, tmp_path: Path) -> None:
    given = (torch.rand(2, 5), torch.rand(2, 3, 16, 16))
    app = dropped(opened(PAGE, model="digits_cnn"), saved(Joined(), given, tmp_path / "two.pt2"))
    assert param(app, "model") == ["own:two"]
    told = app.table[0].value.loc["several inputs"].item().replace("\\", "")
    assert told.endswith("'image' is looked into; 'numbers' (5 values) is held at 0.")

    def hold(text: str) -> None:
        box = next(each for each in app.text_input if each.label == "numbers is held at")
        box.set_value(text)
        next(each for each in app.button if each.label == "Save").click()
        settle(app)

    hold("1, 2")
    assert "held at 2 numbers, and takes 5 values" in words(app)
    assert own.card("own:two").raw["held"] == {"numbers": 0}
    hold("1, 2, 3, 4, 5.5")
    assert own.card("own:two").raw["held"] == {"numbers": [1, 2, 3, 4, 5.5]}
    assert "numbers is held at 1, 2, 3, 4, 5.5" in words(app)  # in the sidebar, on every page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(form, "_MOST_TYPED", 4)  # more are kept as they are
        app.run()
        assert "numbers is held at 1, 2, 3, 4, 5.5, as its file says" in words(app)
        next(each for each in app.button if each.label == "Save").click()
        settle(app)
        assert own.card("own:two").raw["held"] == {"numbers": [1, 2, 3, 4, 5.5]}


def test_which_input_is_looked_into_is_chosen(place: Workspace, tmp_path: Path) -> None:
    given = (torch.rand(2, 5), torch.rand(2, 3, 16, 16))
    app = dropped(opened(PAGE, model="digits_cnn"), saved(Joined(), given, tmp_path / "pair.pt2"))
    before = own.card("own:pair")
    chosen = next(each for each in app.selectbox if each.label == "Looked into")
    assert chosen.options == ["numbers: 5 numbers", "image: picture, 3 × 16 × 16"]
    assert chosen.value == ("image",)
    chosen.set_value(("numbers",))
    settle(app)
    assert own.card("own:pair") == before  # nothing is changed before it is saved
    assert [each.value for each in app.selectbox if each.label == "Task"] == [
        "tabular-classification"
    ]
    box = next(each for each in app.text_input if each.label == "image is held at")
    box.set_value("0.25")
    next(each for each in app.button if each.label == "Save").click()
    settle(app)
    assert not app.exception
    after = own.card("own:pair")
    assert (after.task.axis, after.raw["held"]) == ("columns", {"image": 0.25})
    told = app.table[0].value.loc["several inputs"].item().replace("\\", "")
    assert "'numbers' is looked into; 'image' (3 × 16 × 16 values) is held at 0.25." in told


def test_a_hostile_file_gets_a_sentence(place: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "bad.pt2"
    path.write_bytes(b"\x80\x04c__builtin__\nexec\n.")
    app = dropped(opened(PAGE, model="digits_cnn"), path)
    assert "'bad.pt2' is a pickle" in words(app).replace("\\", "")
    assert param(app, "model") == ["digits_cnn"]
    assert not app.exception


def test_an_address_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "address_nets.py").write_text("open('ran', 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    app = opened(PAGE, model="address_nets:build")
    assert "There is no model 'address" in words(app).replace("\\", "")
    assert param(app, "model") == ["digits_cnn"]
    assert "address_nets" not in sys.modules
    assert not (tmp_path / "ran").exists()


def test_weights_say_what_they_are_of(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[str, Description | None]] = []

    def add(
        path: Path, said: Description | None, name: str, place: Workspace, meter: Meter
    ) -> own.Added:
        taken.append((path.name, said))
        raise BadModel("No such weights.", "Choose others.")

    monkeypatch.setattr(door, "add", add)
    weights = Path(sample_models.__file__).parent / "weights" / "digits_cnn" / "model.safetensors"
    app = opened(PAGE, model="digits_cnn")
    app.selectbox(key="bring:architecture").set_value("digits_cnn")
    app.text_input(key="bring:classes").set_value("zero, one")
    dropped(app, weights)
    said = Description(classes=("zero", "one"), architecture={"name": "digits_cnn"})
    assert taken == [("model.safetensors", said)]
    assert "No such weights" in words(app).replace("\\", "")
    app.text_area(key="bring:card").set_value('{"architecture": "fashion_cnn"}')
    settle(app)
    assert taken[1:] == [("model.safetensors", Description(architecture={"name": "fashion_cnn"}))]
