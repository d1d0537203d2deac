"""Examples of the data that ship with a model, alone and picked, on the pages that explain."""

from __future__ import annotations

import numpy as np
import pytest

from core.data import subset
from core.data.dataset import dataset
from core.models.catalogue import card
from core.workspace import Workspace
from tests.pages.driving import opened, param, settle, words

PAGE = "views/attribution.py"


@pytest.mark.parametrize("model", ["digits_cnn", "text_rnn"])
def test_an_example_of_the_data_is_explained(model: str) -> None:
    name = f"row:{model}:3"
    app = opened(PAGE, model=model, example=name)
    assert param(app, "example") == [name]
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize(
    "name", ["row:digits_cnn:99999", "row:no_such:1", "row:", "row:digits_cnn:-1", "row:text_rnn:1"]
)
def test_an_example_that_is_not_there_is_told(name: str) -> None:
    app = opened(PAGE, model="digits_cnn", example=name)
    assert param(app, "example") != [name]
    assert "the first one is shown" in words(app).replace("\\", "")


@pytest.mark.parametrize("model", ["digits_cnn", "text_rnn"])
def test_what_was_picked_is_the_list_of_examples(place: Workspace, model: str) -> None:
    data = dataset(card(model))
    picked = subset.renamed(subset.picked(data, np.arange(2, 9)), "odd ones")
    key = subset.keep(place, picked)
    app = opened(PAGE, model=model, subset=key, example=f"row:{model}:2")
    assert "odd ones" in words(app)
    if model == "text_rnn":
        (box,) = [each for each in app.selectbox if each.label == "Example"]
        assert len(box.options) == 7
        text = data[4].data.decode()
        assert any(text.startswith(option.rstrip("…")) for option in box.options)
    app.button(key="no-subset").click()
    settle(app)
    assert "odd ones" not in words(app)
    assert "subset" not in app.query_params


def test_a_subset_of_other_data_is_passed_over(place: Workspace) -> None:
    key = subset.keep(place, subset.picked(dataset(card("text_rnn")), [1, 2]))
    app = opened(PAGE, model="digits_cnn", subset=key)
    assert "picked" not in words(app)
    assert not app.exception
