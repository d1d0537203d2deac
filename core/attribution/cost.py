"""How many passes a method makes: what estimates of time and progress are made from.

Each function takes the checked settings and the axis of the example. One forward of each count is
the prediction itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.attribution.method import Cost
from core.attribution.window import extent, sliding_window
from core.parameters import Value
from core.results.levels import at_level
from core.tasks import Columns, FeatureAxis, PixelGrid


def once(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """One forward and backward."""
    return Cost(forward=1, backward=1)


def twice(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """Two forwards and one backward."""
    return Cost(forward=2, backward=1)


def per_step(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """A forward and backward per point of the path."""
    return Cost(forward=2, backward=int(settings["n_steps"]))


def per_sample(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """A forward and backward per noisy copy."""
    return Cost(forward=1, backward=int(settings["n_samples"]))


def shap_samples(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """A forward and backward per point, and the score of each baseline."""
    count = int(settings.get("n_baselines", 1))
    return Cost(forward=1 + count, backward=int(settings["n_samples"]))


def pair(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """Input and baseline together, forward and backward."""
    return Cost(forward=2, backward=2)


def pairs(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """Input and baseline together, for each baseline."""
    count = int(settings["n_baselines"])
    return Cost(forward=1 + count, backward=2 * count)


def layer_and_input(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """Once for the layer and once for the input."""
    return Cost(forward=1, backward=2)


def windows(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """Places of the window, and the whole input."""
    return Cost(forward=2 + sliding_window(settings, axis).positions(extent(axis)))


def per_segment(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """A forward per segment."""
    return Cost(forward=2 + _segments(settings, axis))


def orders(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """A forward per segment for each random order."""
    return Cost(forward=3 + int(settings["n_samples"]) * _segments(settings, axis))


def evaluations(settings: Mapping[str, Value], axis: FeatureAxis) -> Cost:
    """A forward per evaluation."""
    return Cost(forward=3 + int(settings["n_samples"]))


def _segments(settings: Mapping[str, Value], axis: FeatureAxis) -> int:
    """How many segments the input falls into, about."""
    if isinstance(axis, PixelGrid):
        return int(settings["n_segments"])
    if isinstance(axis, Columns):
        return len(axis.names)
    return len(at_level(axis, np.zeros(axis.shape), str(settings["segments"])).labels)
