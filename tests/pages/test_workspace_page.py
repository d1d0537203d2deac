"""The Workspace page: sizes, a rename, and a deletion that asks first."""

from __future__ import annotations

from core.data.kept import all_kept, keep_data
from core.workspace import Workspace
from tests.pages.driving import opened, settle, words


def test_renaming_and_deleting(place: Workspace) -> None:
    kept = keep_data(place, "mine.csv", b"text,label\na,b\n")
    app = opened("views/workspace.py", model="text_rnn", kind="data")
    assert "Nothing of it leaves this machine" in words(app)
    assert app.dataframe[0].value["Name"].tolist() == ["mine.csv"]
    limits = app.table[-1].value
    assert r"upload\_mb" in limits.index.tolist()
    app.text_input(key=f"rename:data/{kept.key}").set_value("yours")
    app.run()
    app.button(key="rename-thing").click()
    settle(app)
    assert [each.name for each in all_kept(place)] == ["yours"]
    app.button(key="delete-things").click()
    app.run()
    assert "cannot be taken back" in words(app)
    assert len(list(all_kept(place))) == 1
    app.button(key="delete-for-good").click()
    settle(app)
    assert list(all_kept(place)) == []
    assert "1 deleted" in words(app)
    assert not app.exception


def test_settings_that_make_no_sense_are_said_on_every_page(place: Workspace) -> None:
    (place.root / "settings.toml").write_text('results_gib = ["much"]\n')
    app = opened("views/overview.py", model="text_rnn")
    assert [each.value.replace("\\", "") for each in app.error] == [
        "results_gib in settings.toml is '['much']', expected a number of gibibytes up to "
        "1,000,000. Leave it out to keep 2."
    ]
    (place.root / "settings.toml").unlink()
    app.run()
    assert not app.error
