"""Figures of compression: what stands in them is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from core.provenance import Provenance
from core.results import Cost, Costs, Drift
from dashboard.figures.compression import reasons, savings

PROVENANCE = Provenance(
    "net", "ab" * 32, (), "compress", {}, 0, "cpu", 0.1, created="2025-01-02T03:04"
)


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_left_is_a_share_of_the_original(dark: bool) -> None:
    one = Cost("a", 400, 100, 100, 2_000, np.array([1e-3, 3e-3, 2e-3]), 8, np.array([16e-3]))
    two = Cost("b", 100, 100, 25, 2_000, np.array([4e-3, 4e-3, 4e-3]), 8, np.array([32e-3]))
    (bars,) = savings(Costs(one, two, 0.5, PROVENANCE), dark=dark).data
    np.testing.assert_allclose(bars.x, [0.25, 1, 0.25, 1, 2])
    assert bars.customdata[0] == ["400", "100"]
    assert bars.marker.color[4] != bars.marker.color[0]
    assert (one.median, two.p95) == (2e-3, 4e-3)


def test_reasons_are_counted_by_how_much_they_are_alike() -> None:
    spearman = np.array([-0.2, 0.5, 0.97, 0.98])
    drift = Drift(
        "small", "net", "data", ("a", "b"), 9, np.array([1, 0.9]), np.zeros(2), np.ones((2, 2)),
        0.9, np.array([3]), "<b>method", np.arange(4), spearman, np.ones(4), ("one",),
        np.ones(1), PROVENANCE,
    )  # fmt: skip
    figure = reasons(drift)
    (bars,) = figure.data
    assert sum(bars.y) == 4
    assert bars.y[-1] == 2
    assert figure.layout.shapes[0].x0 == pytest.approx(np.median(spearman))
    assert "&lt;b&gt;method" in figure.layout.title.text
    assert figure.layout.xaxis.range[0] < -0.2
