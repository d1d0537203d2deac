"""The Importance page: full on first start for every kind of model, and each way and view."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/importance.py"


def charts(app: Any) -> list[dict[str, Any]]:
    return [json.loads(each.proto.spec) for each in app.get("plotly_chart")]


@pytest.mark.parametrize("model", ["two_features", "text_rnn", "digits_cnn"])
def test_the_page_is_full_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model, set=["attribution.limit=12"])
    assert not app.error
    assert "Over " in words(app)
    assert "12 examples, evenly spread" in words(app)
    assert len(charts(app)) == 2


def test_a_model_that_writes_gets_a_sentence() -> None:
    app = opened(PAGE, model="tiny_lm")
    assert not app.error
    assert "This model writes" in words(app)
    assert not charts(app)


def test_ways_groups_and_views_of_a_table() -> None:
    app = opened(
        PAGE, model="tabular_mlp", weigh="permutation", grouped="yes", swarm="class",
        set=["permutation.repeats=2", "permutation.limit=40"],
    )  # fmt: skip
    assert not app.error
    bars, beside = charts(app)
    assert "rings the 2 seeds" in words(app)
    assert any(" more" in tick for tick in bars["layout"]["yaxis"]["ticktext"])
    assert beside["layout"]["title"]["text"].startswith("<b>By true class")
    app.query_params["swarm"] = "value"
    app.query_params["grouped"] = ""
    settle(app)
    assert charts(app)[1]["layout"]["xaxis"]["title"]["text"] == "value of the column"
    assert not app.exception


def test_what_takes_long_is_asked_for_with_an_estimate() -> None:
    app = opened(PAGE, model="digits_cnn", weigh="shapley", set=["shapley.n_samples=400"])
    assert "takes about" in words(app)
    assert not charts(app)
    assert not [each for each in handles(app) if each.call.verb == "importance"]


def test_one_feature() -> None:
    app = opened(PAGE, model="two_features", weighed="feature")
    assert not app.error
    lines, heat = charts(app)
    assert "over second feature" in lines["layout"]["title"]["text"]
    assert heat["data"][0]["type"] == "heatmap"
    assert "Friedman's H" in words(app)
    app.toggle[0].set_value(True)
    settle(app)
    assert param(app, "centred") == ["yes"]
    assert "from 0" in charts(app)[0]["layout"]["title"]["text"]
    pictures = opened(PAGE, model="digits_cnn", weighed="feature")
    assert "Only a column of a table" in words(pictures)


def test_what_is_not_there_is_passed_over() -> None:
    app = opened(
        PAGE, model="two_features", weigh="taste", swarm="none", feature="third", partner="x",
        explainer="magic", positive="moon",
    )  # fmt: skip
    assert not app.exception
    assert not app.error
    assert len(charts(app)) == 2
