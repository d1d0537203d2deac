"""A person's own data in hand: brought, looked through, judged, and named in the address."""

from __future__ import annotations

import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from core.data.dataset import dataset
from core.data.kept import InHand, all_kept, keep_data
from core.models.catalogue import card
from core.workspace import Workspace
from tests.images import png
from tests.pages.driving import opened, param, settle, words


def digits(*extra: tuple[str, bytes]) -> bytes:
    """A zip of some of the digits that ship with the model, two of each of three classes."""
    data = dataset(card("digits_cnn"))
    assert data.labels is not None
    raw = BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        for label in (1, 4, 7):
            for row in np.flatnonzero(data.labels == label)[:4].tolist():
                file.writestr(zipfile.ZipInfo(f"mine/{label}/{row}.png"), data[row].data)
        for name, content in extra:
            file.writestr(zipfile.ZipInfo(name), content)
    return raw.getvalue()


def test_a_zip_is_brought_and_judged(place: Workspace) -> None:
    raw = digits(("mine/4/notes.txt", b"four"), ("mine/4/half.png", b"\x89PNG\r\n"))
    app = opened("views/evaluation.py", model="digits_cnn")
    before = words(app)
    app.file_uploader(key="data:pixels").set_value(("mine.zip", raw, "application/zip"))
    settle(app)
    (kept,) = all_kept(place)
    assert (kept.name, kept.axis) == ("mine.zip", "pixels")
    assert param(app, "data") == [kept.key]
    said = words(app).replace("\\", "")
    assert "12 examples · 3 classes · 2 left out" in said
    assert "Over 12 labelled examples of mine.zip" in said
    assert "labelled examples of mine.zip" not in before
    assert "There is no example" not in said
    assert param(app, "example")[0].endswith(f":0@{kept.key}")
    app.button(key="what-was-read").click()
    app.run()
    left = next(each.value for each in app.dataframe if "Why" in each.value)
    assert left["Left out"].tolist() == ["4/notes.txt", "4/half.png"]
    (whole,) = (each.proto for each in app.get("download_button") if "CSV" in each.proto.label)
    assert whole.deferred_file_id, "what nobody asks for is not kept at an address that goes away"
    assert not app.exception


def test_the_same_bytes_are_kept_once(place: Workspace) -> None:
    one = keep_data(place, "one.zip", digits())
    assert keep_data(place, "two.zip", digits()) == one


def test_a_link_names_rows_of_ones_own_data(place: Workspace) -> None:
    kept = keep_data(place, "more.zip", digits(("mine/1/x.txt", b"")))
    name = f"row:digits_cnn:5@{kept.key}"
    app = opened("views/attribution.py", model="digits_cnn", data=kept.key, example=name)
    settle(app)
    assert param(app, "data") == [kept.key]
    assert not app.error
    app.selectbox(key="bound:model").set_value("text_rnn")
    settle(app)
    assert "data" not in app.query_params
    assert "another kind" in words(app)


def test_a_hostile_zip_is_not_kept(place: Workspace) -> None:
    raw = BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        file.writestr("../../evil.png", png(Image.new("L", (8, 8))))
    known = {each.key for each in all_kept(place)}
    app = opened("views/evaluation.py", model="digits_cnn")
    app.file_uploader(key="data:pixels").set_value(("evil.zip", raw.getvalue(), "application/zip"))
    settle(app)
    assert "leads out of it" in words(app)
    assert {each.key for each in all_kept(place)} == known
    assert "data" not in app.query_params


def test_columns_are_asked_for(place: Workspace) -> None:
    rows = "what,kind,stars\n" + "\n".join(
        f"a {topic} number {n},{topic},{n}" for n in range(4) for topic in ("games", "sound")
    )
    kept = keep_data(place, "odd.csv", rows.encode())
    app = opened("views/evaluation.py", model="text_rnn", data=kept.key)
    assert "Which column holds what" in words(app)
    app.selectbox(key=f"columns:text:{kept.key}").set_value("what")
    app.selectbox(key=f"columns:label:{kept.key}").set_value("kind")
    app.run()
    app.button(key="read-columns").click()
    settle(app)
    assert param(app, "data") == [f"{kept.key},what,kind"]
    assert "8 examples" in words(app)
    assert "Over 8 labelled examples of odd.csv" in words(app).replace("\\", "")


def test_lost_data_are_told() -> None:
    app = opened("views/evaluation.py", model="digits_cnn", data="0123456789abcdef")
    assert "not kept on this machine" in words(app)
    assert "data" not in app.query_params


def test_names_of_data_in_an_address() -> None:
    for named in (InHand("ab"), InHand("ab", "a~b:@c"), InHand("ab", "", "é ")):
        assert InHand.parsed(str(named)) == named
        assert not set(str(named)) & set(":@ ")


def test_the_worker_is_what_opens_them(place: Workspace) -> None:
    """A page in whose process nothing was looked through yet does not open them itself."""
    from core.errors import BadInput
    from dashboard import cached

    kept = keep_data(place, "unseen.zip", digits(("mine/7/y.txt", b"")))
    with pytest.raises(BadInput, match="not been looked at"):
        cached.dataset("digits_cnn", kept.key)
