"""The Importance page's surrogate tree, and what would change the answer to a row."""

from __future__ import annotations

import json

import pytest

from dashboard import cached
from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/importance.py"


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("text_rnn", marks=pytest.mark.slow)])
def test_the_tree_is_there_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model, weighed="surrogate")
    assert not app.error and not app.warning
    assert "Fidelity **" in words(app) and "→" in words(app)
    (figure,) = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    assert any(trace["type"] == "bar" for trace in figure["data"])
    assert "the model agrees on" in app.code[0].value


def test_the_tree_is_made_smaller_and_fitted_on_a_layer() -> None:
    app = opened(PAGE, model="two_features", weighed="surrogate")
    app.slider[0].set_value(1)
    settle(app)
    assert param(app, "set") == ["surrogate.depth=1"]
    app.selectbox(key="bound:set:surrogate.on").set_value("layer:dense1")
    settle(app)
    assert not app.error
    asked = [each for each in handles(app) if each.call.verb == "surrogate"]
    last = asked[-1].result()
    assert last.on == "layer:dense1" and last.depth == 1 and last.features[0] == "unit 0"


def test_what_has_no_tree_says_so() -> None:
    app = opened(PAGE, model="tiny_lm", weighed="surrogate")
    assert "has no classes" in app.info[0].value
    app = opened(PAGE, model="text_rnn", weighed="change")
    assert "Only rows of tables are changed here" in app.info[0].value
    wrong = ["surrogate.on=layer:gone", "surrogate.depth=many"]
    app = opened(PAGE, model="two_features", weighed="surrogate", set=wrong)
    assert not app.error and "Fidelity **" in words(app)


def test_a_change_is_taken_in_hand_and_back() -> None:
    app = opened(PAGE, model="two_features", weighed="change")
    assert not app.error and "**lower moon**" in words(app)
    before = param(app, "example")
    app.button(key="way:0").click()
    settle(app)
    assert "Before the edit: **lower moon" in words(app) and "now: **upper moon" in words(app)
    edited = json.loads(cached.example(param(app, "example")[0]).data)
    assert set(edited) == {"first feature", "second feature"}
    app.button(key="original").click()
    settle(app)
    assert param(app, "example") == before


def test_columns_are_kept() -> None:
    app = opened(PAGE, model="two_features", weighed="change", fixed='["second feature", "gone"]')
    (found,) = [each for each in handles(app) if each.call.verb == "counterfactual"]
    assert found.result().kept == ("second feature",)
    app.multiselect(key="bound:fixed").set_value(["first feature", "second feature"])
    settle(app)
    assert json.loads(param(app, "fixed")[0]) == ["first feature", "second feature"]
    assert "Every column is kept" in words(app)
    app = opened(PAGE, model="two_features", weighed="change", fixed="{nonsense")
    assert not app.error
