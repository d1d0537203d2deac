"""The Attention page in Streamlit's own test runner, on a real engine and the sample models."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pytest
from plotly.io import from_json
from streamlit.testing.v1 import AppTest

from core.engine.call import Call
from core.results import AttentionMaps, AttentionOverview, Prediction
from dashboard import cached
from tests.pages.driving import SECONDS, opened, settle, words

PAGE = "views/attention.py"
CAVEAT = "Attention shows where the model looked, not why it answered."


def said(app: AppTest) -> str:
    return words(app).replace("\\", "")


def charts(app: AppTest) -> list[Any]:
    return [from_json(chart.proto.spec) for chart in app.get("plotly_chart")]


def numbers(packed: Any) -> np.ndarray[Any, Any]:
    """An array as Plotly sends it."""
    if not isinstance(packed, dict):
        return np.asarray(packed)
    shape = [int(size) for size in str(packed.get("shape", "-1")).split(",")]
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).reshape(shape)


def drawn_lines(figure: Any) -> int:
    return sum(len(numbers(each.x)) for each in figure.data if each.mode == "lines")


def choose(app: AppTest, field: str, value: Any) -> AppTest:
    kinds = [*app.selectbox, *app.get("button_group")]
    next(each for each in kinds if each.key == f"bound:{field}").set_value(value)
    return settle(app)


def press(app: AppTest, label: str) -> AppTest:
    next(each for each in app.button if each.label == label).click()
    return settle(app)


def call(verb: str, model: str, example: str, **parameters: Any) -> Any:
    """What the engine says, asked for directly."""
    asked = Call(verb, cached.model_ref(model), (cached.example(example),), parameters)
    return cached.engine().submit(asked).result(timeout=SECONDS)[0]


def test_a_vision_transformer_shows_its_heads_over_the_picture() -> None:
    app = opened(
        PAGE,
        methods="saliency",
        model="fashion_vit",
        example="fashion-bag.png",
        layer="2",
        head="1",
    )
    text = said(app)
    assert CAVEAT in text
    found: AttentionOverview = call("attention_overview", "fashion_vit", "fashion-bag.png")
    assert f"entropy {found.entropy[2][1]:.2f} nats" in text
    assert "Layer 2 · head 1" in text and found.layers[2].name in text
    every, one = charts(app)
    assert len(every.data[1].customdata) == 16
    assert len(every.layout.shapes) == 1
    maps: AttentionMaps = call(
        "attention", "fashion_vit", "fashion-bag.png", layers=(found.layers[2].name,)
    )
    key = maps.keys["encoder"]
    assert key.grid is not None
    expected = maps.maps[0][1, 0, key.prefix :].reshape(key.grid)
    np.testing.assert_allclose(numbers(one.data[1].z), expected, atol=1e-6)
    choose(app, "show", "map")
    np.testing.assert_allclose(numbers(charts(app)[1].data[0].z), maps.maps[0][1], atol=1e-6)
    choose(app, "show", "rollout")
    flow = call(
        "attention_flow", "fashion_vit", "fashion-bag.png", kind="rollout", role="encoder", query=0
    )
    np.testing.assert_allclose(
        numbers(charts(app)[1].data[1].z).ravel(), flow.values[0, key.prefix :], atol=1e-6
    )
    assert app.query_params["show"] in ("rollout", ["rollout"])
    table = app.dataframe[0].value
    assert len(table) == 16
    np.testing.assert_allclose(table["Entropy"], np.concatenate(found.entropy), atol=1e-6)


def test_translation_begins_with_the_alignment_and_one_word_is_followed_everywhere() -> None:
    app = opened(PAGE, methods="saliency", model="translator", example="verse-king.txt")
    assert "cross" in said(app)
    one = charts(app)[1]
    assert "king" in one.layout.xaxis.ticktext and "rey" in one.layout.yaxis.ticktext
    assert CAVEAT in said(app)
    choose(app, "show", "lines")
    lines = charts(app)[1]
    everything = drawn_lines(lines)
    choose(app, "place", list(one.layout.yaxis.ticktext).index("rey"))
    assert 0 < drawn_lines(charts(app)[1]) < everything
    choose(app, "show", "token")
    rows = numbers(charts(app)[1].data[0].z)
    assert len(rows) == 12  # three layers of four heads
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


def test_the_flow_of_a_text_can_be_that_of_one_token() -> None:
    app = opened(PAGE, methods="saliency", model="sentiment", example="review-warm.txt")
    choose(app, "show", "flow")
    every = numbers(charts(app)[1].data[0].z)
    choose(app, "place", 1)
    one = numbers(charts(app)[1].data[0].z)
    assert every.shape[0] == every.shape[1] > 1
    np.testing.assert_allclose(one, every[1:2], atol=1e-6)


def test_heads_are_switched_off_and_on_again() -> None:
    app = opened(
        PAGE,
        methods="saliency",
        model="fashion_vit",
        example="fashion-bag.png",
        layer="3",
        head="2",
    )
    assert "Without" not in said(app)
    press(app, "Switch this head off")
    assert app.query_params["off"] in ("3:2", ["3:2"])
    before: Prediction = call("predict", "fashion_vit", "fashion-bag.png")
    name = call("attention_overview", "fashion_vit", "fashion-bag.png").layers[3].name
    after: Prediction = call("ablate_heads", "fashion_vit", "fashion-bag.png", heads=((name, 2),))
    shares = re.findall(r"([\d.]+)%", said(app).partition("With all heads")[2])
    top = before.top(1)[0], after.top(1)[0]
    assert float(shares[0]) == pytest.approx(100 * before.probabilities[top[0]], abs=0.06)
    assert float(shares[1]) == pytest.approx(100 * after.probabilities[top[1]], abs=0.06)
    press(app, "Switch it on again")
    assert "Without" not in said(app) and "off" not in app.query_params


@pytest.mark.parametrize("address", ["99", "99999999", "x"])
def test_an_address_beyond_the_model_shows_what_there_is(address: str) -> None:
    app = opened(
        PAGE,
        model="fashion_vit", example="fashion-bag.png", layer=address, head=address, place=address,
        off=f"{address}:{address}", show="flow",
    )  # fmt: skip
    assert len(charts(app)) == 2
    assert "Layer " in said(app)


def test_a_model_without_attention_says_so() -> None:
    app = opened(PAGE, methods="saliency", model="digits_cnn")
    assert "has no attention" in said(app)
    assert not charts(app) and not app.error
