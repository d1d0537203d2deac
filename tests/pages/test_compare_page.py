"""The Compare page: full on first start for every kind of model, and each of its parts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/compare.py"


def made(app: Any, verb: str) -> list[Any]:
    return [each.result() for each in handles(app) if each.call.verb == verb]


@pytest.mark.parametrize(
    ("model", "other"),
    [("digits_cnn", "digits_cnn (sample), epoch 1"), ("text_rnn", "Itself in eight bits")],
)
def test_the_page_is_full_for_every_kind_of_model(model: str, other: str) -> None:
    app = opened(PAGE, model=model)
    assert not app.error
    assert f"Second: {other}" in words(app).replace("\\", "")
    assert {"Accuracy", "Agree", "Kappa", "Apart", "McNemar"} <= {each.label for each in app.metric}
    assert "The example in hand" in words(app)
    assert len(app.get("plotly_chart")) == 3
    (found,) = made(app, "compare")
    assert len(app.dataframe[0].value) == min(200, found.examples)


def test_reasons_of_rows_on_one_scale() -> None:
    app = opened(PAGE, model="tabular_mlp", compared="reasons", other="run:tabular_mlp@5")
    assert not app.error
    assert "Rank correlation" in words(app)
    one, two = (each[0] for each in made(app, "attribute")[-2:])
    (chart,) = app.get("plotly_chart")
    figure = json.loads(chart.proto.spec)
    assert len(figure["data"]) == 3
    ranges = {tuple(figure["layout"][f"xaxis{n}"]["range"]) for n in ("", "2", "3")}
    assert len(ranges) == 1
    gaps = np.sort(np.abs(one.values - two.values))
    assert gaps.max() <= 2 * max(ranges)[1]
    assert one.provenance.model == "tabular_mlp"
    assert two.provenance.model == "run:tabular_mlp@5"


def test_each_other_part() -> None:
    app = opened(PAGE, model="digits_cnn", compared="metrics")
    assert "only the first on" in words(app)
    app.query_params["compared"] = "layers"
    app.run()
    settle(app)
    assert not app.error
    assert "Linear CKA over" in words(app)
    app.query_params["compared"] = "attention"
    app.run()
    settle(app)
    assert not app.error
    assert "no attention" in words(app).replace("\\", "")


def test_heads_and_reasons_of_a_text() -> None:
    app = opened(PAGE, model="sentiment", compared="attention", other="int8")
    assert not app.error
    assert "Click a head to see both of its maps" in words(app)
    app.query_params["compared"] = "reasons"
    app.run()
    settle(app)
    assert not app.error
    assert "of the strongest tenth is the same" in words(app)


@pytest.mark.slow
def test_models_that_write() -> None:
    app = opened(PAGE, model="tiny_lm")
    assert not app.error
    assert "Where they differ most" in words(app)
    assert "Nats per token" in {each.label for each in app.metric}


def test_what_cannot_stand_beside_it_is_told() -> None:
    app = opened(PAGE, model="digits_cnn", other="sentiment", compared="taste", reasoned="magic")
    assert not app.exception
    assert not app.error
    assert "'sentiment' cannot stand beside this model" in words(app)
    assert param(app, "other") == ["sentiment"]
