"""Concepts and Training examples on the Importance page: full at first, and sentences else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pages.driving import opened, words

PAGE = "views/importance.py"


def charts(app: Any) -> list[dict[str, Any]]:
    return [json.loads(each.proto.spec) for each in app.get("plotly_chart")]


def test_concepts_of_a_table() -> None:
    app = opened(
        PAGE, model="tabular_mlp", weighed="concepts", concepts="high-worst-radius,gone",
        positive="malignant",
    )  # fmt: skip
    assert not app.exception
    assert not app.error
    (chart,) = charts(app)
    assert chart["layout"]["title"]["text"].startswith("<b>Does 'malignant' lean on it?")
    assert "Over 52 examples of the class" in words(app)
    assert any("≈ random" in each.value.to_string() or "%" in each.value.to_string()
               for each in app.dataframe)  # fmt: skip


def test_training_examples_of_a_table_and_the_hardest() -> None:
    app = opened(PAGE, model="tabular_mlp", weighed="influence")
    assert not app.exception
    assert not app.error
    assert len(charts(app)) == 1
    assert "TracIn: what learning from each of 342 training examples" in words(app)
    assert "Speak most for the answer" in words(app)
    app = opened(PAGE, model="tabular_mlp", weighed="influence", moved="self")
    assert "Hardest to learn, perhaps mislabelled" in words(app)


def test_a_model_whose_run_is_not_kept_has_what_is_alike() -> None:
    app = opened(PAGE, model="digits_cnn", weighed="influence")
    assert not app.exception
    assert "is not kept" in words(app)
    assert "Most alike" in words(app)
    assert "Likeness in a layer is not influence" in words(app).replace("\\", "")


def test_examples_that_may_be_fetched_wait_for_a_click() -> None:
    app = opened(PAGE, model="text_rnn", weighed="influence", moved="training")
    assert not app.exception
    assert "may fetch them" in words(app)
    assert not charts(app)


@pytest.mark.parametrize("part", ["concepts", "influence"])
def test_models_that_write_get_a_sentence(part: str) -> None:
    app = opened(PAGE, model="tiny_lm", weighed=part)
    assert not app.exception
    assert not app.error
    assert "this model writes" in words(app)
