"""Figures of attention: what is drawn is what was found, and no more is sent."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.colors import sample_colorscale, unlabel_rgb

from core.provenance import Provenance
from core.results.attention import (
    AttentionAxis,
    AttentionFlow,
    AttentionLayer,
    AttentionMaps,
    AttentionOverview,
    Role,
)
from dashboard.figures import attention as figures
from dashboard.figures import patches
from dashboard.theme import MAGNITUDE

PROVENANCE = Provenance("net", "ab" * 32, (), "attention", {}, 0, "cpu", 0.1)
EVIL = "<img src=x onerror=alert(1)>"


def axis(*labels: str, grid: tuple[int, int] | None = None, prefix: int = 0) -> AttentionAxis:
    return AttentionAxis(labels, (False,) * len(labels), grid, prefix)


def softmax(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    values = np.exp(3 * np.random.default_rng(seed).standard_normal(shape))
    return (values / values.sum(axis=-1, keepdims=True)).astype(np.float32)


def layers(count: int, heads: int, role: Role = "encoder") -> tuple[AttentionLayer, ...]:
    return tuple(AttentionLayer(f"layers.{i}.attention", role, heads) for i in range(count))


def found(
    count: int = 2, heads: int = 3, *, thumbnails: Any = None, labels: tuple[str, ...] = ("a", "b")
) -> AttentionOverview:
    """Heads whose entropy and score rise with layer and fall with head."""
    if thumbnails is None:
        thumbnails = np.full((count, heads, 2, 2), 128, np.uint8)
    numbers = np.array([[10 * i - j for j in range(heads)] for i in range(count)], np.float32)
    return AttentionOverview(
        example="x",
        layers=layers(count, heads),
        thumbnails=tuple(thumbnails),
        entropy=tuple(numbers),
        distance=tuple(numbers + 100),
        head_types=(("previous token", "mixed", "first token", "mixed")[:heads],) * count,
        type_scores=tuple(numbers / 1000 + 0.5),
        queries={"encoder": axis(*labels)},
        keys={"encoder": axis(*labels)},
        picture=None,
        provenance=PROVENANCE,
    )


def maps(weights: Any, query: AttentionAxis, key: AttentionAxis, **more: Any) -> AttentionMaps:
    """Of ``weights`` ``[layer, head, query, key]``."""
    return AttentionMaps(
        example="x",
        layers=layers(len(weights), weights.shape[1]),
        maps=tuple(weights),
        queries={"encoder": query},
        keys={"encoder": key},
        picture=more.get("picture"),
        provenance=PROVENANCE,
    )


def drawn(figure: go.Figure) -> np.ndarray[Any, Any]:
    """The picture inside a figure."""
    data = figure.data[0].source.partition(",")[2]
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGB"))


def colour(share: float) -> list[int]:
    return [round(x) for x in unlabel_rgb(sample_colorscale(MAGNITUDE, [share])[0])]


def order(figure: go.Figure, layer: int) -> list[int]:
    """Heads of a layer from left to right."""
    points = [
        (x, row[1]) for x, row in zip(figure.data[1].x, figure.data[1].customdata, strict=True)
    ]
    rows = figure.data[1].customdata
    return [head for (_, head), row in sorted(zip(points, rows, strict=True)) if row[0] == layer]


def test_each_head_stands_in_its_place_in_the_colours_of_its_values() -> None:
    thumbnails = np.zeros((2, 3, 2, 2), np.uint8)
    thumbnails[1, 2] = [[0, 200], [50, 0]]
    figure = figures.overview(found(thumbnails=thumbnails))
    picture = drawn(figure)
    points = {tuple(row[:2]): (x, y) for row, x, y in zip(
        figure.data[1].customdata, figure.data[1].x, figure.data[1].y, strict=True
    )}  # fmt: skip
    assert len(points) == 6
    x, y = points[1, 2]
    corners = {(-1, -1): 0.0, (-1, 1): 1.0, (1, -1): (50 / 200) ** 0.5, (1, 1): 0.0}
    for (down, right), share in corners.items():
        pixel = picture[int(y + 12 * down), int(x + 12 * right)]
        assert np.abs(pixel.astype(int) - colour(share)).max() <= 2
    x, y = points[0, 0]
    assert list(picture[int(y), int(x)]) == colour(0)  # no attention at all is not stretched


def test_attention_to_everything_alike_stays_dark() -> None:
    thumbnails = np.full((1, 1, 48, 48), 2, np.uint8)  # 1 of 128 tokens each
    figure = figures.overview(found(1, 1, thumbnails=thumbnails))
    pixel = drawn(figure)[24, 24].astype(int)
    assert np.abs(pixel - colour(0.5)).max() <= 2


def test_heads_stand_as_they_are_or_sorted() -> None:
    about = found(heads=4)
    assert order(figures.overview(about), 0) == [0, 1, 2, 3]
    assert order(figures.overview(about, order="entropy"), 1) == [3, 2, 1, 0]
    # first token, mixed (the stronger first), previous token
    assert order(figures.overview(about, order="type"), 0) == [2, 1, 3, 0]
    assert not figures.overview(about, order="type").layout.xaxis.showticklabels


@pytest.mark.parametrize("sorting", ["layer", "entropy"])
def test_the_frame_is_around_the_chosen_head(sorting: Any) -> None:
    figure = figures.overview(found(), order=sorting, chosen=(1, 0))
    frame = figure.layout.shapes[0]
    for x, y, row in zip(
        figure.data[1].x, figure.data[1].y, figure.data[1].customdata, strict=True
    ):
        inside = frame.x0 < x < frame.x1 and frame.y0 < y < frame.y1
        assert inside == (list(row[:2]) == [1, 0])
    assert not figures.overview(found(), chosen=(7, 0), off=[(7, 0), (0, 7)]).layout.shapes
    one, other = figures.overview(found(), order=sorting, off=[(1, 0)]).layout.shapes
    for line in (one, other):  # a cross through the same head
        assert {line.x0, line.x1} == {frame.x0 + 2, frame.x1 - 1}
        assert (line.y0, line.y1) == (frame.y0 + 2, frame.y1 - 1)
    assert one.x0 != other.x0


@pytest.mark.parametrize(("count", "heads"), [(1, 1), (12, 12), (2, 64), (48, 2)])
def test_overview_is_no_wider_than_its_place(count: int, heads: int) -> None:
    figure = figures.overview(_many(count, heads), width=1000)
    assert figure.layout.width <= 1000
    assert figure.layout.height <= 960


def _many(count: int, heads: int) -> AttentionOverview:
    numbers = np.zeros((count, heads), np.float32)
    about = found(count, 1)
    return AttentionOverview(
        example="x",
        layers=layers(count, heads),
        thumbnails=(np.random.default_rng(0).integers(0, 256, (heads, 48, 48), np.uint8),) * count,
        entropy=tuple(numbers),
        distance=tuple(numbers),
        head_types=(("mixed",) * heads,) * count,
        type_scores=tuple(numbers),
        queries=about.queries,
        keys=about.keys,
        picture=None,
        provenance=PROVENANCE,
    )


def test_144_heads_are_one_small_picture() -> None:
    sent = figures.overview(_many(12, 12)).to_json()
    assert len(sent) < 1_000_000  # noise packs worst; the maps of 512 tokens would be 151 MB


def test_a_head_is_drawn_as_it_is_however_its_tokens_are_called() -> None:
    weights = softmax((1, 2, 3, 4))
    figure = figures.head_map(maps(weights, axis("x", "y", "z"), axis("a", EVIL, "a", "")), 0, 1)
    heat = figure.data[0]
    np.testing.assert_array_equal(heat.z, weights[0, 1])
    assert heat.zmin == 0 and heat.zmax == weights[0, 1].max()
    assert list(heat.x) == [0, 1, 2, 3]  # tokens of the same name stay apart
    assert "<img" not in figure.to_json()
    assert list(heat.customdata[2, 1]) == ["z", EVIL.replace("<", "&lt;").replace(">", "&gt;")]


def test_512_tokens_are_sent_as_numbers_only() -> None:
    weights = softmax((1, 1, 512, 512))
    many = axis(*(f"token{i}" for i in range(512)))
    figure = figures.head_map(maps(weights, many, many), 0, 0)
    assert len(figure.to_json()) < 1.1 * 512 * 512 * 4 * 4 / 3 + 60_000  # base64 of float32
    assert len(figure.layout.xaxis.tickvals) <= 60
    np.testing.assert_array_equal(figure.data[0].z, weights[0, 0])


def test_lines_go_where_attention_goes() -> None:
    weights = np.zeros((1, 1, 3, 3), np.float32)
    weights[0, 0] = [[1, 0, 0], [0.5, 0.5, 0], [0.01, 0.09, 0.9]]
    about = maps(weights, axis("a", "b", "c"), axis("a", "b", "c"))
    figure = figures.head_lines(about, 0, 0)
    lines = {}
    for trace in figure.data:
        if trace.mode == "lines":
            for start, end, _ in np.reshape(trace.y, (-1, 3)):
                lines[round(2 * start), round(2 * end)] = trace.opacity
    assert set(lines) == {(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)}  # 0.01 is too faint
    assert lines[0, 0] == 1 and lines[2, 2] == 1
    assert lines[2, 1] < lines[1, 0] == lines[1, 1] < 1
    only = figures.head_lines(about, 0, 0, query=1)
    ends = [np.reshape(trace.y, (-1, 3)) for trace in only.data if trace.mode == "lines"]
    assert sum(map(len, ends)) == 2
    assert {round(2 * row[0]) for rows in ends for row in rows} == {1}


def test_only_the_strongest_lines_of_a_long_text_are_sent() -> None:
    even = np.full((1, 1, 40, 40), 1 / 40, np.float32)
    even[0, 0, 39] = np.eye(40, dtype=np.float32)[3]
    many = axis(*(str(i) for i in range(40)))
    figure = figures.head_lines(maps(even, many, many), 0, 0)
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert sum(len(trace.x) for trace in lines) == 3 * 600
    assert max(lines, key=lambda trace: trace.opacity).y[0] == 1.0  # the last token is drawn


def test_one_token_over_all_heads() -> None:
    weights = softmax((2, 3, 4, 4))
    about = maps(weights, axis(*"abcd"), axis(*"abcd"))
    figure = figures.token_rows(about, "encoder", 2, titles={"layers.1.attention": "encoder 1"})
    np.testing.assert_array_equal(figure.data[0].z, weights[:, :, 2].reshape(6, 4))
    assert figure.data[0].customdata[4, 3][0] == "encoder 1 · head 1"
    assert figure.data[0].customdata[0, 3][0] == "layers.0.attention · head 0"


def test_the_map_of_a_picture_lies_on_its_patches() -> None:
    key = axis("class", *"abcdef", grid=(2, 3), prefix=1)
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    weights = softmax((1, 1, 7, 7))
    figure = patches.over_picture(maps(weights, key, key, picture=picture), 0, 0, 2)
    np.testing.assert_array_equal(drawn(figure), picture)
    heat = figure.data[1]
    np.testing.assert_array_equal(heat.z, weights[0, 0, 2, 1:].reshape(2, 3))
    assert list(heat.x) == [0.5, 2.5, 4.5]  # patches are 2 × 2 pixels, pixel 0 is around 0
    assert list(heat.y) == [0.5, 2.5]
    points = figure.data[2]
    assert [
        (x, y, row[0]) for x, y, row in zip(points.x, points.y, points.customdata, strict=True)
    ][4] == (2.5, 2.5, 5)
    frame = figure.layout.shapes[0]  # around the second patch, the one looked from
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (1.5, 3.5, -0.5, 1.5)
    assert f"class: {weights[0, 0, 2, 0]:.4f}" in figure.layout.annotations[0].text
    with pytest.raises(ValueError, match="patches"):
        patches.over_picture(maps(weights, axis(*"abcdefg"), axis(*"abcdefg")), 0, 0, 2)


def test_all_layers_together_are_read_as_one_map() -> None:
    values = softmax((2, 3))
    flow = AttentionFlow(
        "rollout", "cross", "x", values, axis("la", "casa"), axis("the", "house", "."), None,
        PROVENANCE,
    )  # fmt: skip
    figure = figures.flow_map(flow)
    with pytest.raises(ValueError, match="patches"):
        patches.flow_over_picture(flow, 0)
    np.testing.assert_array_equal(figure.data[0].z, values)
    assert list(figure.layout.xaxis.ticktext) == ["the", "house", "."]
    assert list(figure.layout.yaxis.ticktext) == ["la", "casa"]
