"""Maps against scikit-learn, slow twins and umap-learn; what cannot be mapped is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from core.errors import BadInput, BadParameter, Cancelled, UnknownName
from core.models.catalogue import reference
from core.models.loader import load
from core.notebook import capture
from core.progress import Meter
from core.projection.compute import project, projected
from core.projection.neighbours import forget, nearest
from core.projection.space import Vectors, space
from core.projection.trust import agreement, judge

Floats = npt.NDArray[np.float32]
RANDOM = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "w"))
    forget()
    yield
    forget()


def digits(count: int = 400) -> tuple[Floats, npt.NDArray[np.int64]]:
    values, labels = load_digits(return_X_y=True)
    return values[:count].astype(np.float32), labels[:count]


def vectors(values: Floats) -> Vectors:
    return Vectors(values, tuple(map(str, range(len(values)))), "made", "0" * 64)


def ranks(values: Floats) -> npt.NDArray[np.int64]:
    """The place of each example in the order of every other one's distance, from 0 for itself."""
    apart = np.linalg.norm(values[:, None].astype(np.float64) - values[None], axis=2)
    np.fill_diagonal(apart, -1)
    return apart.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")


def test_trust_is_scikit_learns_and_that_of_a_slow_twin() -> None:
    values = RANDOM.normal(size=(150, 6)).astype(np.float32)  # no two distances are equal
    points = RANDOM.normal(size=(150, 2)).astype(np.float32) + 2 * values[:, :2]
    found = judge(values, points, 9)
    assert found.trustworthiness == pytest.approx(trustworthiness(values, points, n_neighbors=9))
    assert found.continuity == pytest.approx(trustworthiness(points, values, n_neighbors=9))
    here, there = ranks(values), ranks(points)
    near_here, near_there = (here <= 9) & (here > 0), (there <= 9) & (there > 0)
    assert found.kept == pytest.approx((near_here & near_there).sum() / (150 * 9))
    false = (near_there & (here > 27)).sum(axis=1) / 9
    np.testing.assert_allclose(found.false_neighbours, false, atol=1e-6)
    assert (found.marked == (false >= 0.5)).all()


def test_a_map_of_itself_is_trusted_and_a_turned_one_agrees() -> None:
    points = RANDOM.normal(size=(200, 2)).astype(np.float32)
    found = judge(points, points)
    assert (found.trustworthiness, found.continuity, found.kept) == (1, 1, 1)
    assert not found.marked.any()
    angle = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    assert agreement(points, 3 * points @ angle + 5) == 1
    assert agreement(points, RANDOM.permutation(points)) < 0.2


def test_of_many_points_some_are_judged_against_all() -> None:
    values = RANDOM.normal(size=(600, 5)).astype(np.float32)
    found = judge(values, values[:, :2], most=100)
    assert found.judged == 100
    assert np.isnan(found.false_neighbours).sum() == 500
    whole = judge(values, values[:, :2])
    assert found.trustworthiness == pytest.approx(whole.trustworthiness, abs=0.03)
    assert "100 of 600" in found.sentence


def test_neighbours_are_scikit_learns() -> None:
    values, _ = digits(300)
    indices, distances = nearest(values, 10, Meter())
    fitted = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(values)
    apart, _ = fitted.kneighbors()
    np.testing.assert_allclose(distances, apart, rtol=1e-5)
    assert (indices != np.arange(300)[:, None]).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_pca_is_scikit_learns(dim: int) -> None:
    values, _ = digits()
    found = projected(vectors(values), "pca", dim)
    peer = PCA(dim).fit(values)
    # Ours are scaled so that the largest value of the centred vectors is 1.
    theirs = peer.transform(values) / np.abs(values - values.mean(axis=0)).max()
    signs = np.sign((found.points * theirs).sum(axis=0))
    np.testing.assert_allclose(found.points * signs, theirs, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.explained, peer.explained_variance_ratio_, rtol=1e-4)
    assert found.stability is None


@pytest.mark.parametrize("method", ["pca", "umap", "tsne"])
def test_the_same_seed_gives_the_same_map(method: str) -> None:
    values, _ = digits(200)
    one = projected(vectors(values), method, seed=7)
    forget()
    two = projected(vectors(values), method, seed=7)
    assert np.array_equal(one.points, two.points)
    if method != "pca":
        other = projected(vectors(values), method, seed=8, stability=True)
        assert not np.array_equal(one.points, other.points)
        assert other.stability is not None
        assert 0.3 < other.stability < 1


def quality(values: Floats, labels: npt.NDArray[np.int64], points: Floats) -> tuple[float, float]:
    near = cross_val_score(KNeighborsClassifier(15), points, labels, cv=5).mean()
    return float(near), float(trustworthiness(values, points, n_neighbors=15))


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_the_dear_maps_keep_classes_together(method: str) -> None:
    values, labels = digits(600)
    near, true = quality(values, labels, projected(vectors(values), method).points)
    flat, flat_true = quality(values, labels, projected(vectors(values), "pca").points)
    assert near > quality(values, labels, values)[0] - 0.03  # as well as in all 64 dimensions
    assert near > flat + 0.1
    assert true > 0.97 > flat_true


@pytest.mark.slow
def test_our_umap_is_as_good_as_umap_learn() -> None:
    values, labels = load_digits(return_X_y=True)
    values = values.astype(np.float32)
    ours, theirs = (
        quality(
            values,
            labels,
            projected(vectors(values), "umap", settings={"engine": engine}, judged=False).points,
        )
        for engine in ("fluoroscope", "umap-learn")
    )
    assert ours[0] > theirs[0] - 0.01
    assert ours[1] > theirs[1] - 0.005


def test_a_change_of_the_layout_does_not_depend_on_what_was_asked_before() -> None:
    values, _ = digits(200)
    fresh = projected(vectors(values), "umap", settings={"min_dist": 0.6}).points
    projected(vectors(values), "umap", settings={"min_dist": 0.3})
    again = projected(vectors(values), "umap", settings={"min_dist": 0.6}).points
    assert np.array_equal(fresh, again)
    tight = projected(vectors(values), "umap", settings={"min_dist": 0.0}).points
    spread = [np.sort(nearest(each, 1, Meter())[1][:, 0]).mean() for each in (tight, fresh)]
    assert spread[0] < spread[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((1, 4)), "1 vector of 4 units"),
        (np.zeros((2, 4)), "at least 3 vectors"),
        (np.full((9, 4), 2.5), "All 9 vectors are the same"),
        (np.where(np.eye(9, 4) > 0, np.nan, 1.0), "NaN or infinite"),
        (np.where(np.eye(9, 4) > 0, np.inf, 1.0), "NaN or infinite"),
        (np.zeros((3, 4, 5)), r"expected \[example, unit\]"),
    ],
)
def test_what_cannot_be_mapped_is_refused(values: Floats, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        space(values.astype(np.float32))


def test_a_vector_without_direction_has_no_cosine() -> None:
    values = RANDOM.normal(size=(9, 4)).astype(np.float32)
    values[5] = 0
    with pytest.raises(BadInput, match="number 5 is all zeros"):
        space(values, "cosine")
    values[5] = 1
    near, apart = nearest(space(values, "cosine").values, 3, Meter())
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    expected = 2 - 2 * (unit[:, None] * unit[near]).sum(axis=2)
    np.testing.assert_allclose(apart**2, expected, atol=1e-5)


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_few_points_and_duplicates(method: str) -> None:
    few = RANDOM.normal(size=(6, 3)).astype(np.float32)
    found = projected(vectors(few), method)
    assert np.isfinite(found.points).all()
    assert any("only 6 examples" in note for note in found.notes)
    twice = np.repeat(RANDOM.normal(size=(30, 4)).astype(np.float32), 8, axis=0)
    assert np.isfinite(projected(vectors(twice), method).points).all()


def test_settings_that_there_are_not() -> None:
    values, _ = digits(50)
    with pytest.raises(UnknownName, match="umap"):
        projected(vectors(values), "umapp")
    with pytest.raises(UnknownName, match="n_neighbors"):
        projected(vectors(values), "umap", settings={"neighbours": 3})
    with pytest.raises(BadParameter, match="2 or 3"):
        projected(vectors(values), "pca", 4)
    with pytest.raises(BadParameter, match="larger than the spread"):
        projected(vectors(values), "umap", settings={"min_dist": 0.9, "spread": 0.5})


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_cancel_ends_it(method: str) -> None:
    values, _ = digits(300)
    asked = iter([False] * 8 + [True] * 1000)
    with pytest.raises(Cancelled):
        projected(vectors(values), method, meter=Meter(cancelled=lambda: next(asked)))


def test_a_captured_layer_and_other_weights(tmp_path: Path) -> None:
    found = capture(reference("digits_cnn"), limit=60, out=tmp_path / "c")
    asked = {"capture": str(found.folder), "layer": "relu3", "method": "pca"}
    made = project(load(reference("digits_cnn"), "cpu"), (), asked, 0, Meter())
    assert made.ids == found.ids
    assert made.provenance.inputs == (found.data.fingerprint,)
    with pytest.raises(BadInput, match="other weights"):
        project(load(reference("fashion_cnn"), "cpu"), (), asked, 0, Meter())
    with pytest.raises(UnknownName, match="relu3"):
        project(load(reference("digits_cnn"), "cpu"), (), {**asked, "layer": "relu33"}, 0, Meter())
