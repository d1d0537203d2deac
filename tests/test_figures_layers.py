"""Figures of layers and of their units: what stands in them is what was given."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

from core.provenance import Provenance
from core.results import LogitLens, Probes
from core.results.behaviour import LayerBehaviour
from dashboard import theme
from dashboard.figures import depth, inside, lens, oneunit, probes
from dashboard.figures.layeraxis import layer_ticks

EVIL = "<img src=x onerror=alert(1)>"
PROVENANCE = Provenance(
    "net", "ab" * 32, (), "layers", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)
BLOCKS = [f"net.blocks.{block}.{part}" for block in range(12) for part in ("conv", "norm", "relu")]


def test_few_layers_are_all_named_by_their_ends() -> None:
    ticks = layer_ticks(["conv1", EVIL, "encoder.layers.0.self_attn.out_proj"])
    assert ticks["tickvals"] == [0, 1, 2]
    assert ticks["ticktext"] == ["conv1", "…src=x onerror=alert(1)&gt;", "…rs.0.self_attn.out_proj"]
    assert ticks["tickangle"] == 0


def test_of_many_layers_each_block_is_named_where_it_begins() -> None:
    names = ["stem", *BLOCKS, "head"]
    ticks = layer_ticks(names)
    found = dict(zip(ticks["tickvals"], ticks["ticktext"], strict=True))  # type: ignore[call-overload]
    for block in range(12):
        assert found[names.index(f"net.blocks.{block}.conv")] == f"net.blocks.{block}"
    places = sorted(found)
    assert min(b - a for a, b in pairwise(places)) >= len(names) / 24
    assert ticks["tickangle"] == -40


def test_the_strip_of_layers() -> None:
    figure = depth.layer_strip(
        ["a", EVIL, "c"], [0.2, math.nan, 0.9], title="Share", form=".0%", kinds=["Conv2d"] * 3,
        healthy=(0.05, 1.0), picked="c",
    )  # fmt: skip
    (bars,) = figure.data
    np.testing.assert_array_equal(bars.y, [0.2, math.nan, 0.9])
    assert bars.marker.color[2] == theme.accent(False) != bars.marker.color[0]
    assert bars.customdata[1] == ["&lt;img src=x onerror=alert(1)&gt;", "Conv2d"]
    (band,) = figure.layout.shapes
    assert (band.y0, band.y1) == (0.05, 1.0)
    assert figure.layout.yaxis.type == "linear"


def test_values_far_apart_are_on_a_logarithmic_axis_but_shares_never_are() -> None:
    assert depth.layer_strip(["a", "b"], [1, 1e6], title="").layout.yaxis.type == "log"
    assert depth.layer_strip(["a", "b"], [0, 1e6], title="").layout.yaxis.type == "linear"
    shares = depth.layer_strip(["a", "b"], [1e-4, 1], title="", form=".0%")
    assert shares.layout.yaxis.type == "linear"


def test_a_histogram_adds_up_to_one() -> None:
    edges = np.array([0.0, 1.0, 3.0])
    layer = LayerBehaviour(
        EVIL, "ReLU", 4, 0.5, 0.1, 0, 3, np.array([30.0, 10.0]), edges, 0.0, (), (), (), 2.0,
        np.array([0.1, 0.9, 0.2, 0.3]),
    )  # fmt: skip
    figure = depth.activation_histogram(layer)
    np.testing.assert_allclose(figure.data[0].x, [0.5, 2.0])
    np.testing.assert_allclose(figure.data[0].y, [0.75, 0.25])
    assert "<img" not in figure.layout.title.text
    selective = depth.selective_units([1, 3], layer.selectivity[[1, 3]])
    assert list(selective.data[0].y) == ["unit 1", "unit 3"]
    np.testing.assert_allclose(selective.data[0].x, [0.9, 0.3])


@pytest.mark.parametrize("dark", [False, True])
def test_every_unit_is_a_tile_in_its_place(dark: bool) -> None:
    values = np.zeros((6, 2, 2), np.float32)
    values[4, 0, 0], values[1] = 3.0, -1.0
    figure = inside.unit_grid(values, picked=4, dark=dark)
    picture, tiles = figure.data
    assert [row[0] for row in tiles.customdata] == list(range(6))
    assert [row[1] for row in tiles.customdata] == pytest.approx([0, -1, 0, 0, 0.75, 0])
    (frame,) = figure.layout.shapes
    assert frame.x0 < tiles.x[4] < frame.x1
    assert frame.y0 < tiles.y[4] < frame.y1
    assert picture.source.startswith("data:image/png")


def test_of_many_units_the_strongest_are_drawn() -> None:
    values = np.arange(400, dtype=np.float32)
    values[7] = -1000
    shown = inside.shown_units(values)
    assert len(shown) == inside.MOST
    assert 7 in shown
    assert 20 not in shown
    assert (np.diff(shown) > 0).all()


def test_units_over_tokens() -> None:
    values = np.array([[1, -2, 0], [0.5, 0, 0]], np.float32)
    figure = inside.units_over_positions(values, [EVIL, " b", "c"], picked=1)
    heat, dots = figure.data
    np.testing.assert_array_equal(heat.z, values)
    assert heat.zmin == -heat.zmax
    assert [row[0] for row in dots.customdata] == [0, 0, 0, 1, 1, 1]
    assert list(figure.layout.xaxis.ticktext) == ["&lt;img src=x on…", "b", "c"]
    assert list(inside.units_over_positions(values, ["a"]).layout.xaxis.ticktext) == ["0", "1", "2"]


def test_one_unit_alone() -> None:
    bars = inside.one_unit_over_positions(np.array([1, -2], np.float32), ["a", " "], title=EVIL)
    assert list(bars.data[0].y) == [1, -2]
    assert bars.data[0].marker.color[0] != bars.data[0].marker.color[1]
    assert list(bars.layout.xaxis.ticktext) == ["a", "␣"]
    assert "<img" not in bars.layout.title.text
    square = inside.one_unit(np.array([[0, 2], [1, 0]], np.float32))
    assert square.data[0].zmin == 0
    assert square.data[0].zmax == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("draw", "shape"),
    [
        (inside.unit_grid, (2, 3)),
        (inside.units_over_positions, (3,)),
        (inside.one_unit, (3,)),
        (inside.one_unit_over_positions, (3, 2)),
        (inside.filter_grid, (3, 3, 3)),
    ],
)
def test_another_shape_is_refused(draw: object, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        draw(np.zeros(shape, np.float32))  # type: ignore[operator]


def test_filters_are_the_mean_over_their_channels() -> None:
    weight = np.zeros((2, 2, 3, 3), np.float32)
    weight[1, 0] = 4.0
    tiles = inside.filter_grid(weight).data[1]
    assert [row[1] for row in tiles.customdata] == pytest.approx([0, 2])


def test_the_histogram_of_a_unit_counts_every_known_example() -> None:
    values = np.array([0, 1, 2, np.nan, 2], np.float32)
    labels = np.array([0, 1, 1, 0, 0])
    figure = oneunit.unit_histogram(values, labels, ["a", EVIL])
    assert sum(sum(each.y) for each in figure.data) == 4
    assert figure.data[0].name.startswith("&lt;img")  # its mean is higher
    assert len(oneunit.unit_histogram(values, None, ()).data) == 1


def test_units_that_matter_most_keep_their_sign() -> None:
    (bars,) = oneunit.strongest_units(
        np.array([0.1, -3, 2], np.float32), title="", most=2, picked=2
    ).data
    assert list(bars.y) == ["unit 1", "unit 2"]
    assert list(bars.x) == [-3, 2]
    assert list(bars.marker.line.width) == [0, 2]


def test_classes_that_change_most() -> None:
    before, after = np.linspace(0.5, 0.9, 30), np.linspace(0.5, 0.9, 30)
    after[[3, 20]] -= 0.2
    names = [f"c{index}" for index in range(30)]
    bars, marks = oneunit.class_changes(names, before, after, most=2).data
    assert list(bars.y) == list(marks.y) == ["c3", "c20"]
    np.testing.assert_allclose(marks.x - bars.x, 0.2)


def test_probes_name_the_first_layer_that_is_as_good_as_the_best() -> None:
    found = Probes(
        "net", "data", ("a", EVIL, "c"), ("4", "9"), 80, 5, np.array([0.5, 0.97, 0.98]),
        np.array([0.1, 0.01, 0.02]), 0.5, 0.99, PROVENANCE,
    )  # fmt: skip
    figure = probes.probe_curve(found)
    assert "4 and 9 come apart at &lt;img" in figure.layout.title.text
    assert list(figure.data[0].marker.size) == [8, 13, 8]
    np.testing.assert_array_equal(figure.data[0].error_y.array, found.deviation)
    assert sorted({line.y0 for line in figure.layout.shapes}) == [0.5, 0.99]


def test_similarity_of_two_models() -> None:
    values = np.array([[1.0, 0.2, 0.1]])
    figure = probes.similarity_map(values, ["a"], ["b", EVIL, "d"], titles=("one", "<b>"))
    np.testing.assert_array_equal(figure.data[0].z, values)
    assert figure.data[0].customdata[0][1][1].startswith("&lt;img")
    assert figure.layout.xaxis.title.text == "&lt;b&gt;"


@pytest.mark.parametrize("dark", [False, True])
def test_the_lens_shows_words_chances_and_ranks(dark: bool) -> None:
    found = LogitLens(
        "x", ("block.0", "block.1"), ("a", EVIL), ("yes", "no"),
        ((("no",), ("maybe",)), (("yes",), ("no",))), np.full((2, 2, 1), 0.5, np.float32),
        np.array([[3, 1], [0, 0]]), np.array([[0.1, 0.2], [0.8, 0.9]], np.float32),
        np.zeros((2, 2), np.float32), PROVENANCE,
    )  # fmt: skip
    (heat,) = lens.lens_map(found, dark=dark).data
    assert [list(row) for row in heat.text] == [["no", "maybe"], ["yes", "no"]]
    np.testing.assert_allclose(heat.z, found.chance)
    assert "place 4" in heat.customdata[0][0]
    shown = lens.lens_map(found, first=1)
    assert isinstance(shown, go.Figure)
    assert list(shown.layout.xaxis.ticktext) == ["&lt;img src=x on…"]
