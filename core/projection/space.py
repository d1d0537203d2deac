"""The vectors to be mapped, checked and ready for distances, and what a reducer makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.errors import BadInput, BadParameter
from core.provenance import sha256, sha256_of_json

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Vectors:
    """What is to be mapped: ``values`` float32 ``[example, unit]``, one id each. ``source`` says in
    words where they are from, ``model`` and ``weights`` whose activations they are, if anybody's.
    """

    values: Floats
    ids: tuple[str, ...]
    source: str
    fingerprint: str
    model: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Space:
    """Vectors float32 ``[example, unit]`` in which near means near in the straight line:
    ``fingerprint`` is the SHA-256 of the values as they came and of the metric.
    """

    values: Floats
    fingerprint: str

    def key(self, **what: object) -> str:
        """A key of something computed from these vectors."""
        return sha256_of_json({"space": self.fingerprint, **what})

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Laid:
    """What a reducer made: ``points`` float32 ``[example, dim]``, who computed it, and of PCA the
    share of variance along each axis.
    """

    points: Floats
    engine: str
    explained: tuple[float, ...] = ()
    notes: tuple[str, ...] = field(default=())


def fingerprint(values: npt.NDArray[np.floating]) -> str:
    """SHA-256 of numbers and shape."""
    data = np.ascontiguousarray(values, np.float32)
    return sha256(str(data.shape).encode() + data.tobytes())


def space(values: npt.NDArray[np.floating], metric: str = "euclidean") -> Space:
    """Vectors ``[example, unit]`` ready for straight distances: centred, and for ``cosine`` of
    length 1 before that, where squared distance is twice the cosine distance.

    Raises ``BadInput`` for fewer than three examples, NaN, infinity, vectors that are all alike,
    and for ``cosine`` a vector of zeros.
    """
    if values.ndim != 2:
        raise BadInput(
            f"The vectors have shape {values.shape}, expected [example, unit].",
            "Give one row per example.",
        )
    count, units = values.shape
    if count < 3 or units < 1:
        raise BadInput(
            f"There {'is 1 vector' if count == 1 else f'are {count} vectors'} of {units} "
            f"{'unit' if units == 1 else 'units'}: a map needs at least 3 vectors.",
            "Capture more examples.",
        )
    data = np.asarray(values, np.float32)
    bad = ~np.isfinite(data).all(axis=1)
    if bad.any():
        raise BadInput(
            f"{int(bad.sum()):,} of {count:,} vectors hold NaN or infinite values, the first is "
            f"number {int(bad.argmax())}.",
            "Leave these examples out, or capture another layer or in float32.",
        )
    if (data == data[0]).all():
        raise BadInput(
            f"All {count:,} vectors are the same: there is nothing to map.",
            "Choose another layer; this one answers alike whatever it is shown.",
        )
    digest = fingerprint(data)
    if metric == "cosine":
        length = np.linalg.norm(data.astype(np.float64), axis=1, keepdims=True)
        if not length.all():
            raise BadInput(
                f"Vector number {int((length[:, 0] == 0).argmax())} is all zeros and has no "
                "direction.",
                "Use the euclidean distance.",
            )
        data = (data / length).astype(np.float32)
    elif metric != "euclidean":
        raise BadParameter(
            f"'{metric}' is not a distance, expected euclidean or cosine.", "Use euclidean."
        )
    else:
        # The largest value is 1: squares of huge or tiny numbers must not leave float32.
        data = data - data.mean(axis=0, dtype=np.float64).astype(np.float32)
        largest = float(np.abs(data).max())
        if not np.isfinite(largest) or largest == 0:
            raise BadInput(
                "The vectors' values are too large, or too alike beside their size, to be told "
                "apart.",
                "Scale or centre them first.",
            )
        data = data / np.float32(largest)
    return Space(np.ascontiguousarray(data), sha256_of_json([digest, metric]))
