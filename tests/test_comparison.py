"""Two models beside each other: a model and itself, then every number a second way."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest, entropy
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, log_loss, recall_score

from core.activations.capture import capture
from core.attention.compute import attention
from core.attribution.compute import attribute
from core.codec import decode, encode
from core.comparison import attention as looks
from core.comparison.compare import compare, divergences, kappa, mcnemar
from core.comparison.fit import check, common
from core.comparison.reasons import contrasted
from core.data.dataset import dataset
from core.errors import BadInput, NotValid
from core.evaluation.metrics import resampled
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.reference import ModelRef
from core.progress import Meter
from core.results import Comparison
from core.tasks import Example

FRUIT = ("apple", "pear", "plum", "fig")


def faked(
    folder: Path,
    name: str,
    scores: npt.NDArray[Any],
    labels: npt.NDArray[Any] | None = None,
    classes: tuple[str, ...] = FRUIT,
    **more: Any,
) -> Path:
    """A capture of no layer at all, with these answers."""
    folder.mkdir()
    count = len(scores)
    manifest = {
        "format": 1, "model": name, "weights": "w", "task": "image-classification",
        "classes": classes, "independent": False, "layers": [], "dtype": "float16", "done": count,
        "data": {"name": "fruit", "fingerprint": "d", "source": {}}, "total": count,
        "skipped": {}, "notes": [], "provenance": {}, "read": count, "left_out": [], **more,
    }  # fmt: skip
    (folder / "capture.json").write_text(json.dumps(manifest))
    (folder / "ids.jsonl").write_text("\n".join(json.dumps(str(i)) for i in range(count)))
    np.save(folder / "scores.npy", scores.astype(np.float32))
    if labels is not None:
        np.save(folder / "labels.npy", labels)
    return folder


def two(count: int = 200, classes: int = 4) -> tuple[Any, Any, Any]:
    """Labels, and the scores of a good and of a worse model."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, count)
    truth = np.eye(classes)[labels]
    good = random.normal(size=(count, classes)) + 3 * truth
    return labels, good, good + 1.5 * random.normal(size=good.shape)


@pytest.fixture(scope="module")
def digits() -> LoadedModel:
    return load(reference("digits_cnn"), "cpu")


def compared(model: LoadedModel, one: Path, other: Path, **more: Any) -> Comparison:
    named = replace(model, ref=ModelRef("good", "w"))
    asked = {"capture": str(one), "other": str(other), "resamples": 50, **more}
    return compare(named, (), asked, 0, Meter())


def test_a_model_and_itself_do_not_differ_at_all(digits: LoadedModel, tmp_path: Path) -> None:
    labels, good, _ = two()
    one = faked(tmp_path / "a", "good", good, labels)
    found = compared(digits, one, one)
    assert found.agreement[0] == 1
    assert (found.kappa == 1).all()
    assert found.test is not None
    assert (found.test.p, found.test.first, found.test.second) == (1.0, 0, 0)
    assert len(found.measures) > 8
    for each in found.measures:
        np.testing.assert_array_equal(each.difference, 0.0)
    np.testing.assert_array_equal(found.f1_difference, 0.0)
    np.testing.assert_array_equal(found.divergence, 0.0)
    assert found.apart == 0
    assert np.array_equal(found.answers, np.diag(np.diag(found.answers)))


def test_every_number_a_second_way(digits: LoadedModel, tmp_path: Path) -> None:
    labels, good, worse = two()
    labels[:10] = -1
    found = compared(
        digits,
        faked(tmp_path / "a", "good", good, labels),
        faked(tmp_path / "b", "worse", worse, labels),
    )
    chances = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (good, worse)]
    said = [each.argmax(axis=1) for each in chances]
    same = said[0] == said[1]
    assert found.agreement[0] == same.mean()
    wilson = binomtest(int(same.sum()), 200).proportion_ci(method="wilson")
    np.testing.assert_allclose(found.agreement[1:], (wilson.low, wilson.high))
    assert found.kappa[0] == pytest.approx(cohen_kappa_score(*said))
    known, truth = slice(10, None), labels[10:]
    right = [each[known] == truth for each in said]
    first, second = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert found.test is not None
    assert (found.test.first, found.test.second) == (first, second)
    assert found.test.p == binomtest(int(first), int(first + second)).pvalue
    assert found.test.both + found.test.neither == (right[0] == right[1]).sum()
    measures = {each.first.name: each for each in found.measures}
    expected = [
        (accuracy_score(truth, each[known]), f1_score(truth, each[known], average="macro"))
        for each in said
    ]
    for place, name in enumerate(("accuracy", "f1_macro")):
        values = [pair[place] for pair in expected]
        assert measures[name].first.value == pytest.approx(values[0])
        assert measures[name].second.value == pytest.approx(values[1])
        assert measures[name].difference[0] == pytest.approx(values[0] - values[1])
    np.testing.assert_allclose(
        found.recall[:, 1], recall_score(truth, said[1][known], average=None)
    )
    np.testing.assert_array_equal(found.support, np.bincount(truth))
    for place, (a, b) in enumerate(zip(found.said[:20], found.chances[:20], strict=True)):
        row = found.rows[place]
        assert list(a) == [each[row] for each in said]
        np.testing.assert_allclose(b, [each[row].max() for each in chances], rtol=1e-5)
        assert found.labels[place] == labels[row]
    assert (np.diff(found.divergence) <= 0).all()
    assert "10 of 200 examples have no label" in found.notes[0]
    again = decode(encode(found))
    assert again.test == found.test
    np.testing.assert_array_equal(again.answers, found.answers)


def test_differences_are_of_the_same_draws(digits: LoadedModel, tmp_path: Path) -> None:
    """A slow twin: draw by draw, scikit-learn on the examples drawn."""
    labels, good, worse = two(60)
    found = compared(
        digits,
        faked(tmp_path / "a", "good", good, labels),
        faked(tmp_path / "b", "worse", worse, labels),
    )
    chances = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (good, worse)]
    gaps: dict[str, list[float]] = {"accuracy": [], "log_loss": []}
    kappas = []
    for weights in resampled(60, 50, 0)[1:]:
        rows = np.repeat(np.arange(60), weights.astype(int))
        said = [each[rows].argmax(axis=1) for each in chances]
        accuracy = [accuracy_score(labels[rows], each) for each in said]
        loss = [log_loss(labels[rows], each[rows], labels=range(4)) for each in chances]
        gaps["accuracy"].append(accuracy[0] - accuracy[1])
        gaps["log_loss"].append(loss[0] - loss[1])
        kappas.append(cohen_kappa_score(*said))
    for each in found.measures:
        if each.first.name in gaps:
            expected = np.percentile(gaps[each.first.name], (2.5, 97.5))
            np.testing.assert_allclose(each.difference[1:], expected, atol=1e-6)
    np.testing.assert_allclose(found.kappa[1:], np.percentile(kappas, (2.5, 97.5)))


def test_divergence_is_the_mean_entropy_to_the_middle() -> None:
    random = np.random.default_rng(1)
    one, other = random.dirichlet(np.ones(5), (2, 30))
    middle = (one + other) / 2
    expected = (entropy(one, middle, base=2, axis=1) + entropy(other, middle, base=2, axis=1)) / 2
    np.testing.assert_allclose(divergences(one, other), expected, atol=1e-12)
    np.testing.assert_array_equal(divergences(one, one), 0.0)
    np.testing.assert_allclose(divergences(np.eye(2), np.eye(2)[::-1]), 1.0)


def test_where_there_is_nothing_to_say() -> None:
    ones = np.zeros(4, np.int64)
    assert np.isnan(kappa(ones, ones, 2, np.ones((1, 4)))[0])
    right = np.array([True, True])
    assert mcnemar(right, right).p == 1.0
    assert mcnemar(right, ~right).p == binomtest(2, 2).pvalue == 0.5


def test_classes_are_matched_by_name(digits: LoadedModel, tmp_path: Path) -> None:
    scores = np.log(np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.6, 0.1], [0.1, 0.1, 0.1, 0.7]]))
    labels = np.array([0, 2, 3])
    theirs = np.log(np.array([[0.2, 0.2, 0.6], [0.7, 0.1, 0.2], [0.2, 0.7, 0.1]]))
    found = compared(
        digits,
        faked(tmp_path / "a", "good", scores, labels),
        faked(tmp_path / "b", "other", theirs, classes=("Plum", "kiwi", "APPLE")),
    )
    assert found.classes == (*FRUIT, "kiwi")
    assert found.alone == (("pear", "fig"), ("kiwi",))
    assert found.agreement[0] == pytest.approx(2 / 3)
    assert found.labelled == 2  # the other could not say fig
    assert found.answers[3, 4] == 1
    assert found.rows[0] == 2
    assert "Only 'other' knows: kiwi." in found.notes
    same = {each.first.name: each for each in found.measures}
    assert same["accuracy"].second.value == 1


def test_what_cannot_be_compared_is_told(digits: LoadedModel, tmp_path: Path) -> None:
    labels, good, worse = two(20)
    one = faked(tmp_path / "a", "good", good, labels)
    with pytest.raises(BadInput, match="no class in common: the one says 'apple'"):
        compared(digits, one, faked(tmp_path / "b", "b", worse, classes=("w", "x", "y", "z")))
    data = {"name": "more", "fingerprint": "e", "source": {}}
    with pytest.raises(BadInput, match="these are other data"):
        compared(digits, one, faked(tmp_path / "c", "c", worse, data=data))
    with pytest.raises(NotValid, match="it writes"):
        compared(digits, one, faked(tmp_path / "d", "d", worse[:, :1], classes=()))
    with pytest.raises(BadInput, match="10 of 20"):
        compared(digits, one, faked(tmp_path / "e", "e", worse, done=10, read=10))
    with pytest.raises(BadInput, match="no capture"):
        compared(digits, one, tmp_path / "nowhere")
    found = compared(digits, faked(tmp_path / "f", "good", good), faked(tmp_path / "g", "g", worse))
    assert found.test is None
    assert not found.measures
    assert np.isnan(found.f1).all()
    assert "nobody is right or wrong" in found.notes[0]
    left_out = [[3, "torn"]]
    found = compared(
        digits,
        one,
        faked(tmp_path / "h", "h", worse, done=19, left_out=left_out, total=20, read=20),
    )
    assert found.examples == 19
    assert 3 not in found.rows


def test_which_models_fit() -> None:
    check(card("fashion_cnn"), card("fashion_vit"))
    check(card("tiny_lm"), card("tiny_lm"))
    for one, other, said in (
        ("digits_cnn", "sentiment", "reads pictures, 'sentiment' texts"),
        ("sentiment", "tiny_lm", "'tiny_lm' writes"),
        ("translator", "tiny_lm", "for causal language model"),
    ):
        with pytest.raises(NotValid, match=said):
            check(card(one), card(other))
    with pytest.raises(BadInput, match="no class in common"):
        check(card("sentiment"), card("text_rnn"))
    assert common("a", ("x", "Y"), "b", ("y", "y", "z")) == {"Y": (1, 0)}


def explained(name: str, example: Example, **more: Any) -> Any:
    asked = {"method": "input_x_gradient", "target": "top", **more}
    return attribute(load(reference(name), "cpu"), (example,), asked, 0, Meter())[0]


@pytest.mark.parametrize("name", ["digits_cnn", "sentiment", "tabular_mlp"])
def test_reasons_of_a_model_less_its_own_are_all_zero_bits(name: str) -> None:
    one = explained(name, dataset(card(name))[0])
    found = contrasted(one, one)
    assert found.difference is not None
    assert not any(found.difference.values.tobytes())
    assert (found.spearman, found.overlap) == (1.0, 1.0)
    assert found.difference.score == 0


def test_reasons_of_two_checkpoints() -> None:
    example = dataset(card("digits_cnn"))[3]
    late = explained("digits_cnn", example)
    early = explained("run:digits_cnn@1", example, target=late.target.label)
    found = contrasted(late, early)
    assert found.difference is not None
    np.testing.assert_array_equal(found.difference.values, late.values - early.values)
    assert -1 < found.spearman < 1
    assert asdict(decode(encode(found)).difference.target) == asdict(late.target)


def test_texts_cut_into_other_tokens_are_compared_word_by_word() -> None:
    one = explained("sentiment", Example("t", b"A wonderful film, not boring at all."))
    axis, count = one.axis, len(one.axis.pieces)
    start = next(place for place in range(count) if not axis.special[place])
    twice = [place for place in range(count) for _ in range(1 + (place == start))]
    split = replace(  # the first word in two tokens that share what it says
        axis,
        **{
            name: tuple(getattr(axis, name)[place] for place in twice)
            for name in ("pieces", "spans", "words", "sentences", "special", "parts")
        },
    )
    values = one.values[twice].copy()
    values[start : start + 2] /= 2
    found = contrasted(one, replace(one, axis=split, values=values))
    assert found.level == "word"
    assert found.difference is not None
    np.testing.assert_allclose(found.difference.values, 0, atol=1e-7)
    assert found.first.values.sum() == pytest.approx(one.values.sum(), abs=1e-6)
    cut = explained("sentiment", Example("t", b"A wonderful film."))
    assert "other parts of the text" in contrasted(one, cut).why


def test_maps_that_do_not_fit() -> None:
    example = dataset(card("digits_cnn"))[3]
    one = explained("digits_cnn", example)
    flat = replace(one, values=one.values[:1] * 2)
    assert contrasted(one, flat).difference is not None
    size = replace(one.axis, height=56)
    large = replace(one, axis=size, values=one.values.repeat(2, axis=1))
    found = contrasted(one, large)
    assert found.difference is None
    assert "28 × 28 pixels, the second 56 × 28" in found.why
    assert np.isnan(found.spearman)
    assert "log-probability" in contrasted(one, replace(one, unit="log-probability")).why
    assert "same inputs" in contrasted(
        one, explained("tabular_mlp", dataset(card("tabular_mlp"))[0])
    ).why  # fmt: skip


def test_attention_head_by_head() -> None:
    model = load(reference("sentiment"), "cpu")
    example = Example("t", b"A wonderful film.")
    (one,) = attention(model, (example,), {}, 0, Meter())
    found = looks.contrasted(one, one)
    assert not any(values.any() for values in found.distance)
    turned = replace(one, maps=tuple(each[..., ::-1] for each in one.maps))
    slow = [
        [
            np.mean([0.5 * sum(abs(a - b) for a, b in zip(q, r, strict=True))
                     for q, r in zip(m, n, strict=True)])
            for m, n in zip(a.astype(float), b.astype(float), strict=True)
        ]
        for a, b in zip(one.maps, turned.maps, strict=True)
    ]  # fmt: skip
    for values, expected in zip(looks.contrasted(one, turned).distance, slow, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-12)
        assert (values <= 1 + 1e-6).all()
    (other,) = attention(model, (Example("t", b"A boring film, and long."),), {}, 0, Meter())
    with pytest.raises(NotValid, match="other tokens"):
        looks.contrasted(one, other)
    few = replace(one, layers=one.layers[:1], maps=one.maps[:1])
    with pytest.raises(NotValid, match="no head is the other of another"):
        looks.contrasted(one, few)


def test_models_as_they_are(digits: LoadedModel, tmp_path: Path) -> None:
    data = dataset(card("digits_cnn"), limit=60)
    folders = []
    for name in ("digits_cnn", "run:digits_cnn@1"):
        model = load(reference(name), "cpu")
        folders.append(str(capture(model, data, tmp_path / str(len(folders)), ["dense2"]).folder))
    asked = {"capture": folders[0], "other": folders[1], "resamples": 20}
    found = compare(digits, (), asked, 0, Meter())
    assert found.other == "run:digits_cnn@1"
    assert found.labelled == 60
    assert found.test is not None
    assert found.test.first >= found.test.second
