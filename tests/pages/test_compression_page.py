"""The Compression page: full on first start for every kind of model, and for every method."""

from __future__ import annotations

import pytest

from core.compression.methods import METHODS
from dashboard import cached
from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/compression.py"


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("text_rnn", marks=pytest.mark.slow)])
def test_the_page_is_full_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model)
    assert not app.error
    titles = {each.label for each in app.metric}
    assert {"Size", "Speed", "Accuracy", "New answer", "Reasons alike"} <= titles
    assert "Each layer" in str([each.proto.spec for each in app.get("plotly_chart")])
    if model == "text_rnn":
        return
    app.query_params["shrunk"] = "reasons"
    app.run()
    settle(app)
    assert not app.error
    assert "The same answer for other reasons" in words(app)
    assert "on one scale: rank correlation" in words(app)
    app.query_params["shrunk"] = "who"
    app.run()
    settle(app)
    assert "F1 of each class" in words(app)


def test_models_that_write_have_costs_only() -> None:
    app = opened(PAGE, model="tiny_lm", smaller="bf16")
    assert not app.error
    assert {each.label for each in app.metric} == {"Size", "Speed"}
    assert "only classifiers are compared" in words(app)


def test_another_method_with_a_setting() -> None:
    app = opened(PAGE, model="digits_cnn", smaller="prune", set=["prune.amount=0.9"])
    (made,) = [each for each in handles(app) if each.call.verb == "compression_costs"]
    assert made.result().small.nonzero < 0.11 * 421_642
    (drift,) = [each for each in handles(app) if each.call.verb == "compression_drift"]
    changed = len(drift.result().changed)
    assert changed
    assert f"Another answer** · {changed:,}" in words(app)
    assert param(app, "smaller") == ["prune"]
    app.query_params["smaller"] = "bf16"
    app.run()
    settle(app)
    assert not app.error
    assert "bfloat16" in {each.title for each in METHODS}


def test_one_way_after_another() -> None:
    chain = {"model": "tabular_mlp", "smaller": "prune", "then": "int8,nonsense,prune"}
    app = opened(PAGE, **chain)
    assert "Magnitude pruning 0.5, then Dynamic int8." in words(app)
    (costs,) = [each.result() for each in handles(app) if each.call.verb == "compression_costs"]
    alone = opened(PAGE, model="tabular_mlp", smaller="int8")
    (whole,) = [each.result() for each in handles(alone) if each.call.verb == "compression_costs"]
    assert costs.small.nonzero < 0.6 * whole.small.nonzero
    assert costs.small.bytes <= whole.small.bytes
    app.multiselect(key="bound:then").set_value(["bf16"])
    settle(app)
    assert not app.error
    assert param(app, "then") == ["bf16"]
    assert "Magnitude pruning 0.5, then bfloat16." in words(app)
    app.multiselect(key="bound:then").set_value(["int8", "lowrank"])
    settle(app)
    (error,) = app.error
    assert "Low rank finds nothing to do after Dynamic int8" in error.value


def test_what_is_not_there_is_told() -> None:
    app = opened(PAGE, model="digits_cnn", smaller="magic", set=["prune.amount=many"])
    assert not app.exception
    assert not app.error
    app = opened(PAGE, model="digits_cnn", smaller="lowrank", set=["lowrank.energy=1.0"])
    assert "No layer gets smaller" in " ".join(each.value for each in app.error)


def test_a_sweep_is_asked_for_and_there_again_after_a_reload() -> None:
    where = {"model": "tabular_mlp", "smaller": "channels", "shrunk": "sweep"}
    app = opened(PAGE, **where)
    (button,) = [each for each in app.button if each.label == "Sweep amount"]
    button.click()
    settle(app)
    assert "less accurate" in words(app)
    assert "less accurate" in words(opened(PAGE, **where))
    cached.compressed_models.clear()
    small = next(iter(cached.compressed_models()))
    again = opened(PAGE, model=small)
    assert any(title.startswith("Channels 0.3") for title in again.sidebar.selectbox[0].options)
    assert "which it was made of" in words(again)
    assert {"Size", "Speed", "Accuracy"} <= {each.label for each in again.metric}
