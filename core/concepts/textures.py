"""Pictures that are made up, for concepts that nobody has to gather examples of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
import numpy.typing as npt

from core.tasks import Example

Plane = npt.NDArray[np.float64]
_COUNT = 50


def textures(height: int, width: int, channels: int) -> Mapping[str, tuple[Example, ...]]:
    """By name 50 pictures of each texture, light on dark, as PNG files of this size: stripes that
    lie, stand or slant, dots and rings. Each differs in place, thickness and strength; the same
    ones each time. Pictures with more than one channel get a colour each.
    """
    return {
        name: tuple(
            Example(f"{name} {number + 1}.png", _png(draw, name, number, height, width, channels))
            for number in range(_COUNT)
        )
        for name, draw in _DRAWN.items()
    }


def _png(
    draw: Callable[[Plane, Plane, np.random.Generator], Plane],
    name: str,
    number: int,
    height: int,
    width: int,
    channels: int,
) -> bytes:
    from PIL import Image

    generator = np.random.default_rng([number, *name.encode()])
    side = max(height, width)
    row, column = np.meshgrid(np.arange(height) / side, np.arange(width) / side, indexing="ij")
    plane = np.clip(draw(row, column, generator), 0, 1) * generator.uniform(0.7, 1.0)
    if channels == 1:
        pixels = np.rint(255 * plane).astype(np.uint8)
    else:
        dark, light = generator.uniform(0, 0.4, 3), generator.uniform(0.6, 1, 3)
        pixels = np.rint(255 * (dark + plane[..., None] * (light - dark))).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _waves(along: Plane, generator: np.random.Generator) -> Plane:
    """Stripes across a direction: three to six over the picture."""
    waves = np.sin(2 * np.pi * (along * generator.uniform(3, 6) + generator.uniform()))
    return np.clip(0.5 + 2 * (waves - generator.uniform(-0.2, 0.4)), 0, 1)


def _turned(row: Plane, column: Plane, degrees: float, generator: np.random.Generator) -> Plane:
    angle = np.deg2rad(degrees + generator.uniform(-8, 8))
    return _waves(row * np.cos(angle) + column * np.sin(angle), generator)


def _lying(row: Plane, column: Plane, generator: np.random.Generator) -> Plane:
    return _turned(row, column, 0, generator)


def _standing(row: Plane, column: Plane, generator: np.random.Generator) -> Plane:
    return _turned(row, column, 90, generator)


def _slanting(row: Plane, column: Plane, generator: np.random.Generator) -> Plane:
    return _turned(row, column, 45, generator)


def _dots(row: Plane, column: Plane, generator: np.random.Generator) -> Plane:
    plane = np.zeros_like(row)
    for _ in range(int(generator.integers(6, 14))):
        y, x = generator.uniform(size=2)
        radius = generator.uniform(0.04, 0.09)
        plane = np.maximum(plane, _edge(radius - np.hypot(row - y, column - x)))
    return plane


def _rings(row: Plane, column: Plane, generator: np.random.Generator) -> Plane:
    plane = np.zeros_like(row)
    for _ in range(int(generator.integers(1, 4))):
        y, x = generator.uniform(0.3, 0.7, 2)
        away = np.abs(np.hypot(row - y, column - x) - generator.uniform(0.12, 0.3))
        plane = np.maximum(plane, _edge(generator.uniform(0.03, 0.06) - away))
    return plane


def _edge(inside: Plane) -> Plane:
    """1 inside, 0 outside, with a soft edge of a twenty-eighth of the picture."""
    return np.clip(0.5 + 28 * inside, 0, 1)


_DRAWN: Mapping[str, Callable[[Plane, Plane, np.random.Generator], Plane]] = {
    "Lying stripes": _lying,
    "Standing stripes": _standing,
    "Slanting stripes": _slanting,
    "Dots": _dots,
    "Rings": _rings,
}
