"""What layers do over a data set, from their captured activations ``[example, unit]``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from core.results.activations import Capture
from core.results.behaviour import LayerBehaviour

Floats = npt.NDArray[np.float64]
# Activations between two bounds, and those bounds.
BOUNDED = {"Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Hardsigmoid": (0.0, 1.0)}
SATURATED_SHARE = 0.95
_BINS = 64
_NEAR_BOUND = 0.05  # of the distance between the bounds
_MOST_RANKED = 4_000
_SAME = 0.999
_MOST_UNITS = 4_096  # of which pairs are compared
_MOST_PAIRS = 500


def pooled(capture: Capture, name: str) -> npt.NDArray[np.float32]:
    """The activations of a layer, the mean over its positions: float32 ``[example, unit]``.

    Raises ``UnknownName``, ``StorageError``.
    """
    values = np.asarray(capture.layer(name), np.float32)
    if values.ndim == 2:
        return values
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(values, axis=tuple(range(2, values.ndim))), np.float32)


def behaviour(
    values: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64] | None = None,
    single: npt.NDArray[np.floating] | None = None,
    *,
    name: str = "",
    kind: str = "",
) -> LayerBehaviour:
    """What a layer does: ``values`` ``[example, unit]`` are means over positions, ``labels`` int64
    ``[example]`` with -1 for none. ``single`` ``[place, unit]`` are activations at single positions
    of some of the examples; distribution, zeros, saturation, duplicates and rank are theirs, since
    the mean of a linear unit over a picture follows its brightness alone. Without it, or positions,
    they are those of ``values``. What is NaN or infinite is left out and counted.

    Raises ``BadInput`` for fewer than two examples.
    """
    finite = np.isfinite(values).all(axis=1)
    nonfinite = int((~np.isfinite(values)).sum())
    data = np.asarray(values[finite], np.float64)
    if len(data) < 2:
        raise BadInput(
            f"The layer '{name}' has {len(data)} usable examples, at least 2 are needed.",
            "Choose more data.",
        )
    places = data if single is None else np.asarray(single, np.float64)
    places = places[np.isfinite(places).all(axis=1)]
    places = places if len(places) > 1 else data
    centred = data - data.mean(axis=0)
    size = np.abs(data).max(axis=0)
    dead = np.abs(centred).max(axis=0) <= 1e-6 * np.maximum(size, 1e-12)
    counts, edges = np.histogram(places, bins=_BINS)
    known = None if labels is None else labels[finite]
    return LayerBehaviour(
        name=name,
        kind=kind,
        units=data.shape[1],
        mean=float(places.mean()),
        deviation=float(places.std()),
        low=float(places.min()),
        high=float(places.max()),
        counts=counts.astype(np.float64),
        edges=edges,
        sparsity=float((places == 0).mean()),
        dead=tuple(np.flatnonzero(dead).tolist()),
        saturated=_saturated(places, kind),
        duplicates=_duplicates(places - places.mean(axis=0), dead),
        effective_rank=effective_rank(_spread(places)),
        selectivity=np.empty(0) if known is None else selectivity(data, known),
        nonfinite=nonfinite,
    )


def effective_rank(centred: Floats) -> float:
    """The exponential of the entropy of the singular values of ``[example, unit]``, each as a share
    of their sum; 0 when all are zero. Roy and Vetterli 2007 (EUSIPCO).
    """
    tall = centred if len(centred) <= centred.shape[1] else centred.T
    squares = np.linalg.eigvalsh(tall @ tall.T)
    values = np.sqrt(np.maximum(squares, 0))
    values = values[values > 1e-7 * values.max()] if values.max() > 0 else values[:0]
    if not len(values):
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def selectivity(values: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """The share of each unit's variance that the class explains, float64 ``[unit]`` from 0 to 1:
    variance between the means of classes over the whole (correlation ratio). NaN where a unit does
    not vary, or all examples with a label are of one class.
    """
    data, known = values[labels >= 0], labels[labels >= 0]
    if len(np.unique(known)) < 2:
        return np.full(values.shape[1], np.nan)
    centred = data - data.mean(axis=0)
    whole = (centred**2).sum(axis=0)
    between = np.zeros(values.shape[1])
    for each in np.unique(known):
        mine = centred[known == each]
        between += len(mine) * mine.mean(axis=0) ** 2
    still = whole <= 1e-12 * np.maximum((data**2).sum(axis=0), 1e-300)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(still, np.nan, between / whole)
    return found


def _spread(places: Floats) -> Floats:
    """At most 4,000 of the places, evenly, without their mean."""
    some = places[:: -(-len(places) // _MOST_RANKED)]
    centred: Floats = some - some.mean(axis=0)
    return centred


def _saturated(data: Floats, kind: str) -> tuple[int, ...]:
    if kind not in BOUNDED:
        return ()
    low, high = BOUNDED[kind]
    near = _NEAR_BOUND * (high - low)
    at_end = (data < low + near) | (data > high - near)
    return tuple(np.flatnonzero(at_end.mean(axis=0) >= SATURATED_SHARE).tolist())


def _duplicates(centred: Floats, dead: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    length = np.linalg.norm(centred, axis=0)
    alive = np.flatnonzero(~dead & (length > 0))[:_MOST_UNITS]
    if len(alive) < 2 or len(centred) < 3:
        return ()
    unit = centred[:, alive] / length[alive]
    first, second = np.nonzero(np.triu(unit.T @ unit > _SAME, k=1))
    pairs = zip(alive[first[:_MOST_PAIRS]].tolist(), alive[second].tolist(), strict=False)
    return tuple(pairs)
