"""What a sample model declares about itself and its training; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is varied at random, uniformly up to each bound.

    ``rotate`` and ``shear`` in degrees, ``shift`` in pixels, ``scale`` as a fraction of the size,
    ``stroke`` how far lines are thickened or thinned (0 not at all, 1 by one pixel on each side),
    ``mirror`` whether half of the images are mirrored left to right.
    """

    rotate: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    stroke: float = 0.0
    mirror: bool = False


@dataclass(frozen=True)
class Recipe:
    """One trainable sample model: its words for the card, its data and its settings.

    ``box`` is the size in pixels to which an object in somebody's own photograph is scaled.
    ``learning_rate`` is the peak of the one-cycle schedule.
    """

    name: str
    title: str
    summary: str
    data: Literal["digits", "fashion"]
    box: int
    epochs: int
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    augmentation: Augmentation = Augmentation()
