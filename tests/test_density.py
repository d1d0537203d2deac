"""Many points: counted by cell, found in a box and in an outline, against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import points_in_poly

from core.projection.density import density, inside, within

PLACES = np.random.default_rng(0).uniform(-1, 1, (2_000, 2)).astype(np.float32)


def test_cells_hold_what_lies_in_them() -> None:
    found = density(PLACES, bins=8)
    counts = np.zeros((8, 8), int)
    for x, y in PLACES:
        counts[7 - min(7, int((y + 1) * 4)), min(7, int((x + 1) * 4))] += 1
    expected = np.where(
        counts, np.maximum(1, np.rint(255 * np.log1p(counts) / np.log1p(counts.max()))), 0
    )
    assert (found == expected).all()
    lone = density(np.array([[0.9, 0.9]] + [[-0.9, -0.9]] * 10_000, np.float32), bins=4)
    assert lone[0, 3] >= 1
    assert lone[3, 0] == 255
    assert (lone > 0).sum() == 2


@pytest.mark.parametrize("corners", [3, 5, 12, 60])
def test_an_outline_against_scikit_image(corners: int) -> None:
    random = np.random.default_rng(corners)
    angles = np.sort(random.uniform(0, 2 * np.pi, corners))
    reach = random.uniform(0.2, 1, corners)
    outline = np.column_stack([reach * np.cos(angles), reach * np.sin(angles)])
    expected = np.flatnonzero(points_in_poly(PLACES, outline))
    assert inside(PLACES, outline).tolist() == expected.tolist()


def test_a_box_and_no_outline() -> None:
    box = (-0.5, 0.0, 0.25, 0.75)
    expected = [i for i, (x, y) in enumerate(PLACES) if -0.5 <= x <= 0.25 and 0 <= y <= 0.75]
    assert within(PLACES, box).tolist() == expected
    square = [(-0.5, 0.0), (0.25, 0.0), (0.25, 0.75), (-0.5, 0.75)]
    assert inside(PLACES, square).tolist() == expected
    for nothing in ([], [(0, 0)], [(0, 0), (1, 1)], [(0, 0), (1, float("nan")), (1, 1)]):
        assert len(inside(PLACES, nothing)) == 0
