"""Edits of a text beside the original, on a real engine and the recurrent network."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.text import decode
from core.results.levels import Grouped
from dashboard import cached, counterfactual, pickedwords, state
from tests.pages.driving import opened, param, settle, words

TEXT = "software-game.txt"


def text_of(name: str) -> str:
    return decode(cached.example(name))


def grouped(labels: list[str], values: list[float]) -> Grouped:
    count = len(labels)
    return Grouped(
        text=" ".join(labels),
        labels=tuple(labels),
        spans=tuple((0, 0) for _ in labels),
        special=(False,) * count,
        parts=(0,) * count,
        tokens=tuple((place,) for place in range(count)),
        values=np.array(values),
    )


def test_words_of_two_texts_are_paired_and_differences_add_up() -> None:
    before = grouped(["a", "very", "bad", "film"], [0.1, -0.5, -2.0, 0.25])
    after = grouped(["a", "good", "film", "!"], [0.2, 1.5, 0.5, 0.125])
    found = counterfactual.changes(before, after)
    pairs = [(each.before, each.after) for each in found]
    assert pairs == [("a", "a"), ("very", "good"), ("bad", None), ("film", "film"), (None, "!")]
    total = sum(each.difference for each in found)
    assert total == pytest.approx(after.values.sum() - before.values.sum(), abs=1e-12)


def test_a_text_with_other_words_is_no_edit() -> None:
    assert counterfactual.is_edit("a very bad film", "a very good film")
    assert not counterfactual.is_edit("a very bad film", "tools for photographs")


@pytest.mark.parametrize(("read", "picked"), [(0, "5-7"), (5, "5-7")])
def test_a_click_takes_the_characters_of_the_whole_text(
    read: int, picked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "fast 3D shooter with network play"
    kept = cached.keep_upload("text.txt", text.encode())
    changes: dict[str, str] = {}
    monkeypatch.setattr(state, "change", lambda **given: changes.update(given))
    start = text.index("3D") - read
    groups = Grouped(
        text=text[read:],
        labels=("3D", "special tokens"),
        spans=((start, start + 2), (28, 28)),
        special=(False, True),
        parts=(0, 0),
        tokens=((1,), (0,)),
        values=np.zeros(2),
    )
    for place in (1, 2, -1):
        pickedwords.pick(state.Selection(example=kept), groups, place)
    assert not changes
    pickedwords.pick(state.Selection(example=kept), groups, 0)
    assert changes == {"picked": picked}


def test_an_edit_stands_beside_the_original_until_it_is_undone() -> None:
    app = opened(model="text_rnn", example=TEXT, methods="input_x_gradient")
    first = text_of(TEXT)
    box = next(each for each in app.text_area if each.label == "Text")
    box.set_value(first.replace(first.split()[0], "photo", 1)).run()
    settle(app)
    assert not app.exception
    assert param(app, "original") == [TEXT]
    assert "Before the edit: **" in words(app)
    moved, changed = (app.dataframe[place].value for place in (0, 1))
    assert moved["Change"].sum() == pytest.approx(0, abs=1e-3)
    assert "photo" in list(changed["Now"])
    before, now = (changed[name].map(float).sum() for name in ("Value before", "Value now"))
    assert changed["Difference"].sum() == pytest.approx(now - before, abs=0.01)
    next(each for each in app.button if each.label == "Back to the original").click().run()
    settle(app)
    assert param(app, "example") == [TEXT]
    assert "Before the edit" not in words(app)


@pytest.mark.parametrize("blank", ["", " \n\t "])
def test_a_blank_text_is_told_and_the_answer_before_stays(blank: str) -> None:
    app = opened(model="text_rnn", example=TEXT, methods="input_x_gradient")
    box = next(each for each in app.text_area if each.label == "Text")
    box.set_value(blank).run()
    settle(app)
    assert not app.exception
    assert "There is nothing to read" in words(app)
    assert param(app, "example") == [TEXT]
    box = next(each for each in app.text_area if each.label == "Text")
    box.set_value("a small shooter").run()
    settle(app)
    assert "There is nothing to read" not in words(app)


def test_a_picked_word_is_dropped_and_replaced() -> None:
    app = opened(model="text_rnn", example=TEXT, methods="input_x_gradient", picked="8-15")
    first = text_of(TEXT)
    assert first[8:15] == "shooter"
    assert "**shooter**" in words(app)
    next(each for each in app.button if each.label == "Drop").click().run()
    settle(app)
    assert text_of(param(app, "example")[0]) == first.replace("shooter ", "")
    app.query_params["picked"] = "0-4"
    settle(app)
    box = next(each for each in app.text_input if each.label == "Replace with")
    box.set_value("<b>🎮</b>").run()
    settle(app)
    assert text_of(param(app, "example")[0]).startswith("<b>🎮</b> 3D with network")
    assert param(app, "original") == [TEXT]
    assert not app.exception


def test_a_masked_word_shows_the_answer_without_an_edit() -> None:
    app = opened(model="text_rnn", example=TEXT, methods="input_x_gradient", picked="8-15")
    next(each for each in app.button if each.label == "Mask").click().run()
    settle(app)
    assert "With **shooter** masked it says **" in words(app)
    assert param(app, "example") == [TEXT]


@pytest.mark.parametrize("picked", ["5-3", "0-99999", "-", "a-b", "9" * 500 + "-0", "4-5"])
def test_a_senseless_word_is_none(picked: str) -> None:
    app = opened(model="text_rnn", example=TEXT, methods="input_x_gradient", picked=picked)
    assert "Click a word" in words(app)


def test_a_lost_original_is_told() -> None:
    app = opened(
        model="text_rnn", example=TEXT, methods="input_x_gradient", original="upload:" + "0" * 64
    )
    assert "is not stored on this machine" in words(app).replace("\\", "")
    assert "It says" in words(app)


def test_fewest_words_are_found_on_a_click_and_shown_as_an_edit() -> None:
    app = opened(model="text_rnn", example=TEXT, methods="input_x_gradient")
    next(each for each in app.button if each.label.startswith("Fewest words")).click().run()
    settle(app)
    assert "Without **" in words(app)
    next(each for each in app.button if each.label == "Show it").click().run()
    settle(app)
    assert param(app, "original") == [TEXT]
    before, now = words(app).split("Before the edit: **")[1].split("** · now: **")
    assert before.split()[0] != now.split()[0]


def test_what_a_model_writes_is_compared_as_a_whole() -> None:
    example = "verse-bread.txt"
    app = opened(model="translator", example=example, methods="input_x_gradient")
    box = next(each for each in app.text_area if each.label == "Text")
    box.set_value(text_of(example).replace("bread", "water")).run()
    settle(app)
    assert not app.exception
    assert "Before the edit: **" in words(app)
    assert not [each for each in app.button if each.label.startswith("Fewest words")]
    app.query_params["picked"] = "0-2"
    settle(app)
    next(each for each in app.button if each.label == "Mask").click().run()
    settle(app)
    assert "log-probability of the same output goes" in words(app)
