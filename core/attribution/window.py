"""The sliding window of occlusion: shared by its cost and its computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.parameters import Value
from core.tasks import FeatureAxis, PixelGrid


@dataclass(frozen=True)
class Window:
    """Sides and steps of a window over the parts of an input; its last place ends exactly at the
    edge.
    """

    sides: tuple[int, ...]
    strides: tuple[int, ...]

    def positions(self, shape: tuple[int, ...]) -> int:
        """How many places there are on an input of this shape."""
        count = 1
        for length, side, stride in zip(shape, self.sides, self.strides, strict=True):
            count *= (length - side) // stride + 1
        return count


def sliding_window(settings: Mapping[str, Value], axis: FeatureAxis) -> Window:
    """The window of these settings on an input of this axis.

    Over pixels (rows and columns) they are percentages of the shorter side, over a text numbers of
    tokens. Along each dimension the window is made longer by the few parts that would be left over
    at the end, since Captum would cut the last window off there and a cut window has less to take
    away.
    """
    shape = extent(axis)
    window, stride = int(settings["window"]), int(settings["stride"])
    if isinstance(axis, PixelGrid):
        window, stride = round(min(shape) * window / 100), round(min(shape) * stride / 100)
    window = min(min(shape), max(1, window))
    stride = min(window, max(1, stride))
    return Window(
        tuple(window + (length - window) % stride for length in shape), (stride,) * len(shape)
    )


def extent(axis: FeatureAxis) -> tuple[int, ...]:
    """The dimensions that a window slides over."""
    return axis.shape[1:] if isinstance(axis, PixelGrid) else axis.shape
