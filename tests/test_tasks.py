"""Targets are found by name, index, rank and contrast; nonsense offers the nearest names."""

import numpy as np
import pytest

from core.errors import BadInput, UnknownName
from core.tasks import Example, PixelGrid, parse_targets

CLASSES = ("cat", "dog", "3", "hot dog")
LOGITS = np.array([0.5, 3.0, 2.0, -1.0], dtype=np.float32)


def indices(spec: str | int) -> list[tuple[int, int | None]]:
    return [(target.index, target.versus) for target in parse_targets(spec, CLASSES, LOGITS)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("top", [(1, None)]),
        ("top3", [(1, None), (2, None), (0, None)]),
        ("TOP-2", [(1, None), (2, None)]),
        ("Cat", [(0, None)]),
        ("hot dog", [(3, None)]),
        ("3", [(2, None)]),  # a class called 3 comes before index 3
        ("#3", [(3, None)]),
        (0, [(0, None)]),
        ("second", [(2, None)]),
        ("cat vs dog", [(0, 1)]),
        ("top vs second", [(1, 2)]),
        ("hot dog - dog", [(3, 1)]),
        ("dog − #0", [(1, 0)]),
    ],
)
def test_target_is_found(spec: str | int, expected: list[tuple[int, int | None]]) -> None:
    assert indices(spec) == expected


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("cta", "cat"),
        ("top9", "4"),
        ("top0", "0 classes"),
        ("cat vs cow", "cow"),
        ("cat vs cat", "itself"),
        ("99", "99"),
        ("", "There is no class"),
    ],
)
def test_nonsense_is_refused_with_an_offer(spec: str, words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        parse_targets(spec, CLASSES, LOGITS)


def test_title_of_a_contrast_names_both() -> None:
    assert parse_targets("cat vs dog", CLASSES, LOGITS)[0].title == "cat − dog"


def test_example_knows_its_digest_and_refuses_nothing() -> None:
    assert Example("a", b"abc").sha256.startswith("ba7816bf")  # FIPS 180-2, appendix B.1
    with pytest.raises(BadInput, match="0 bytes"):
        Example("a", b"")


def test_pixel_grid_shape() -> None:
    assert PixelGrid(3, 4, 5).shape == (3, 4, 5)
