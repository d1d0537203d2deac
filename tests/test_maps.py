"""What is done with maps: new examples placed, maps aligned, groups and their words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import dataset
from core.errors import BadInput, NotValid
from core.models.catalogue import card, reference
from core.models.loader import load
from core.notebook import capture
from core.progress import Meter
from core.projection.align import aligned
from core.projection.cluster import clusters
from core.projection.compute import project, projected
from core.projection.place import place, placed
from core.projection.space import Vectors
from core.projection.words import overrepresented

RANDOM = np.random.default_rng(5)


def vectors(values: np.ndarray) -> Vectors:
    return Vectors(values, tuple(map(str, range(len(values)))), "made", "0" * 64)


def blobs(count: int = 60) -> np.ndarray:
    centres = 8 * np.eye(5)[np.arange(3 * count) % 3]
    return (centres + RANDOM.normal(size=(3 * count, 5))).astype(np.float32)


@pytest.mark.parametrize("method", ["pca", "umap", "tsne"])
def test_a_known_example_falls_on_itself_and_a_stranger_is_told(method: str) -> None:
    values = blobs()
    made = projected(vectors(values), method, judged=False)
    points, strangeness = placed(values, values[:9], made)
    reach = np.ptp(made.points, axis=0).max()
    np.testing.assert_allclose(points, made.points[:9], atol=1e-3 * reach)
    assert (strangeness < 1e-2).all()
    between, far = values[:1] + 0.1, np.full((1, 5), 300, np.float32)
    assert placed(values, between, made)[1][0] < 3
    assert placed(values, far, made)[1][0] > 50


def test_in_principal_components_the_place_is_exact() -> None:
    values, new = blobs(), blobs(4)
    both = projected(vectors(values), "pca", 3, judged=False)
    points, _ = placed(values, new, both)
    mean, scale = values.mean(axis=0), np.abs(values - values.mean(axis=0)).max()
    solved = np.linalg.lstsq((values - mean) / scale, both.points, rcond=None)[0]
    np.testing.assert_allclose(points, (new - mean) / scale @ solved, atol=1e-4)


def test_an_upload_is_placed_by_the_model(tmp_path: Path) -> None:
    found = capture(reference("digits_cnn"), limit=80, out=tmp_path / "c")
    model, data = load(reference("digits_cnn"), "cpu"), dataset(card("digits_cnn"), limit=80)
    asked = {"capture": str(found.folder), "layer": "relu3", "method": "umap"}
    made = project(model, (), asked, 0, Meter())
    there = place(model, (data[7],), asked, 0, Meter())
    reach = np.ptp(made.points, axis=0).max()
    np.testing.assert_allclose(there.points[0], made.points[7], atol=0.05 * reach)
    with pytest.raises(NotValid, match="attributions"):
        place(model, (data[7],), {**asked, "layer": "attributions"}, 0, Meter())


@pytest.mark.parametrize("dim", [2, 3])
def test_a_planted_rotation_is_undone(dim: int) -> None:
    points = RANDOM.normal(size=(100, dim)).astype(np.float32)
    turn = np.linalg.qr(RANDOM.normal(size=(dim, dim)))[0]
    turn[:, 0] *= -1  # and a mirror
    other = (7 * points @ turn - 30).astype(np.float32)
    (same, back, strange), apart = aligned([points, other, RANDOM.permutation(points)])
    np.testing.assert_allclose(same, points, atol=1e-5)
    np.testing.assert_allclose(back, points, atol=1e-4)
    assert apart[:2] == pytest.approx((0, 0), abs=1e-6)
    assert apart[2] > 0.5
    assert strange.shape == points.shape
    with pytest.raises(BadInput, match="same examples"):
        aligned([points, points[:50]])


def test_planted_groups_are_found_and_named() -> None:
    points = np.concatenate(
        [RANDOM.normal(center, 0.3, size=(60, 2)) for center in ((0, 0), (8, 0), (0, 8))]
    ).astype(np.float32)
    labels = np.repeat([0, 1, 2], 60)
    labels[60:90] = 2  # the second group is mixed
    texts = ["the cat"] * 60 + ["the dog runs"] * 60 + ["the bird"] * 60
    found = clusters(points, classes=("cats", "dogs", "birds"), labels=labels, texts=texts)
    assert len(found.names) == 3
    for group in range(3):
        mine = found.labels[60 * group : 60 * group + 60]
        assert (mine == np.bincount(mine[mine >= 0]).argmax()).mean() > 0.9
    by_name = {found.names[found.labels[row]]: row for row in (0, 60, 130)}
    assert any(name.startswith("cats, cat") for name in by_name)
    assert any("birds and dogs" in name or "dogs and birds" in name for name in by_name)
    assert (found.strength[found.labels >= 0] > 0).all()


def test_noise_and_few_points_have_no_groups() -> None:
    few = clusters(RANDOM.normal(size=(4, 2)).astype(np.float32))
    assert few.names == ()
    assert (few.labels == -1).all()
    plain = clusters(RANDOM.uniform(size=(400, 2)).astype(np.float32), smallest=120)
    assert (plain.labels == -1).mean() > 0.9


def test_words_against_the_formula_word_by_word() -> None:
    texts = ["red fox red", "Red dog", "blue dog", "green dog", "blue fox"]
    mask = np.array([True, True, False, False, False])
    found = overrepresented(texts, mask)
    bags = [set(text.lower().split()) for text in texts]
    inside = {w: sum(w in bag for bag in bags[:2]) for bag in bags for w in bag}
    outside = {w: sum(w in bag for bag in bags[2:]) for bag in bags for w in bag}
    total = sum(inside.values()) + sum(outside.values())
    n, m = sum(inside.values()), sum(outside.values())

    def z(word: str) -> float:
        prior = (inside[word] + outside[word]) * 500 / total
        here, there = inside[word] + prior, outside[word] + prior
        odds = math.log(here / (n + 500 - here)) - math.log(there / (m + 500 - there))
        return odds / math.sqrt(1 / here + 1 / there)

    assert found[0].word == "red"
    for each in found:
        assert each.z == pytest.approx(z(each.word))
        assert (each.inside, each.outside) == (inside[each.word], outside[each.word])
    assert {each.word for each in found} == {word for word in inside if z(word) > 0}
    assert overrepresented(texts, np.ones(5, bool)) == ()
