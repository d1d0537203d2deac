"""A table of many texts on the Attribution page, on a real engine and the recurrent network."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.data.text import decode
from dashboard import cached
from tests.pages.driving import opened, param, settle, words

TEXTS = ["a small shooter", "plays <b>sound</b> files\nand more", "网络 tools"]
CSV = b'id,text\n1,a small shooter\n2,"plays <b>sound</b> files\nand more"\n3,' + (
    "网络 tools\n".encode()
)
JSONL = "".join(json.dumps({"text": each, "id": 1}) + "\n" for each in TEXTS).encode()


def with_upload(name: str, data: bytes) -> AppTest:
    app = opened(model="text_rnn", example="software-game.txt", methods="input_x_gradient")
    app.file_uploader(key="upload:tokens").set_value((name, data, "application/octet-stream")).run()
    settle(app)
    assert not app.exception
    return app


def table(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["Text"])


@pytest.mark.parametrize(("name", "data"), [("many.csv", CSV), ("rows.jsonl", JSONL)])
def test_texts_of_a_table_stand_to_pick_from(name: str, data: bytes) -> None:
    app = with_upload(name, data)
    assert table(app) == TEXTS
    assert param(app, "example") == ["software-game.txt"]
    next(each for each in app.button if each.label == "Ask the model about all").click().run()
    settle(app)
    shown = app.dataframe[0].value
    assert shown["Answer"].iloc[0] == "games"
    assert all(0.2 <= each <= 1 for each in shown["Probability"])
    next(each for each in app.button if each.label == "Close the table").click().run()
    assert "pick one" not in words(app)


def test_lines_of_a_text_are_texts_where_asked() -> None:
    app = with_upload("lines.txt", b"a small shooter\n\nplays sound files\n")
    assert param(app, "example") != ["software-game.txt"]
    next(each for each in app.button if each.label == "Take each line as a text").click().run()
    settle(app)
    assert table(app) == ["a small shooter", "plays sound files"]


def test_a_table_without_a_column_of_texts_asks_for_it() -> None:
    app = with_upload("odd.csv", b"id,words\n1,a small shooter\n2,plays sound files\n")
    assert "words" in words(app)
    box = next(each for each in app.text_input if each.label == "Column with the texts")
    box.set_value("words").run()
    settle(app)
    assert table(app) == ["a small shooter", "plays sound files"]


@pytest.mark.parametrize("data", [b"\x00\x01\x02\xff", b"text\n", b"{not json\n"])
def test_a_broken_table_is_told_and_the_text_stays(data: bytes) -> None:
    app = with_upload("bad.csv", data)
    assert app.error
    assert "It says" in words(app)


def test_a_lost_table_is_told() -> None:
    app = opened(
        model="text_rnn",
        example="software-game.txt",
        methods="input_x_gradient",
        table="upload:" + "0" * 64,
    )
    assert "is not stored on this machine" in words(app)


def test_a_row_becomes_the_text_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard import manytexts, state

    kept: dict[str, str] = {}
    monkeypatch.setattr(state, "change", lambda **changes: kept.update(changes))
    manytexts.take("many", 1, TEXTS[1])
    example = cached.example(kept["example"])
    assert (example.name, decode(example)) == ("many-2.txt", TEXTS[1])
    assert kept["original"] == ""
