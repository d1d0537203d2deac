"""Importance by word and by region: against sums that are known and slow twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.attribution.compute import attribute
from core.attribution.mean import word_tokens, word_values
from core.attribution.registry import method
from core.data.dataset import Dataset
from core.importance import sample as sampling
from core.importance.overall import importance
from core.importance.shuffled import orders
from core.progress import Meter
from core.tasks import Example
from tests import toy_models, toy_texts

TEXTS = ("A good film. Good!", "Bad, bad film", "the film is long", "good")
SHAPE = (1, 6, 6)


@pytest.fixture(name="data")
def _data(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def given(examples: list[Example], classes: tuple[str, ...], labels: Any = None) -> Any:
        names = [f"{place}" for place in range(len(examples))]
        found = Dataset(
            "made", names, lambda row: examples[row], "f" * 64, labels=labels, classes=classes
        )
        monkeypatch.setattr(sampling, "open_dataset", lambda ref: found)
        return {"data": asdict(found.ref)}

    return given


@pytest.mark.parametrize("way", ["attribution", "ablation", "shapley"])
def test_a_words_importance_is_its_mean_size_over_all_texts(way: str, data: Any) -> None:
    loaded = toy_texts.toy("bag")
    examples = [Example(f"text {i}", text.encode()) for i, text in enumerate(TEXTS)]
    asked = {"way": way, "target": "for", "settings": {"limit": 10}}
    found = importance(loaded, (), data(examples, toy_texts.CLASSES) | asked, 0, Meter())
    assert set(found.features) == {"a", "good", "film", "bad", "the", "is", "long"}
    name = {"attribution": "integrated_gradients"}.get(way, "feature_ablation")
    alone = [
        word_values(attribute(loaded, [one], {"method": name, "target": "for"}, 0, Meter())[0])
        for one in examples
    ]
    for place, word in enumerate(found.features):
        values = np.array([each.get(word, np.nan) for each in alone])
        np.testing.assert_allclose(found.each[:, place], values, atol=1e-4)
        assert found.values[place] == pytest.approx(np.nan_to_num(np.abs(values)).mean(), abs=1e-4)
    assert found.counts[found.features.index("film")] == 3
    assert (np.diff(found.values[found.order]) <= 0).all()
    if way == "attribution":
        with pytest.raises(AssertionError):  # and not the mean where it stands
            np.testing.assert_allclose(found.values, np.nanmean(np.abs(found.each), axis=0))


def test_words_are_exchanged_for_tokens_of_all_texts(data: Any) -> None:
    loaded = toy_texts.toy("bag")
    examples = [Example(f"text {i}", text.encode()) for i, text in enumerate(TEXTS)]
    labels = np.array([0, 1, 2, 0])
    asked = {"way": "permutation", "settings": {"repeats": 100}}
    found = importance(loaded, (), data(examples, toy_texts.CLASSES, labels) | asked, 0, Meter())
    again = importance(loaded, (), data(examples, toy_texts.CLASSES, labels) | asked, 0, Meter())
    np.testing.assert_array_equal(found.each, again.each)
    # What is expected of a word: over all tokens drawn for it. "bad" has one token, twice.
    module, adapter = loaded._module, loaded.adapter
    batches = adapter.batches(examples, loaded)
    pool = torch.cat(
        [one[torch.tensor([not s for s in axis.special])]
         for _, batch in batches for one, axis in zip(batch.features, batch.axes, strict=True)]
    )  # fmt: skip
    _, batch = next((places, batch) for places, batch in batches if 1 in places)
    row = next(places.index(1) for places, batch_ in batches if batch_ is batch)
    features, tokens = batch.features[row], word_tokens(batch.axes[row])["bad"]
    assert len(tokens) == 2
    total = []
    with torch.no_grad():
        before = module.dense(features.sum(dim=0)).log_softmax(0)[1]
        for first in pool:
            changed = features.clone()
            for second in pool:
                changed[tokens[0]], changed[tokens[1]] = first, second
                total.append(float(before - module.dense(changed.sum(dim=0)).log_softmax(0)[1]))
    place = found.features.index("bad")
    spread = np.std(total) / np.sqrt(100)
    assert found.each[1, place] == pytest.approx(np.mean(total), abs=4 * spread)
    assert np.isnan(found.each[[0, 2, 3], place]).all()
    assert found.seeds[:, place].mean() == pytest.approx(found.each[1, place] / 4)
    assert found.grouped_by == "true class"
    assert found.groups.tolist() == labels.tolist()


def pictures(count: int) -> list[Example]:
    return [toy_models.example(SHAPE, seed) for seed in range(count)]


def test_regions_of_pictures_are_shuffled_and_replaced_as_one(data: Any) -> None:
    torch.manual_seed(3)
    loaded = toy_models.load(toy_models.Linear().eval(), SHAPE)
    examples = pictures(8)
    given = data(examples, toy_models.CLASSES, np.arange(8) % 5)
    inputs = torch.cat([toy_models.tensor(one, SHAPE) for one in examples])
    dense: nn.Linear = loaded._module.dense  # type: ignore[assignment]
    weights = dense.weight.detach().reshape(5, 6, 6)
    cells = [(slice(0, 4), slice(0, 4)), (slice(0, 4), slice(4, 6)),
             (slice(4, 6), slice(0, 4)), (slice(4, 6), slice(4, 6))]  # fmt: skip
    found = importance(loaded, (), given | {"way": "ablation", "target": "cat"}, 0, Meter())
    assert found.grid == (2, 2)
    assert found.features[1] == "row 1, column 2"
    kind = {each.name: each.default for each in method("feature_ablation").parameters}["baseline"]
    batch = loaded.adapter.encode(examples, loaded)
    change = weights[2] * (inputs - loaded.adapter.baseline(batch, str(kind), 0, None))[:, 0]
    for place, (rows, columns) in enumerate(cells):
        expected = change[:, rows, columns].sum(dim=(1, 2)).numpy()
        np.testing.assert_allclose(found.each[:, place], expected, atol=1e-4)
    assert [each.target.index for each in found.maps] == sorted(set(found.groups.tolist()))
    first = found.maps[0]
    inside = found.groups == first.target.index
    np.testing.assert_allclose(
        first.heatmap.sum(), found.each[inside].mean(axis=0).sum(), rtol=1e-4
    )
    shuffled = importance(
        loaded, (), given | {"way": "permutation", "settings": {"repeats": 1}}, 5, Meter()
    )
    (order,) = orders(8, 1, 5)
    with torch.no_grad():
        before = loaded._module(inputs).log_softmax(1)
        for place, (rows, columns) in enumerate(cells):
            for row in range(8):
                changed = inputs[row].clone()
                changed[:, rows, columns] = inputs[order[row]][:, rows, columns]
                after = loaded._module(changed[None]).log_softmax(1)[0]
                fall = float(before[row, row % 5] - after[row % 5])
                assert shuffled.each[row, place] == pytest.approx(fall, abs=1e-5)


def test_mean_maps_by_class_and_regions_of_an_attribution(data: Any) -> None:
    torch.manual_seed(3)
    loaded = toy_models.load(toy_models.Linear().eval(), SHAPE)
    examples = pictures(6)
    found = importance(loaded, (), data(examples, toy_models.CLASSES), 0, Meter())
    inputs = torch.cat([toy_models.tensor(one, SHAPE) for one in examples])
    weights = loaded._module.dense.weight.detach().reshape(5, 6, 6)  # type: ignore[union-attr, operator]
    answers = loaded._module(inputs).argmax(dim=1)
    maps = (weights[answers] * inputs[:, 0]).numpy()
    np.testing.assert_array_equal(found.groups, answers)
    for each in found.maps:
        own = maps[(answers == each.target.index).numpy()]
        np.testing.assert_allclose(each.heatmap, own.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.each[:, 0], maps[:, :4, :4].sum(axis=(1, 2)), atol=1e-4)
    assert "evenly" not in " ".join(found.notes)
    fewer = importance(
        loaded, (), data(examples, toy_models.CLASSES) | {"settings": {"limit": 3}}, 0, Meter()
    )
    assert fewer.rows.tolist() == [0, 2, 4]
    np.testing.assert_allclose(fewer.each, found.each[[0, 2, 4]], atol=1e-5)
