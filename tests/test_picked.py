"""What picked examples are drawn with: class balance, mistakes, colours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dashboard.figures.picked import class_balance, confused_pairs
from dashboard.projecting import tints

CLASSES = ("ant", "bee", "<b>cat")
LABELS = np.array([0, 0, 1, 1, 2, -1, 0, 1])
PREDICTIONS = np.array([0, 1, 1, 0, 2, 0, 1, 1])


def test_class_balance_by_hand() -> None:
    picked = np.array([1, 1, 1, 0, 0, 1, 0, 0], bool)
    bars, marks = class_balance(LABELS, picked, CLASSES).data
    np.testing.assert_allclose(bars.x, [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(marks.x, [1 / 4, 2 / 4, 1 / 4])
    assert list(bars.y) == ["ant", "bee", "&lt;b&gt;cat"]
    assert list(bars.customdata) == [2, 1, 0]


def test_of_many_classes_those_that_differ_most() -> None:
    labels = np.repeat(np.arange(40), 10)
    picked = np.isin(labels, (5, 7)) | (np.arange(400) % 10 == 0)
    (bars, _) = class_balance(labels, picked, [str(i) for i in range(40)], dark=True).data
    assert len(bars.y) == 12
    assert {"5", "7"} <= set(bars.y)


def test_confused_pairs_the_most_frequent_first() -> None:
    assert confused_pairs(LABELS, PREDICTIONS) == [(0, 1, 2), (1, 0, 1)]
    assert confused_pairs(LABELS, LABELS) == []


@pytest.fixture
def capture() -> Any:
    whole = np.zeros((8, 3, 2), np.float16)
    whole[:, 1, 0] = np.arange(8)
    return SimpleNamespace(
        labels=LABELS,
        predictions=PREDICTIONS,
        confidence=np.linspace(0, 1, 8, dtype=np.float32),
        loss=np.linspace(1, 0, 8, dtype=np.float32),
        classes=CLASSES,
        columns={
            "source": np.array(list("xyxyxyxy")),
            "note": np.array([f"n{i}" for i in range(8)] * 1),
            "length": np.arange(8),
            "same": np.array(["one"] * 8),
        },
        layer=lambda name: whole,
        folder=Path(),
    )


def test_what_there_is_to_colour_by(capture: Any) -> None:
    found = tints.choices(capture, 1)
    assert list(found)[:5] == ["label", "prediction", "right", "confidence", "loss"]
    assert {"column:source", "column:length", "unit:1"} <= set(found)
    assert "column:same" not in found
    for key in found:
        tint = tints.tint(capture, "layer", key)
        assert tint.values.shape == (8,)
        assert tint.categorical == (tint.values.dtype == np.int64)
    np.testing.assert_array_equal(
        tints.tint(capture, "layer", "right").values, [0, 1, 0, 1, 0, -1, 1, 0]
    )
    np.testing.assert_allclose(tints.tint(capture, "l", "unit:1").values, np.arange(8) / 2)
    assert tints.tint(capture, "l", "column:source").names == ("x", "y")


def test_without_labels_or_classes(capture: Any) -> None:
    capture.labels, capture.loss, capture.columns = None, None, {}
    assert list(tints.choices(capture, -1)) == ["prediction", "confidence"]
    capture.classes = ()
    assert tints.choices(capture, -1) == {}
