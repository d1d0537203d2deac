"""The sliding window of occlusion, in pixels: shared by its cost and its computation."""

from __future__ import annotations

from collections.abc import Mapping

from core.parameters import Value


def window_pixels(settings: Mapping[str, Value], height: int, width: int) -> tuple[int, int]:
    """Side and step of the sliding window in pixels, from percentages of the shorter side."""
    side = min(height, width)
    window = max(1, round(side * int(settings["window"]) / 100))
    stride = min(window, max(1, round(side * int(settings["stride"]) / 100)))
    # So that the last window ends at the edge: Captum would cut it off there.
    return window + (side - window) % stride, stride
