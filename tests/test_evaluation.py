"""How good a model is: every number against scikit-learn, sacrebleu or one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from sklearn import metrics as sk

from core.activations.capture import capture
from core.data.dataset import Dataset, dataset
from core.errors import BadInput, NotValid, UnknownName
from core.evaluation import metrics
from core.evaluation.columns import columns
from core.evaluation.evaluate import curves, evaluate, reliability
from core.evaluation.groups import evaluate_groups
from core.evaluation.written import evaluate_written
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.produce import produce
from core.progress import Meter
from core.tasks import Example


def made(count: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    scores = random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    return labels, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4, 12])
def test_every_metric_is_scikit_learns_also_on_each_draw(classes: int) -> None:
    labels, chances = made(300, classes)
    weights = metrics.resampled(300, 3, 0)
    found = metrics.measured(labels, chances, weights)
    for draw, weight in enumerate(weights):
        rows = np.repeat(np.arange(300), weight.astype(int))
        truth, said = labels[rows], chances[rows].argmax(axis=1)
        expected = {
            "accuracy": sk.accuracy_score(truth, said),
            "log_loss": sk.log_loss(truth, chances[rows], labels=range(classes)),
            "brier": sk.brier_score_loss(
                truth, chances[rows], labels=range(classes), scale_by_half=False
            )
            if classes > 2
            else 2 * sk.brier_score_loss(truth, chances[rows, 1]),
            "auc": np.mean(
                [sk.roc_auc_score(truth == c, chances[rows, c]) for c in range(classes)]
            ),
        }
        for average in ("macro", "weighted"):
            p, r, f, _ = sk.precision_recall_fscore_support(
                truth, said, average=average, zero_division=0
            )
            expected |= {f"precision_{average}": p, f"recall_{average}": r, f"f1_{average}": f}
        if classes > 6:
            expected["top3"] = sk.top_k_accuracy_score(
                truth, chances[rows], k=3, labels=range(classes)
            )
        for name, value in expected.items():
            assert found[name][draw] == pytest.approx(value, abs=1e-12), name


def test_classes_that_are_nowhere_do_not_count() -> None:
    labels, chances = np.array([0, 0, 1]), np.eye(4)[[0, 1, 1]]
    found = metrics.measured(labels, chances, np.ones((1, 3)))
    assert found["f1_macro"][0] == pytest.approx(sk.f1_score(labels, [0, 1, 1], average="macro"))
    alone = metrics.measured(np.zeros(3, np.int64), np.eye(2)[[0, 0, 0]], np.ones((1, 3)))
    assert np.isnan(alone["auc"][0])
    assert alone["accuracy"][0] == 1


def test_calibration_error_bin_by_bin() -> None:
    confidence = np.array([0.05, 0.5, 0.52, 0.95, 1.0, 1 / 15])
    right = np.array([0.0, 1, 0, 1, 1, 1])
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low + 1e-12) & (confidence <= low + 1 / 15 + 1e-12)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    found = metrics.calibration_error(confidence, right, np.ones((1, 6)))
    assert found[0] == pytest.approx(total)
    bins = reliability(confidence, right > 0)
    assert bins.counts.sum() == 6
    weighted = np.nansum(bins.counts / 6 * np.abs(bins.right - bins.confidence))
    assert weighted == pytest.approx(total)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    inside = 0
    for seed in range(60):
        labels, chances = made(200, 3, seed)
        values = metrics.measured(labels, chances, metrics.resampled(200, 200, seed))["accuracy"]
        low, high = np.percentile(values[1:], (2.5, 97.5))
        inside += bool(low <= 0.7666 <= high)  # the share that is right of 10^6 draws
    assert inside >= 53


def test_curves_are_scikit_learns() -> None:
    labels, chances = made(400, 3)
    roc, pull = curves(labels, chances)
    assert [each.label for each in roc] == [0, 1, 2]
    for each in (*roc, *pull):
        assert len(each.x) <= 200
    assert roc[1].area == pytest.approx(sk.roc_auc_score(labels == 1, chances[:, 1]))
    assert pull[2].area == pytest.approx(sk.average_precision_score(labels == 2, chances[:, 2]))
    place = len(roc[0].x) // 2
    said = chances[:, 0] >= roc[0].threshold[place]
    assert roc[0].y[place] == pytest.approx(said[labels == 0].mean())
    assert roc[0].x[place] == pytest.approx(said[labels != 0].mean())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, str]:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"), limit=300)
    folder = tmp_path_factory.mktemp("digits")
    capture(model, data, folder, ["dense2"])
    return model, str(folder)


def test_a_whole_evaluation(digits: tuple[LoadedModel, str]) -> None:
    model, folder = digits
    found = evaluate(model, (), {"capture": folder}, 0, Meter())
    data = dataset(card("digits_cnn"), limit=300)
    assert data.labels is not None
    assert found.examples == found.confusion.sum() == 300
    np.testing.assert_array_equal(found.support, np.bincount(data.labels, minlength=10))
    measures = {each.name: each for each in found.measures}
    assert measures["accuracy"].value == pytest.approx(np.trace(found.confusion) / 300)
    for each in found.measures:
        assert each.low <= each.value <= each.high
    assert len(found.wrong) == 300 - np.trace(found.confusion)
    again = evaluate(model, (), {"capture": folder}, 0, Meter())
    assert again.measures == found.measures
    few = evaluate(model, (), {"capture": folder, "rows": [1, 2, 3]}, 0, Meter())
    assert few.examples == 3
    assert any("no example" in note for note in few.notes)


def test_groups_by_hand(digits: tuple[LoadedModel, str]) -> None:
    model, folder = digits
    found = evaluate_groups(model, (), {"capture": folder, "positive": "3"}, 0, Meter())
    assert [each.name for each in found.groups] == [str(digit) for digit in range(10)]
    assert found.groups[3].caught[0] == found.groups[3].selected[0] == found.groups[3].right[0]
    assert np.isnan(found.groups[4].caught[0])
    assert all(np.isnan(each.f1) for each in found.groups)
    assert found.gaps["selected"] == pytest.approx(
        max(each.selected[0] for each in found.groups)
        - min(each.selected[0] for each in found.groups)
    )
    picked = evaluate_groups(
        model, (), {"capture": folder, "by": "picked", "rows": [0, 1]}, 0, Meter()
    )
    assert [each.examples for each in picked.groups] == [2, 298]
    with pytest.raises(UnknownName, match="colour"):
        evaluate_groups(model, (), {"capture": folder, "by": "colour"}, 0, Meter())
    with pytest.raises(UnknownName, match="eleven"):
        evaluate_groups(model, (), {"capture": folder, "positive": "eleven"}, 0, Meter())


def test_three_members_are_shown_with_their_uncertainty() -> None:
    assert metrics.share(np.array([True, True, True]))[1] == pytest.approx(
        0.4385, abs=1e-3
    )  # Wilson
    assert np.isnan(metrics.share(np.zeros(0, bool))).all()


def test_numbers_fall_into_quarters(tmp_path: Path) -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"), limit=40)
    numbered = Dataset(
        data.name, data.ids, data.read, data.fingerprint, data.labels, data.classes,
        {"size": np.arange(40), "few": np.arange(40) % 3 - 1, "kind": np.array(["a", "b"] * 20),
         "id": np.array(data.ids)},
        data.source,
    )  # fmt: skip
    made = capture(model, numbered, tmp_path / "c", ["dense2"])
    assert columns(made) == ("class", "size", "few", "kind", "id")
    found = evaluate_groups(model, (), {"capture": str(made.folder), "by": "size"}, 0, Meter())
    assert sum(each.examples for each in found.groups) == 40
    assert len(found.groups) == 4
    by_few = evaluate_groups(model, (), {"capture": str(made.folder), "by": "few"}, 0, Meter())
    assert [(each.name, each.examples) for each in by_few.groups] == [
        ("-1", 14),
        ("0", 13),
        ("1", 13),
    ]
    by_kind = evaluate_groups(model, (), {"capture": str(made.folder), "by": "kind"}, 0, Meter())
    assert [each.name for each in by_kind.groups] == ["a", "b"]


def test_what_cannot_be_evaluated_is_told(tmp_path: Path) -> None:
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"), limit=8)
    bare = Dataset(data.name, data.ids, data.read, data.fingerprint, source=data.source)
    made = capture(model, bare, tmp_path / "c", ["dense2"])
    with pytest.raises(BadInput, match="no labels"):
        evaluate(model, (), {"capture": str(made.folder)}, 0, Meter())
    with pytest.raises(NotValid, match="does not write"):
        evaluate_written(model, (), {"capture": str(made.folder)}, 0, Meter())
    with pytest.raises(BadInput, match="other weights"):
        evaluate(load(reference("fashion_cnn")), (), {"capture": str(made.folder)}, 0, Meter())


@pytest.mark.parametrize("name", ["tiny_lm", "translator"])
def test_models_that_write(name: str, tmp_path: Path) -> None:
    model, data = load(reference(name), "cpu"), dataset(card(name), limit=6)
    capture(
        model, data, tmp_path / "c", [capture(model, data.limited(1), tmp_path / "one").names[-1]]
    )
    found = evaluate_written(model, (), {"capture": str(tmp_path / "c")}, 0, Meter())
    measures = {each.name: each for each in found.measures}
    nats, tokens = 0.0, 0
    for row in range(6):
        example = data[row]
        batch = model.adapter.encode([example], model)
        with model.exclusive() as module:
            logits = model.adapter.logits(module, batch.features, *batch.context)[0]
        pieces = [place for place, name in enumerate(batch.outputs[0][:-1])]
        nats -= float(logits[pieces].sum())
        tokens += len(pieces)
    assert measures["perplexity"].value == pytest.approx(np.exp(nats / tokens), rel=1e-4)
    assert list(found.loss) == sorted(found.loss, reverse=True)
    with pytest.raises(NotValid, match="no classes"):
        evaluate(model, (), {"capture": str(tmp_path / "c")}, 0, Meter())
    if name == "translator":
        said = [
            produce(model, [Example("x", data[int(row)].data)], {}, 0, Meter())[0].text
            for row in sorted(found.rows)
        ]
        expected = [data[int(row)].outputs[0] for row in sorted(found.rows)]
        assert measures["bleu"].value == pytest.approx(
            sacrebleu.corpus_bleu(said, [expected]).score
        )
        assert measures["chrf"].value == pytest.approx(
            sacrebleu.corpus_chrf(said, [expected]).score
        )
