"""Examples picked out of a data set: kept by what they are, found again, never of other data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data import subset
from core.data.dataset import Dataset
from core.errors import BadInput
from core.tasks import Example
from core.workspace import Workspace


@pytest.fixture
def data() -> Dataset:
    def read(row: int) -> Example:
        return Example(f"{row}.txt", b"x")

    return Dataset("letters", [f"e{i}" for i in range(9)], read, "f" * 64)


def test_picked_kept_and_found_again(tmp_path: Path, data: Dataset) -> None:
    place = Workspace(tmp_path)
    one = subset.picked(data, np.array([5, 2, 5, 8]))
    assert one.rows == (2, 5, 8)
    assert one.title == "3 examples"
    key = subset.keep(place, one)
    assert key == subset.keep(place, subset.picked(data, [8, 5, 2]))
    found = subset.kept(place, key)
    assert (found.rows, found.data, found.name) == (one.rows, data.ref, "")
    assert found.mask(data).nonzero()[0].tolist() == [2, 5, 8]
    assert subset.named(place, data.fingerprint) == {}

    subset.keep(place, subset.renamed(found, "  fours that \n look like nines "))
    subset.keep(place, one)  # without a name: the one that was given stays
    (again,) = subset.named(place, data.fingerprint).values()
    assert again.title == "fours that look like nines"
    assert again.created == found.created
    assert subset.named(place, "0" * 64) == {}


def test_what_cannot_be_is_refused(tmp_path: Path, data: Dataset) -> None:
    place = Workspace(tmp_path)
    for rows, said in (([], "No example"), ([9], "no example 9"), ([-1], "no example")):
        with pytest.raises(BadInput, match=said):
            subset.picked(data, rows)
    one = subset.picked(data, [1])
    with pytest.raises(BadInput, match="other data"):
        one.mask(replace(data, fingerprint="0" * 64))
    with pytest.raises(BadInput, match="name is empty"):
        subset.renamed(one, " \n\0")
    for key in ("", "../../etc/passwd", "0" * 16, "0" * 1000):
        with pytest.raises(BadInput, match="not kept on this machine"):
            subset.kept(place, key)


@pytest.mark.parametrize("harm", ["{", "[]", '{"rows": 5}', ""])
def test_a_damaged_file_is_told(tmp_path: Path, data: Dataset, harm: str) -> None:
    place = Workspace(tmp_path)
    key = subset.keep(place, replace(subset.picked(data, [1, 2]), name="mine"))
    path = place.subsets / f"{key}.json"
    document = json.loads(path.read_bytes())
    path.write_text(harm)
    with pytest.raises(BadInput, match="damaged"):
        subset.kept(place, key)
    assert subset.named(place, data.fingerprint) == {}
    path.write_text(json.dumps({**document, "rows": [3]}))
    with pytest.raises(BadInput, match="its rows differ"):
        subset.kept(place, key)
