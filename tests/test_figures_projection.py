"""Maps as figures, for exports."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.provenance import Provenance
from core.results import Projection
from core.results.projection import Trust
from dashboard.figures.projection import projection_map

EVIL = "<img src=x onerror=alert(1)>"
PROVENANCE = Provenance(
    "net", "ab" * 32, (), "project", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)


def made(count: int = 6, dims: int = 2, **more: Any) -> Projection:
    points = np.random.default_rng(0).normal(size=(count, dims)).astype(np.float32)
    false = np.zeros(count, np.float32)
    false[1] = 0.9
    given = {
        "method": "umap",
        "engine": "fluoroscope",
        "explained": (),
        "trust": Trust(3, count, 0.97, 0.96, 0.5, false),
    } | more
    ids = tuple(f"{EVIL}{row}" for row in range(count))
    return Projection(
        points, ids, "relu3 of net", parameters={}, seed=0, stability=None, notes=(),
        provenance=PROVENANCE, **given,
    )  # fmt: skip


def test_every_point_is_drawn_once_in_its_group() -> None:
    projection = made()
    figure = projection_map([projection], np.array([0, 1, 0, -1, 1, 1]), ["a", EVIL])
    groups = {each.name: each for each in figure.data}
    assert set(groups) == {"a", "&lt;img src=x onerror=aler…", "others", "false neighbours"}
    np.testing.assert_array_equal(groups["a"].x, projection.points[[0, 2], 0])
    np.testing.assert_array_equal(groups["others"].y, projection.points[[3], 1])
    np.testing.assert_array_equal(groups["false neighbours"].x, projection.points[[1], 0])
    assert len({groups["a"].marker.color, groups["others"].marker.color}) == 2
    assert "trustworthiness 0.970" in figure.layout.title.text
    assert figure.layout.yaxis.scaleanchor == "x"
    assert "<img" not in figure.to_json()


def test_what_is_not_picked_is_faint() -> None:
    picked = np.array([1, 0, 0, 1, 0, 0], bool)
    (points, _) = projection_map([made()], picked=picked).data
    np.testing.assert_array_equal(points.marker.opacity, np.where(picked, 0.9, 0.12))


def test_magnitudes_have_one_scale_for_all_maps() -> None:
    loss = np.linspace(0, 1, 6)
    figure = projection_map(
        [made(), made()], loss, colour="Loss", marked=False, titles=["one", EVIL]
    )
    first, second = figure.data
    np.testing.assert_array_equal(first.marker.color, loss)
    assert (first.marker.showscale, second.marker.showscale) == (True, False)
    assert first.marker.colorbar.title.text == "Loss"
    assert [note.text for note in figure.layout.annotations][1].startswith("&lt;img")


def test_of_more_than_twenty_names_the_most_frequent_keep_a_colour() -> None:
    values = np.repeat(np.arange(30), np.arange(1, 31))
    figure = projection_map([made(len(values), trust=None)], values, [f"n{i}" for i in range(30)])
    assert {each.name for each in figure.data} == {"others"} | {f"n{i}" for i in range(10, 30)}
    (others,) = [each for each in figure.data if each.name == "others"]
    assert len(others.x) == sum(range(1, 11))


def test_axes_are_named_where_they_mean_something() -> None:
    figure = projection_map([made(method="pca", explained=(0.6, 0.2), trust=None)])
    assert figure.layout.xaxis.title.text == "component 1 · 60% of the variance"
    assert projection_map([made()]).layout.xaxis.title.text == ""


@pytest.mark.parametrize("dark", [False, True])
def test_three_dimensions(dark: bool) -> None:
    projection = made(dims=3)
    (points,) = projection_map([projection], dark=dark).data
    assert points.type == "scatter3d"
    np.testing.assert_array_equal(points.z, projection.points[:, 2])
