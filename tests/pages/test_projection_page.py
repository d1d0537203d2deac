"""The Projection page: full on first start, picked examples, settings, and what is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import subset
from core.data.dataset import dataset
from core.models.catalogue import card
from core.workspace import Workspace
from tests.pages.driving import handles, opened, param, settle, words

PAGE = "views/projection.py"
MODELS = ["digits_cnn", "fashion_vit", "text_rnn", "tiny_lm"]


@pytest.mark.parametrize("model", MODELS)
def test_the_page_is_full_for_every_kind_of_model(model: str) -> None:
    app = opened(PAGE, model=model)
    assert not app.error
    said = words(app)
    assert "Trustworthiness" in said
    assert "Sizes of groups and gaps between them mean little" in said
    ended = [handle for handle in handles(app) if handle.call.verb == "project"]
    assert [handle.call.parameters["method"] for handle in ended].count("umap") >= 1
    assert all(handle.state == "done" for handle in ended)


def test_another_reducer_layer_and_colour() -> None:
    app = opened(PAGE, model="digits_cnn", reducer="pca", module="conv1", tint="loss", dims="3")
    assert "Distances far apart are true" in words(app)
    (made,) = [each for each in handles(app) if each.call.verb == "project"]
    result = made.result()
    assert result.points.shape == (1000, 3)
    assert "conv1" in result.source
    assert param(app, "tint") == ["loss"]


def test_picked_examples_are_told_and_let_go(place: Workspace) -> None:
    data = dataset(card("digits_cnn"))
    key = subset.keep(place, subset.picked(data, np.arange(0, 1000, 20)))
    app = opened(PAGE, model="digits_cnn", subset=key, reducer="pca")
    assert "50 examples" in words(app)
    assert "of them, on" in words(app)
    assert len(app.dataframe[0].value) == 50
    app.button(key=f"ask:{key}").click()
    settle(app)
    assert "mean of 25 examples" in words(app)
    app.button(key="let-go").click()
    settle(app)
    assert "subset" not in app.query_params


def test_what_is_not_there_is_told_and_passed_over() -> None:
    app = opened(
        PAGE, model="digits_cnn", module="no_such", subset="0" * 16, reducer="magic", tint="taste"
    )
    said = words(app)
    assert "There is no captured layer" in said
    assert "picked out of other data, or are gone" in said
    assert not app.error
    assert "Trustworthiness" in said


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("text_rnn", marks=pytest.mark.slow)])
def test_attributions_are_mapped_too(model: str) -> None:
    app = opened(PAGE, model=model, module="attributions", reducer="pca")
    assert not app.error
    (made,) = [each for each in handles(app) if each.call.verb == "project"]
    assert made.result().source.startswith("attributions of")


def test_groups_an_upload_and_other_layers_beside() -> None:
    app = opened(PAGE, model="digits_cnn", tint="group", beside="conv2,dense1,no_such")
    assert not app.error
    made = {handle.call.verb: handle for handle in handles(app)}
    assert len(made["cluster"].result().names) >= 5
    assert made["place"].result().points.shape == (1, 2)
    mapped = [each.call.parameters["layer"] for each in handles(app) if each.call.verb == "project"]
    assert {"conv2", "dense1"} <= set(mapped)
    assert "Procrustes" in words(app)


def test_vectors_of_ones_own(place: Workspace, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 5)) + 6 * np.eye(5)[np.arange(60) % 3]
    frame = pd.DataFrame({"id": [f"v{row}" for row in range(60)], "vector": values.tolist()})
    frame.assign(kind=list("abc") * 20).to_parquet(tmp_path / "mine.parquet")
    name = "upload:" + place.save_upload("mine.parquet", (tmp_path / "mine.parquet").read_bytes())
    app = opened(PAGE, model="digits_cnn", vectors=name)
    assert not app.error
    assert "Trustworthiness" in words(app)
    (box,) = [each for each in app.selectbox if each.label == "Colour"]
    assert box.options == ["kind"]
    app.button(key="no-vectors").click()
    settle(app)
    assert "vectors" not in app.query_params
    bad = "upload:" + place.save_upload("mine.npy", b"nothing")
    assert "cannot be read" in words(opened(PAGE, model="digits_cnn", vectors=bad))
