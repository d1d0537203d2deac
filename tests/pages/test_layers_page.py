"""The Layers page: full on first start for every kind of model, and each of its parts."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/layers.py"


def verbs(app: object) -> dict[str, str]:
    return {handle.call.verb: handle.state for handle in handles(app)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "model",
    ["digits_cnn", "fashion_vit", pytest.param("text_rnn", marks=pytest.mark.slow), "tiny_lm"],
)
def test_the_page_is_full_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model)
    assert not app.error
    assert "The band is healthy" in words(app)
    ended = verbs(app)
    for verb in ("layer_behaviour", "insides", "unit_attribution", "neuron_attribution"):
        assert ended[verb] == "done"
    assert "Unit" in words(app)


@pytest.mark.parametrize(
    ("panel", "verb", "said"),
    [
        ("part", "layer_probes", "A linear classifier"),
        ("alike", "layer_behaviour", "Linear CKA"),
        ("lens", "logit_lens", "the likeliest answer is the model's own"),
        ("data", "layer_behaviour", "healthy"),
    ],
)
def test_each_part(panel: str, verb: str, said: str) -> None:
    app = opened(PAGE, model="fashion_vit", panel=panel)
    assert not app.error
    assert verbs(app)[verb] == "done"
    assert said in words(app)


def test_what_is_shown_of_layers_is_chosen_once_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the browser tells back what was shown before, as if a person had chosen it."""
    from dashboard.projecting import captured

    def box(app: AppTest) -> Any:
        return next(each for each in app.selectbox if each.label == "Every layer's")

    with monkeypatch.context() as patch:
        patch.setattr(captured, "captured", lambda *_: None)
        app = opened(PAGE, model="digits_cnn")
        assert box(app).disabled
        assert box(app).key != "bound:statistic"
        patch.setattr(captured, "given_up", lambda: True)  # a person cancelled it
        assert not box(app.run()).disabled
    assert not box(settle(app)).disabled
    assert box(app).value == "rank"
    assert "statistic" not in app.query_params


def test_two_classes_and_another_model() -> None:
    app = opened(PAGE, model="digits_cnn", panel="part", pair="4-9")
    (made,) = [each for each in handles(app) if each.call.verb == "layer_probes"]
    assert made.result().classes == ("4", "9")
    app = opened(PAGE, model="fashion_vit", panel="alike", other="fashion_cnn")
    (made,) = [each for each in handles(app) if each.call.verb == "compare_layers"]
    assert made.result().other == "fashion_cnn"


def test_a_layer_and_a_unit_are_switched_off_and_on_again() -> None:
    app = opened(PAGE, model="digits_cnn", module="relu3", unit="17")
    app.button(key="off:relu3:17").click()
    settle(app)
    assert param(app, "cut") == ["relu3:17"]
    assert "relu3 unit 17" in words(app)
    assert verbs(app)["ablated_metrics"] == "done"
    app.button(key="off:relu3:").click()
    settle(app)
    assert "all of relu3" in words(app)
    app.button(key="cut-nothing").click()
    settle(app)
    assert "Nothing is switched off" in words(app)
    assert "cut" not in app.query_params


def test_what_is_not_there_is_told() -> None:
    app = opened(
        PAGE, model="digits_cnn", module="no_such", unit="99999", statistic="taste", pair="3-77",
        panel="part", other="nobody", cut="a,b:,c:x",
    )  # fmt: skip
    assert "There is no layer" in words(app)
    assert not app.exception


def test_time_per_layer() -> None:
    app = opened(PAGE, model="digits_cnn", statistic="time")
    assert verbs(app)["layer_times"] == "done"
    assert not app.error
