"""Which examples are held out: in proportion, without overlap, the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.data.splits import (
    check_labels,
    listed,
    named_splits,
    natural,
    sample,
    split,
    with_validation,
)
from core.errors import BadInput


def uneven(count: int = 1000, seed: int = 3) -> np.ndarray[Any, Any]:
    shares = [0.6, 0.25, 0.1, 0.05]
    return np.random.default_rng(seed).choice(list("abcd"), count, p=shares)


@pytest.mark.parametrize("held_out", [{"val": 0.1, "test": 0.1}, {"val": 0.25}, {"test": 1 / 3}])
def test_parts_have_their_shares_of_each_class_and_nothing_in_common(
    held_out: dict[str, float],
) -> None:
    labels = uneven()
    parts = split(labels, len(labels), 5, held_out)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))
    assert list(parts) == ["train", *held_out]
    for name, share in held_out.items():
        assert len(parts[name]) == round(share * len(labels))
        for label in "abcd":
            expected = share * np.count_nonzero(labels == label)
            assert abs(np.count_nonzero(labels[parts[name]] == label) - expected) <= 2


def test_split_is_decided_by_the_seed() -> None:
    labels = uneven()
    first, again, other = (split(labels, len(labels), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["val"], other["val"])


def test_every_class_stays_in_train() -> None:
    labels = np.array(["rare", *["often"] * 30, *["twice"] * 2])
    for seed in range(50):
        parts = split(labels, len(labels), seed, {"val": 0.3, "test": 0.3})
        assert set(labels[parts["train"]]) == {"rare", "often", "twice"}


def test_split_without_labels_and_with_too_few_examples() -> None:
    parts = split(None, 20, 0)
    assert {name: len(each) for name, each in parts.items()} == {"train": 16, "val": 2, "test": 2}
    with pytest.raises(BadInput, match="2 examples of 2 classes are too few to hold some out"):
        split(["a", "b"], 2, 0)


def test_held_out_examples_are_equally_likely() -> None:
    labels = np.repeat([0, 1], 10)
    taken = np.zeros(20)
    for seed in range(2000):
        taken[split(labels, 20, seed, {"val": 0.2})["val"]] += 1
    assert np.abs(taken / 2000 - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 2000)


def test_sample_is_in_proportion() -> None:
    labels = uneven(2000)
    some = sample(labels, 100, 0)
    assert len(some) == 100
    assert len(set(some.tolist())) == 100
    for label in "abcd":
        assert abs(np.mean(labels[some] == label) - np.mean(labels == label)) <= 0.02
    assert sample(labels, 5000, 0).tolist() == list(range(2000))
    assert set(labels[sample(labels, 4, 0)]) == set("abcd")
    with pytest.raises(BadInput, match="3 examples cannot have one of each of 4 classes"):
        sample(labels, 3, 0)


def test_split_column() -> None:
    parts = named_splits(["Train", "dev", "training", "TEST", "validation "], "The column split")
    assert {name: each.tolist() for name, each in parts.items()} == {
        "train": [0, 2],
        "val": [1, 4],
        "test": [3],
    }
    with pytest.raises(BadInput, match="The column split says 'maybe', expected train, val"):
        named_splits(["train", "maybe"], "The column split")
    with pytest.raises(BadInput, match="leaves no example for train"):
        named_splits(["val", "test"], "The column split")


def test_missing_validation_part_is_drawn_from_train() -> None:
    labels = uneven(200)
    given = {"train": np.arange(0, 150), "test": np.arange(150, 200)}
    parts = with_validation(given, labels, 0)
    assert list(parts) == ["train", "val", "test"]
    assert len(parts["val"]) == 15
    assert sorted([*parts["train"], *parts["val"]]) == list(range(150))
    complete = {**given, "val": np.arange(3)}
    assert with_validation(complete, labels, 0) == complete


def test_labels_are_checked() -> None:
    assert check_labels({"train": [10, 9, 9], "val": [10]}, "'data'") == ("9", "10")
    with pytest.raises(BadInput, match=r"'data': the label 'c' occurs in val and not in train\."):
        check_labels({"train": ["a", "b"], "val": ["a", "c"]}, "'data'")
    with pytest.raises(BadInput, match=r"has only one class \('a'\), at least two are needed"):
        check_labels({"train": ["a", "a"]}, "'data'")


def test_natural_order_and_short_lists() -> None:
    names = ["img10", "img2", "b", "10", "9", "01", "1", "", "²", "a"]
    assert sorted(names, key=natural) == ["", "01", "1", "9", "10", "a", "b", "img2", "img10", "²"]
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([str(i) for i in range(5)], 3) == "'0', '1', '2' and 2 more"
