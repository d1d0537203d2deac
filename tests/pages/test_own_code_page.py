"""A network that a person's own code makes, on the pages: listed, made by the worker, asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from core import settings
from core.data.kept import keep_data
from core.workspace import Workspace
from dashboard import cached
from tests.pages.driving import opened, param, settle, words
from tests.test_own_code import CODE, NAME, PARTS


@pytest.fixture(scope="module", autouse=True)
def code(place: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the code, in which the dashboard is started."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "own_code.py").write_text(CODE)
    (folder / "own_parts.py").write_text(PARTS)
    names = [NAME, "own_code:broken", "nowhere:net"]
    place.root.mkdir(exist_ok=True)
    (place.root / settings.FILE).write_text(f"models = {json.dumps(names)}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUOROSCOPE_CODE", str(folder))
        cached.engine.clear()  # a worker learns where code lies when it starts
        yield folder
        cached.engine.clear()


def test_it_is_listed_made_and_asked(place: Workspace, code: Path) -> None:
    arrays = BytesIO()
    np.savez(arrays, images=np.zeros((2, 8, 8), np.uint8))
    keep_data(place, "mine.npz", arrays.getvalue())
    app = opened(model="digits_cnn")
    data = next(each for each in app.selectbox if each.label == "Data")
    assert data.options == ["Come with the model", "mine.npz"]
    choice = next(each for each in app.selectbox if each.label == "Model")
    assert choice.options[-3:] == [NAME, "own_code:broken", "nowhere:net"]
    choice.set_value(NAME)
    settle(app)
    assert not app.exception
    assert param(app, "model") == [NAME]
    assert any(each in words(app) for each in ("It says **round**", "It says **long**"))
    assert "2 classes · 248 parameters" in words(app)
    choice = next(each for each in app.selectbox if each.label == "Model")
    assert "Shapes of mine" in choice.options
    data = next(each for each in app.selectbox if each.label == "Data")
    assert data.options == ["None", "mine.npz"]  # nothing comes with it
    assert "own_code" not in sys.modules  # this is the process of the dashboard
    # Its code changes: it is made again.
    before = cached.model_ref(NAME)
    (code / "own_parts.py").write_text(PARTS.replace("108, 2", "108, 2, False"))
    settle(app)
    assert not app.exception
    assert "2 classes · 246 parameters" in words(app)
    assert cached.model_ref(NAME) != before
    # Another one fails: that is said, and what was in hand stays.
    for other, sentence in (
        ("own_code:broken", "'own_code:broken' failed: ValueError: no data here"),
        ("nowhere:net", "There is no module 'nowhere'"),
    ):
        next(each for each in app.selectbox if each.label == "Model").set_value(other)
        settle(app)
        assert not app.exception
        assert sentence in words(app).replace("\\", "")
        assert param(app, "model") == [NAME]


def test_an_address_calls_only_what_is_listed(code: Path) -> None:
    for name in ("own_code:number", "os:getcwd"):
        app = opened(model=name)
        assert f"There is no model '{name}'" in words(app).replace("\\", "")
        assert param(app, "model") == ["digits_cnn"]
    app = opened(model="own_code:broken")  # nothing was in hand before
    assert "'own_code:broken' failed" in words(app).replace("\\", "")
    assert param(app, "model") == ["digits_cnn"]


def test_a_list_that_makes_no_sense_is_said(place: Workspace) -> None:
    file = place.root / settings.FILE
    before = file.read_text()
    try:
        file.write_text('models = "own_code:shapes"\n')
        app = opened()
        assert "models in settings.toml is 'own_code:shapes', expected a list" in words(
            app
        ).replace("\\", "")
    finally:
        file.write_text(before)


def test_the_workspace_page_shows_the_list(place: Workspace) -> None:
    app = opened("views/workspace.py", model="digits_cnn")
    assert "Networks that your own code makes: own_code:shapes" in words(app).replace("\\", "")
    before = (place.root / settings.FILE).read_text()
    assert not [each for each in app.text_input if "models" in each.label.lower()]
    assert (place.root / settings.FILE).read_text() == before
