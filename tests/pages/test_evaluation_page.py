"""The Evaluation page: full on first start for every kind of model, and each of its parts."""

from __future__ import annotations

import pytest

from core.data import subset as subsets
from dashboard import cached
from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/evaluation.py"


@pytest.mark.parametrize(
    "model", ["digits_cnn", pytest.param("text_rnn", marks=pytest.mark.slow), "tiny_lm"]
)
def test_the_page_is_full_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model)
    assert not app.error
    assert "intervals by bootstrap" in words(app)
    assert len(app.metric) >= (1 if model == "tiny_lm" else 5)


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ("curves", "Of an area 1 is best"),
        ("groups", "Largest and smallest differ"),
        ("calibration", "intervals by bootstrap"),
        ("measures", "intervals by bootstrap"),
    ],
)
def test_each_part(judged: str, said: str) -> None:
    app = opened(PAGE, model="digits_cnn", judged=judged, rate="caught", positive="3")
    assert not app.error
    assert said in words(app)


def test_a_threshold_is_moved() -> None:
    app = opened(PAGE, model="sentiment", judged="curves", positive="negative")
    recall = [each.value for each in app.metric if each.label == "Recall"]
    app.slider[0].set_value(5)
    settle(app)
    assert param(app, "threshold") == ["5"]
    lower = [each.value for each in app.metric if each.label == "Recall"]
    assert float(lower[-1].strip("%")) > float(recall[-1].strip("%"))


def test_a_mistake_is_taken_in_hand() -> None:
    app = opened(PAGE, model="digits_cnn")
    app.button(key="mistakes").click()
    settle(app)
    assert param(app, "subset")
    assert "10 examples" in words(app)
    assert "The right ones nearest to them" in words(app)
    app.query_params["judged"] = "groups"
    app.query_params["split"] = "picked"
    app.run()
    settle(app)
    (made,) = [each for each in handles(app) if each.call.verb == "evaluate_groups"]
    assert made.result().groups[0].right[0] == 0
    assert made.result().groups[1].right[0] == 1


def test_a_named_selection_is_a_group() -> None:
    data = cached.dataset("digits_cnn")
    some = subsets.renamed(subsets.picked(data, range(3)), "the first")
    key = subsets.keep(cached.place(), some)
    app = opened(PAGE, model="digits_cnn", judged="groups", split=f"picked:{key}")
    assert not app.error
    assert "the first and the rest" in app.selectbox(key="bound:split").options
    (made,) = [each for each in handles(app) if each.call.verb == "evaluate_groups"]
    few, rest = made.result().groups
    assert (few.examples, rest.examples) == (3, len(data) - 3)
    assert few.right[2] - few.right[1] > 0.5  # of three one is not sure


def test_what_is_not_there_is_passed_over() -> None:
    app = opened(
        PAGE, model="digits_cnn", judged="taste", positive="eleven", split="nobody", rate="none",
        threshold="999",
    )  # fmt: skip
    assert not app.exception
    assert not app.error
