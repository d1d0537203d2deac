"""The bytes that the map's script reads, decoded by hand."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dashboard.projecting.tints import Tint
from dashboard.scatter import (
    FALSE,
    NONE,
    PICKED,
    Pin,
    Points,
    crowded,
    normed,
    packed,
    quantised,
    rows_of,
)

Decoded = tuple[dict[str, Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def decoded(data: bytes) -> Decoded:
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    count, dim = head["count"], head["dim"]
    places = np.frombuffer(data, "<u2", count * dim, 4 + length).reshape(count, dim)
    rest = np.frombuffer(data[4 + length + 2 * count * dim :], np.uint8)
    assert len(rest) == 2 * count
    return head, places, rest[:count], rest[count:]


def some(count: int, dim: int = 2, **more: Any) -> Points:
    points = np.random.default_rng(0).normal(3, 5, (count, dim)).astype(np.float32)
    return Points(points, "m", "d", "title", **more)


@pytest.mark.parametrize("dim", [2, 3])
def test_places_come_back_within_half_a_step(dim: int) -> None:
    shown = some(500, dim)
    _, places, _, _ = decoded(packed(shown, dark=False))
    _, middle, half = quantised(shown.points)
    back = (places / 32767.5 - 1) * half + middle
    assert np.abs(back - shown.points).max() <= half / 65535 * 1.01
    assert places.max() == 65535 or places.min() == 0  # the longest side is used whole


def test_one_point_and_points_in_one_place() -> None:
    for points in (np.ones((1, 2), np.float32), np.ones((4, 2), np.float32)):
        _, places, _, _ = decoded(packed(Points(points, "m", "d", "t"), dark=True))
        assert np.abs(places.astype(int) - 32767).max() <= 1


def test_names_have_colour_shape_and_number() -> None:
    values = np.array([0, 0, 8, -1, 8, 8, 1])
    tint = Tint("label", "True class", values, tuple("abcdefghij"))
    head, _, colours, _ = decoded(packed(some(7, tint=tint), dark=False))
    legend = {entry["name"]: entry for entry in head["legend"]}
    assert list(legend) == ["a", "b", "i"]
    assert [legend[name]["count"] for name in "abi"] == [2, 1, 3]
    assert colours[3] == NONE
    assert [colours[0], colours[2], colours[6]] == [legend[name]["index"] for name in "aib"]
    b, i = legend["b"], legend["i"]  # the same hue once more, in another shape
    assert b["colour"] == i["colour"]
    assert (b["shape"], i["shape"]) == (0, 1)


def test_of_many_names_the_most_frequent_are_told() -> None:
    values = np.concatenate([np.full(60 - name, name) for name in range(50)])
    tint = Tint("label", "True class", values, tuple(f"c{name}" for name in range(50)))
    head, _, colours, _ = decoded(packed(some(len(values), tint=tint), dark=False))
    assert [entry["name"] for entry in head["legend"]] == [f"c{name}" for name in range(20)]
    assert (colours[values >= 20] == NONE).all()
    assert len({(entry["colour"], entry["shape"]) for entry in head["legend"]}) == 20


def test_magnitudes_rise_along_the_scale() -> None:
    values = np.append(np.linspace(0, 1, 99), np.nan).astype(np.float32)
    head, _, colours, _ = decoded(packed(some(100, tint=Tint("loss", "Loss", values)), dark=False))
    assert colours[-1] == NONE
    assert (np.diff(colours[:-1].astype(int)) >= 0).all()
    assert (colours[0], colours[98]) == (0, len(head["palette"]) - 1)
    assert head["bar"]["low"].startswith("Loss ")
    nothing = Tint("loss", "Loss", np.full(100, np.nan, np.float32))
    assert (decoded(packed(some(100, tint=nothing), dark=False))[2] == NONE).all()


def test_marks_and_the_example_in_hand() -> None:
    mask = np.arange(10) < 3
    shown = some(10, picked=mask, false=~mask, pins=[Pin("here", 4), Pin("new", place=(3.0, 3.0))])
    head, _, _, flags = decoded(packed(shown, dark=False))
    assert ((flags & PICKED > 0) == mask).all()
    assert ((flags & FALSE > 0) == ~mask).all()
    _, middle, half = quantised(shown.points)
    assert head["pins"][0]["row"] == 4
    assert head["pins"][1]["place"] == pytest.approx(list((3.0 - middle) / half))


@pytest.mark.parametrize("count", [1, 7, 8, 1001])
def test_picked_rows_are_read_from_bits(count: int) -> None:
    mask = np.random.default_rng(1).random(count) < 0.5
    text = base64.b64encode(np.packbits(mask).tobytes()).decode()
    assert rows_of(text, count).tolist() == np.flatnonzero(mask).tolist()


@pytest.mark.parametrize("text", ["", "%%%", "AAAA", base64.b64encode(b"x" * 999).decode()])
def test_what_the_script_cannot_have_sent_picks_nothing(text: str) -> None:
    assert len(rows_of(text, 1001)) == 0


def test_a_hundred_thousand_points_take_few_bytes() -> None:
    values = np.arange(100_000) % 10
    tint = Tint("label", "True class", values, tuple("0123456789"))
    assert len(packed(some(100_000, tint=tint), dark=False)) <= 0.75 * 9 * 100_000


def test_too_many_points_are_cells_and_single_points_in_a_part() -> None:
    points = np.random.default_rng(2).normal(size=(200_000, 2)).astype(np.float32)
    shown = Points(points, "m", "d", "t", picked=None)
    rows, data = crowded(shown, None, dark=False)
    assert len(rows) == 0
    assert len(data) <= 0.2 * 2**20
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    cells = np.frombuffer(data[4 + length :], np.uint8).reshape(head["density"]["size"])
    assert (cells > 0).any()
    places = normed(points)
    centre = tuple(np.median(places, axis=0))
    box = [centre[0] - 0.05, centre[1] - 0.05, centre[0] + 0.05, centre[1] + 0.05]
    rows, data = crowded(shown, box, dark=False)
    expected = [
        i for i, (x, y) in enumerate(places) if box[0] <= x <= box[2] and box[1] <= y <= box[3]
    ]
    assert rows.tolist() == expected
    head, found, _, _ = decoded(data)
    assert head["many"]
    np.testing.assert_allclose(found / 32767.5 - 1, places[rows], atol=2e-5)


@pytest.mark.parametrize("look", ["nonsense", [1, 2], [0, 0, 0, 0], [9, 9, -9, -9]])
def test_a_part_that_is_none_shows_no_point(look: object) -> None:
    points = np.random.default_rng(2).normal(size=(160_000, 2)).astype(np.float32)
    rows, _ = crowded(Points(points, "m", "d", "t"), look, dark=True)
    assert len(rows) <= 1
