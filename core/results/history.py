"""What was recorded while something learned: series over steps, as read from event files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """One number over steps, in the order of ``steps``.

    ``steps`` int64, ``values`` float64 (NaN and infinities as they were written), ``seconds``
    float64 (Unix time of writing); all ``[point]``.
    """

    steps: Ints
    values: Floats
    seconds: Floats

    def __post_init__(self) -> None:
        if not self.steps.shape == self.values.shape == self.seconds.shape or self.steps.ndim != 1:
            raise ValueError(
                f"a series has steps {self.steps.shape}, values {self.values.shape} and seconds "
                f"{self.seconds.shape}, expected three of the same [point]"
            )


@dataclass(frozen=True)
class HistogramSeries:
    """A distribution over steps: ``edges[i]`` float64 ``[bin + 1]`` and ``counts[i]`` float64
    ``[bin]`` belong to ``steps[i]``; the number of bins may differ from step to step.
    """

    steps: Ints
    seconds: Floats
    edges: tuple[Floats, ...]
    counts: tuple[Floats, ...]


@dataclass(frozen=True)
class BlobSeries:
    """Texts (UTF-8), encoded images or raw arrays over steps.

    ``items[i]`` belongs to ``steps[i]``: bytes of a text, of a PNG or JPEG as written, or an array.
    """

    steps: Ints
    seconds: Floats
    items: tuple[bytes, ...] | tuple[npt.NDArray[np.float64], ...]


@dataclass(frozen=True)
class History:
    """Everything that the event files of one run hold, by tag.

    ``notes`` say what was wrong with the files, for people: a cut tail, a damaged record.
    """

    name: str
    scalars: Mapping[str, Series] = field(default_factory=dict)
    histograms: Mapping[str, HistogramSeries] = field(default_factory=dict)
    images: Mapping[str, BlobSeries] = field(default_factory=dict)
    texts: Mapping[str, BlobSeries] = field(default_factory=dict)
    arrays: Mapping[str, BlobSeries] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
