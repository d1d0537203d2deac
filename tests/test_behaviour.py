"""What layers do: closed forms, planted units, slow twins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from core.activations.behaviour import behaviour, effective_rank, selectivity
from core.activations.probe import probe, usable
from core.activations.similarity import linear_cka
from core.activations.verbs import insides, layer_behaviour, layer_probes
from core.data.dataset import dataset
from core.errors import BadInput
from core.models.catalogue import card, reference
from core.models.loader import load
from core.notebook import capture
from core.progress import Meter
from core.results.activations import Capture
from core.results.behaviour import Insides

RANDOM = np.random.default_rng(0)


def rotation(size: int) -> np.ndarray:
    return np.linalg.qr(RANDOM.normal(size=(size, size)))[0]


def test_planted_units_are_found_and_none_in_healthy_activations() -> None:
    healthy = RANDOM.normal(size=(200, 20)).astype(np.float32)
    found = behaviour(healthy)
    assert (found.dead, found.saturated, found.duplicates) == ((), (), ())
    planted = healthy.copy()
    planted[:, 3] = 0.0
    planted[:, 7] = 2.5
    planted[:, 11] = -3 * planted[:, 4] + 1  # negative: no duplicate
    planted[:, 13] = 2 * planted[:, 5] - 1
    found = behaviour(planted)
    assert found.dead == (3, 7)
    assert found.duplicates == ((5, 13),)
    assert found.sparsity == pytest.approx(1 / 20)
    assert found.counts.sum() == planted.size


def test_saturation_needs_bounds() -> None:
    values = RANDOM.uniform(0.2, 0.8, size=(100, 4))
    values[:, 1] = np.where(np.arange(100) % 2, 0.999, 0.001)
    assert behaviour(values, kind="Sigmoid").saturated == (1,)
    assert behaviour(values, kind="Linear").saturated == ()
    assert behaviour(2 * values - 1, kind="Tanh").saturated == (1,)


def test_single_positions_decide_what_means_would_hide() -> None:
    pictures = RANDOM.normal(size=(60, 5, 9)).astype(np.float32)  # [example, unit, position]
    brightness = pictures.mean(axis=(1, 2), keepdims=True)
    pictures += 50 * brightness - pictures.mean(axis=2, keepdims=True)  # every mean the same line
    means = pictures.mean(axis=2)
    single = np.moveaxis(pictures, 1, 2).reshape(-1, 5)
    assert len(behaviour(means).duplicates) == 10
    found = behaviour(means, None, single - single.mean())
    assert found.duplicates == ()
    assert behaviour(means).effective_rank == pytest.approx(1, abs=1e-3)
    by_hand = effective_rank(single - single.mean(axis=0))
    assert found.effective_rank == pytest.approx(by_hand, rel=1e-4)
    assert found.effective_rank > 2


def test_effective_rank_of_known_spectra() -> None:
    left, right = rotation(30), rotation(12)
    for values, rank in (
        (np.ones(12), 12.0),
        (np.array([1.0] + [0] * 11), 1.0),
        (np.array([1.0] * 4 + [0] * 8), 4.0),
    ):
        assert effective_rank(left[:, :12] * values @ right) == pytest.approx(rank, rel=1e-5)
    shares = np.array([0.5, 0.25, 0.25] + [0] * 9)
    assert effective_rank(left[:, :12] * shares @ right) == pytest.approx(2**1.5, rel=1e-5)
    assert effective_rank(np.zeros((5, 3))) == 0.0


def test_selectivity_is_the_correlation_ratio() -> None:
    labels = np.array([0] * 5 + [1] * 5 + [-1] * 5)
    values = np.zeros((15, 3))
    values[:, 0] = np.where(labels == 1, 4.0, -2.0)  # the class and nothing else
    values[:, 1] = np.tile([1.0, 2, 3, 4, 5], 3)  # the same in each class
    found = selectivity(values, labels)
    np.testing.assert_allclose(found[:2], [1, 0], atol=1e-12)
    assert np.isnan(found[2])
    assert np.isnan(selectivity(values, np.zeros(15, np.int64))).all()


def test_cka_of_copies_rotations_and_strangers() -> None:
    ours = RANDOM.normal(size=(100, 8))
    same = linear_cka([ours], [ours, -3 * ours @ rotation(8) + 5, np.hstack([ours, ours])])
    np.testing.assert_allclose(same, 1, atol=1e-10)
    other = RANDOM.normal(size=(100, 30))
    centred, strange = (each - each.mean(axis=0) for each in (ours, other))
    by_hand = np.linalg.norm(strange.T @ centred) ** 2 / (
        np.linalg.norm(centred.T @ centred) * np.linalg.norm(strange.T @ strange)
    )
    assert linear_cka([ours], [other])[0, 0] == pytest.approx(by_hand)
    assert linear_cka([ours], [np.ones((100, 4))]).tolist() == [
        [pytest.approx(np.nan, nan_ok=True)]
    ]
    with pytest.raises(BadInput, match="50 and 100 examples"):
        linear_cka([ours], [ours[:50]])
    with pytest.raises(BadInput, match="too few"):
        linear_cka([ours[:2]], [ours[:2]])


def test_the_probe_against_folds_by_hand() -> None:
    labels = np.arange(90) % 3
    values = RANDOM.normal(size=(90, 6)) + np.eye(6)[labels] * 1.5
    expected = []
    for train, held in StratifiedKFold(5, shuffle=True, random_state=4).split(values, labels):
        scale = StandardScaler().fit(values[train])
        linear = RidgeClassifier(alpha=10.0).fit(scale.transform(values[train]), labels[train])
        expected.append((linear.predict(scale.transform(values[held])) == labels[held]).mean())
    np.testing.assert_allclose(probe(values, labels, seed=4), expected)
    assert probe(RANDOM.normal(size=(90, 6)), labels).mean() < 0.6


def test_what_can_be_probed() -> None:
    labels = np.array([0] * 6 + [1] * 6 + [2] * 3 + [-1] * 4)
    assert usable(labels, 5).tolist() == list(range(12))
    for bad, wanted in ((None, ()), (labels, (0,)), (labels, (0, 2)), (np.zeros(9, int), ())):
        with pytest.raises(BadInput):
            usable(bad, 5, wanted)


@pytest.mark.parametrize("values", [np.ones((1, 3)), np.full((9, 3), np.nan), np.empty((0, 3))])
def test_too_few_usable_examples(values: np.ndarray) -> None:
    with pytest.raises(BadInput, match="usable examples"):
        behaviour(values, name="conv1")


def test_nan_is_left_out_and_counted() -> None:
    values = RANDOM.normal(size=(30, 4))
    clean = behaviour(values[1:])
    values[0, 2] = np.inf
    found = behaviour(values)
    assert found.nonfinite == 1
    assert found.effective_rank == pytest.approx(clean.effective_rank)


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return capture(reference("digits_cnn"), out=tmp_path_factory.mktemp("c") / "a", limit=300)


def test_of_a_real_network(captured: Capture) -> None:
    model = load(reference("digits_cnn"), "cpu")
    given = {"capture": str(captured.folder)}
    found = layer_behaviour(model, (), given, 0, Meter())
    assert [each.name for each in found.layers] == list(captured.names)
    by_name = {each.name: each for each in found.layers}
    assert 0.2 < by_name["relu1"].sparsity < 0.9  # at single pixels; means are never zero
    assert by_name["conv1"].duplicates == ()
    np.testing.assert_allclose(np.diag(found.similarity), 1)
    probes = layer_probes(model, (), given, 0, Meter())
    assert probes.own > 0.95
    assert probes.accuracy[-1] > probes.accuracy[0] + 0.3
    pair = layer_probes(model, (), {**given, "classes": (4, 9)}, 0, Meter())
    assert pair.classes == ("4", "9")
    assert pair.examples == int(np.isin(captured.labels, (4, 9)).sum())
    with pytest.raises(BadInput, match="other weights"):
        layer_behaviour(load(reference("fashion_cnn"), "cpu"), (), given, 0, Meter())
    with pytest.raises(BadInput, match="no capture"):
        layer_probes(model, (), {"capture": "/nowhere"}, 0, Meter())


@pytest.mark.parametrize("name", ["digits_cnn", "text_rnn", "translator", "fashion_vit"])
def test_insides_of_one_example(name: str, tmp_path: Path) -> None:
    model = load(reference(name), "cpu")
    data = dataset(card(name))
    one, two = insides(model, (data[0], data[1]), {}, 0, Meter())
    assert isinstance(one, Insides)
    assert len(one.names) >= 4
    assert all(np.isfinite(each).all() and each.ndim >= 1 for each in one.values)
    assert any(not np.array_equal(a, b) for a, b in zip(one.values, two.values, strict=True))
    few = insides(model, (data[0],), {"layers": (one.names[1],)}, 0, Meter())[0]
    assert few.names[0] == one.names[1]
    np.testing.assert_allclose(few.values[0], one.values[1], atol=1e-5)
