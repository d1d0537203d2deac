"""The sliding window of occlusion, in pixels: shared by its cost and its computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.parameters import Value


@dataclass(frozen=True)
class Window:
    """Height, width and step of the window in pixels; its last place ends exactly at the edge."""

    height: int
    width: int
    stride: int

    def positions(self, height: int, width: int) -> int:
        """How many places there are on an input of this size."""
        down = (height - self.height) // self.stride + 1
        return down * ((width - self.width) // self.stride + 1)


def sliding_window(settings: Mapping[str, Value], height: int, width: int) -> Window:
    """The window of these settings, percentages of the shorter side, on an input of this size.

    Along each axis it is made longer by the few pixels that would be left over at the end, since
    Captum would cut the last window off there and a cut window has less to take away.
    """
    side = min(height, width)
    window = max(1, round(side * int(settings["window"]) / 100))
    stride = min(window, max(1, round(side * int(settings["stride"]) / 100)))
    return Window(window + (height - window) % stride, window + (width - window) % stride, stride)
