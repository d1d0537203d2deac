"""The Importance page: full on first start for every kind of model, and each way to importance."""

from __future__ import annotations

import json

import pytest

from tests.pages.driving import opened, words

PAGE = "views/importance.py"


def charts(app: object) -> list[dict[str, object]]:
    return [json.loads(each.proto.spec) for each in app.get("plotly_chart")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", ["tabular_mlp", "text_rnn", "digits_cnn"])
def test_the_page_is_full_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model)
    assert not app.error
    assert "Over " in words(app)
    assert len(charts(app)) == 2


def test_a_model_that_writes_gets_a_sentence() -> None:
    app = opened(PAGE, model="tiny_lm")
    assert not app.error
    assert "This model writes" in words(app)
