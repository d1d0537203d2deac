"""What a model goes by over a data set: against closed forms, scikit-learn and slow twins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance
from torch import Tensor, nn

from core.codec import decode, encode
from core.data.dataset import Dataset
from core.data.table import Feature
from core.errors import BadInput, BadParameter, NotValid, UnknownName
from core.importance import sample as sampling
from core.importance.dependence import interaction, partial_dependence
from core.importance.overall import importance
from core.importance.parts import correlated
from core.importance.shuffled import orders
from core.importance.ways import WAYS
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.reference import ModelRef
from core.models.tabular import TabularAdapter
from core.progress import Meter
from core.tasks import Example
from tests.test_estimators import fitted, people

NAMES = ("a", "b", "c", "d")
MEANS, SPREADS = np.array([1.0, -2.0, 0.5, 10.0]), np.array([1.0, 0.5, 2.0, 4.0])
SLOPES = np.array([2.0, -8.0, 0.1, 0.3])  # by unit of the column: |w|·σ is 2, 4, 0.2, 1.2
COUNT = 120


class Made(nn.Module):
    """Logits 0 and ``rule`` of the columns in standard units."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        score = self.rule(inputs)
        return torch.stack([torch.zeros_like(score), score], dim=1)


def straight(inputs: Tensor) -> Tensor:
    """w·(x − μ): the columns have mean 0 and deviation 1 here."""
    return inputs @ torch.tensor(SLOPES * SPREADS, dtype=torch.float32)


def model(rule: Callable[[Tensor], Tensor] = straight) -> LoadedModel:
    columns = tuple(
        Feature(name, mean=float(mean), std=float(std))
        for name, mean, std in zip(NAMES, MEANS, SPREADS, strict=True)
    )
    adapter = TabularAdapter(("no", "yes"), columns)
    return LoadedModel(
        ModelRef("toy", "0" * 64),
        card("tabular_mlp"),
        adapter,
        torch.device("cpu"),
        Made(rule).eval(),
    )


def values(seed: int = 0) -> npt.NDArray[np.float64]:
    """Independent columns with exactly these means and deviations."""
    drawn = np.random.default_rng(seed).standard_normal((COUNT, len(NAMES)))
    basis, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    found: npt.NDArray[np.float64] = basis * np.sqrt(COUNT) * SPREADS + MEANS
    return found


@pytest.fixture(name="data")
def _data(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Gives data of rows and labels to the verbs."""

    def given(rows: npt.NDArray[Any], labels: npt.NDArray[np.int64] | None = None) -> Any:
        texts = [json.dumps(dict(zip(NAMES, row.tolist(), strict=True))) for row in rows]
        found = Dataset(
            "made",
            [f"row {place}" for place in range(len(rows))],
            lambda row: Example(f"row {row}", texts[row].encode()),
            "f" * 64,
            labels=labels,
            classes=("no", "yes"),
        )
        monkeypatch.setattr(sampling, "open_dataset", lambda ref: found)
        return {"data": asdict(found.ref)}

    return given


def labels(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    noise = np.random.default_rng(9).normal(size=len(rows)) * 2
    return ((rows - MEANS) @ SLOPES + noise > 0).astype(np.int64)


class Wrapped(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """The model as scikit-learn sees one."""

    def __init__(self, module: Any = None) -> None:
        self.module = module

    def fit(self, rows: Any, truth: Any) -> Wrapped:
        self.classes_ = np.array([0, 1])
        return self

    def logits(self, rows: Any) -> Any:
        with torch.no_grad():
            return self.module(torch.tensor((rows - MEANS) / SPREADS, dtype=torch.float32))

    def predict(self, rows: Any) -> Any:
        return self.logits(rows).argmax(dim=1).numpy()

    def predict_proba(self, rows: Any) -> Any:
        return self.logits(rows).double().softmax(dim=1).numpy()


@pytest.mark.parametrize(
    ("measure", "scoring"), [("accuracy", "accuracy"), ("log_probability", "neg_log_loss")]
)
def test_permutation_is_scikit_learns_shuffle_by_shuffle(
    measure: str, scoring: str, data: Any
) -> None:
    rows, loaded = values(), model()
    truth = labels(rows)
    asked = {"way": "permutation", "settings": {"measure": measure, "repeats": 4}}
    found = importance(loaded, (), data(rows, truth) | asked, 7, Meter())
    peer = Wrapped(loaded._module).fit(rows, truth)
    expected = permutation_importance(
        peer, rows, truth, scoring=scoring, n_repeats=4, random_state=7
    )
    assert pytest.approx(expected.importances, abs=2e-6) == found.seeds.T
    assert found.values == pytest.approx(expected.importances_mean, abs=2e-6)
    assert decode(encode(found)).values == pytest.approx(found.values)


def test_permutation_is_its_slow_twin_example_by_example(data: Any) -> None:
    rows, loaded = values()[:20], model()
    truth = labels(rows)
    asked = {"way": "permutation", "settings": {"repeats": 2}, "groups": {"pair": ["b", "d"]}}
    found = importance(loaded, (), data(rows, truth) | asked, 3, Meter())
    assert found.features == ("pair", "a", "c")
    assert found.members[0] == ("b", "d")
    peer = Wrapped(loaded._module)
    random = np.random.RandomState(np.random.RandomState(3).randint(2**31))
    order, taken, falls = np.arange(20), np.arange(20), np.zeros((2, 20, 3))
    before = np.log(peer.predict_proba(rows))
    for repeat in range(2):
        random.shuffle(order)
        taken = taken[order]
        for place, columns in enumerate(([1, 3], [0], [2])):
            for example in range(20):
                row = rows[example].copy()
                for column in columns:
                    row[column] = rows[taken[example], column]
                after = np.log(peer.predict_proba(row[None]))[0]
                label = truth[example]
                falls[repeat, example, place] = before[example, label] - after[label]
    assert found.each == pytest.approx(falls.mean(axis=0), abs=1e-5)
    assert found.seeds == pytest.approx(falls.mean(axis=1), abs=1e-5)


def test_of_a_linear_model_all_ways_agree_with_slope_times_spread(data: Any) -> None:
    rows = values()
    expected = np.abs(SLOPES) * SPREADS
    given = data(rows, labels(rows))
    for way in WAYS:
        found = importance(
            model(), (), given | {"way": way.name, "settings": {"limit": COUNT}}, 0, Meter()
        )
        assert found.order.tolist() == np.argsort(-expected).tolist(), way.name
        if way.name != "permutation":
            sizes = np.abs((rows - MEANS) * SLOPES)
            assert found.values == pytest.approx(sizes.mean(axis=0), rel=1e-3), way.name
            assert np.abs(found.each) == pytest.approx(sizes, rel=1e-3, abs=1e-4)
            spread = 1.96 * sizes.std(axis=0, ddof=1) / np.sqrt(COUNT)
            assert found.error == pytest.approx(spread, rel=1e-3)
    assert found.levels == pytest.approx(rows, rel=1e-5)
    assert found.target == "yes − no"


def test_groups_are_replaced_together_and_classes_are_means_of_their_examples(data: Any) -> None:
    rows = values()
    given = data(rows, labels(rows)) | {"groups": {"both": ["a", "b"]}}
    given["settings"] = {"limit": COUNT}
    for way in ("attribution", "ablation", "shapley"):
        found = importance(model(), (), given | {"way": way}, 0, Meter())
        parts = (rows - MEANS) * SLOPES
        assert found.each[:, 0] == pytest.approx(parts[:, 0] + parts[:, 1], rel=1e-3, abs=1e-3)
        assert np.isnan(found.levels[:, 0]).all()
        answer = (parts.sum(axis=1) > 0).astype(int)
        assert found.groups.tolist() == answer.tolist()
        assert found.by_class()[1, 2] == pytest.approx(
            np.abs(parts[answer == 1, 3]).mean(), rel=1e-3
        )


def test_columns_that_move_together_are_found() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 200))
    table = np.stack([one, other, -np.exp(one), other + 0.1 * one, random.normal(size=200)], 1)
    assert correlated(table) == [[0, 2], [1, 3], [4]]
    assert correlated(np.ones((5, 2))) == [[0], [1]]


def test_partial_dependence_of_a_linear_model_is_a_line_with_its_slope(data: Any) -> None:
    rows = values()
    found = partial_dependence(
        model(), (), data(rows) | {"column": " B ", "scale": "score"}, 0, Meter()
    )
    slopes = np.diff(found.curves, axis=1) / np.diff(found.grid)
    assert slopes == pytest.approx(np.full(slopes.shape, SLOPES[1]), rel=1e-3)
    at_mean = np.interp(MEANS[1], found.grid, found.mean)
    assert at_mean == pytest.approx(0.0, abs=1e-3)
    alone = ((rows - MEANS) * SLOPES)[:, [0, 2, 3]].sum(axis=1)
    assert found.curves[:, 0] == pytest.approx(
        alone + (found.grid[0] - MEANS[1]) * SLOPES[1], rel=1e-3, abs=1e-3
    )
    chance = partial_dependence(model(), (), data(rows) | {"column": "b"}, 0, Meter())
    assert chance.unit == "probability"
    assert chance.curves == pytest.approx(1 / (1 + np.exp(-found.curves)), abs=1e-4)


def product(inputs: Tensor) -> Tensor:
    return inputs[:, 0] * inputs[:, 1]


def test_what_only_adds_up_does_not_interact_and_a_product_does(data: Any) -> None:
    rows = values()
    asked = data(rows) | {"columns": ["a", "b"], "scale": "score", "limit": 30}
    none = interaction(model(), (), asked, 0, Meter())
    assert none.strength == pytest.approx(0.0, abs=1e-3)
    assert none.excess == pytest.approx(np.zeros(none.excess.shape), abs=1e-3)
    found = interaction(model(product), (), asked, 0, Meter())
    assert 0.9 < found.strength <= 1.0
    assert found.low <= found.strength <= found.high
    scaled = (found.grids[0] - MEANS[0]) / SPREADS[0], (found.grids[1] - MEANS[1]) / SPREADS[1]
    assert found.both == pytest.approx(np.outer(*scaled), abs=1e-4)
    unused = interaction(model(product), (), asked | {"columns": ["c", "d"]}, 0, Meter())
    assert unused.strength == 0.0


def test_friedmans_h_is_its_slow_twin(data: Any) -> None:
    def rule(inputs: Tensor) -> Tensor:
        return inputs[:, 0] + inputs[:, 1] + 0.5 * inputs[:, 0] * inputs[:, 1] * inputs[:, 2]

    rows = values()[:12]
    asked = data(rows) | {"columns": ["a", "b"], "scale": "score"}
    found = interaction(model(rule), (), asked, 0, Meter())
    scaled = (rows - MEANS) / SPREADS

    def dependence(columns: list[int]) -> npt.NDArray[np.float64]:
        means = []
        for row in scaled:
            changed = scaled.copy()
            changed[:, columns] = row[columns]
            means.append(float(rule(torch.tensor(changed)).mean()))
        return np.array(means) - np.mean(means)

    both, one, other = dependence([0, 1]), dependence([0]), dependence([1])
    expected = np.sqrt(((both - one - other) ** 2).sum() / (both**2).sum())
    assert found.strength == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ({"way": "permutation", "settings": {"measure": "accuracy"}}, BadInput, "no labels"),
        ({"groups": {"x": ["a", "b"], "y": ["B"]}}, BadInput, "in two groups, 'x' and 'y'"),
        ({"groups": {"x": ["a", "e"]}}, UnknownName, "no column 'e'"),
        ({"groups": {"a": ["b", "c"]}}, BadInput, "name of a column"),
        ({"groups": {"x": []}}, BadInput, "is empty"),
        ({"way": "taste"}, UnknownName, "no way to importance 'taste'"),
        ({"target": "maybe"}, UnknownName, "no class 'maybe'"),
        ({"settings": {"repeats": 0}}, BadParameter, "repeats"),
    ],
)
def test_bad_questions_get_sentences(
    asked: dict[str, Any], kind: type[Exception], said: str, data: Any
) -> None:
    with pytest.raises(kind, match=said):
        importance(model(), (), data(values()[:6]) | asked, 0, Meter())


def test_one_class_one_example_and_no_labels_are_said(data: Any) -> None:
    rows = values()[:5]
    asked = {"way": "permutation"}
    found = importance(model(), (), data(rows) | asked, 0, Meter())
    assert any("no labels" in note for note in found.notes)
    found = importance(model(), (), data(rows, np.ones(5, np.int64)) | asked, 0, Meter())
    assert any("one class, yes" in note for note in found.notes)
    with pytest.raises(BadInput, match="one example"):
        importance(model(), (), data(rows[:1]) | asked, 0, Meter())
    with pytest.raises(UnknownName, match="no column 'e'"):
        partial_dependence(model(), (), data(rows) | {"column": "e"}, 0, Meter())
    with pytest.raises(BadParameter, match="two different"):
        interaction(model(), (), data(rows) | {"columns": ["a", "A"]}, 0, Meter())
    silent = model()
    silent.adapter.classes = ()
    with pytest.raises(NotValid, match="writes"):
        importance(silent, (), data(rows), 0, Meter())


def test_a_classifier_without_gradients_is_asked_through_its_raw_columns(
    data: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    io = pytest.importorskip("skops.io")
    frame, _ = people()
    frame = frame.head(30)
    io.dump(fitted(), tmp_path / "people.skops")
    loaded = load(reference(str(tmp_path / "people.skops")), "cpu")
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    found = Dataset(
        "people", [f"{i}" for i in range(30)],
        lambda row: Example(f"{row}", json.dumps(records[row]).encode()), "f" * 64,
    )  # fmt: skip
    monkeypatch.setattr(sampling, "open_dataset", lambda ref: found)
    asked = {"data": asdict(found.ref)}
    usual = importance(loaded, (), asked, 0, Meter())
    assert usual.title == "Column ablation"
    assert usual.levels[:, 0] == pytest.approx(frame["age"].to_numpy(), nan_ok=True)
    place = usual.features.index("colour")
    kinds = usual.categories[place]
    spelt = [kinds[int(x)] if np.isfinite(x) else None for x in usual.levels[:, place]]
    assert spelt == [each["colour"] for each in records]
    for column in ("age", "colour"):
        curve = partial_dependence(
            loaded, (), asked | {"column": column, "target": "yes"}, 0, Meter()
        )
        for point, value in enumerate(curve.grid):
            said = curve.categories[int(value)] if curve.categories else value
            expected = fitted().predict_proba(frame.assign(**{column: said}))[:, 1]
            np.testing.assert_allclose(curve.curves[:, point], expected, atol=3e-6)
    shuffled = importance(
        loaded, (), asked | {"way": "permutation", "settings": {"repeats": 1}}, 2, Meter()
    )
    (order,) = orders(30, 1, 2)
    answers = fitted().predict_proba(frame).argmax(axis=1)

    def mean(table: Any) -> float:
        chances = fitted().predict_proba(table).clip(1e-6)
        return float(np.log(chances[np.arange(30), answers]).mean())

    swapped = frame.assign(colour=frame["colour"].to_numpy()[order])
    assert shuffled.values[place] == pytest.approx(mean(frame) - mean(swapped), abs=1e-4)
