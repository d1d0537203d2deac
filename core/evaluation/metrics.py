"""Metrics of a classifier under any weights of its examples, so that a bootstrap is one product.

Weights ``[resample, example]`` say how often each example was drawn; a row of ones gives the
metric itself. Every metric equals scikit-learn's (tested), with 0 where a ratio has no cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import binomtest

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

BINS = 15
_MOST = 2 * 10**8  # numbers that areas under curves may look at


def resampled(count: int, times: int, seed: int) -> Floats:
    """Weights of ``times`` draws with replacement of ``count`` examples after a row of ones: the
    bootstrap (Efron 1979), float64 ``[1 + times, count]``.
    """
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=times)
    return np.vstack([np.ones((1, count)), draws]).astype(np.float64)


def measured(labels: Labels, probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """Metrics by name, each ``[resample]``, of true classes ``[example]`` and probabilities
    ``[example, class]``.
    """
    count, classes = probabilities.shape
    said, rows = probabilities.argmax(axis=1), np.arange(count)
    right = (said == labels).astype(np.float64)
    total = weights.sum(axis=1)
    found = {"accuracy": weights @ right / total}
    per_class = counted(labels, said, classes, weights)
    found |= averages(*per_class)
    for k in (3, 5):
        if classes > 2 * k:
            rank = (probabilities > probabilities[rows, labels][:, None]).sum(axis=1)
            found[f"top{k}"] = weights @ (rank < k).astype(np.float64) / total
    least = np.finfo(np.float64).eps
    truth = np.clip(probabilities[rows, labels], least, 1 - least)
    found["log_loss"] = weights @ -np.log(truth) / total
    brier = (probabilities**2).sum(axis=1) - 2 * probabilities[rows, labels] + 1
    found["brier"] = weights @ brier / total
    found["ece"] = calibration_error(probabilities.max(axis=1), right, weights)
    if count * classes * len(weights) <= _MOST and classes > 1:
        found["auc"] = areas(labels, probabilities, weights)
    return found


def counted(
    labels: Labels, said: Labels, classes: int, weights: Floats
) -> tuple[Floats, Floats, Floats]:
    """How often each class was hit, was there and was named: each ``[resample, class]``."""
    count, one = len(labels), np.ones(len(labels))
    rows = np.arange(count)
    there = sparse.csr_array((one, (rows, labels)), shape=(count, classes))
    named = sparse.csr_array((one, (rows, said)), shape=(count, classes))
    hit = sparse.csr_array(((said == labels).astype(float), (rows, labels)), shape=(count, classes))
    return tuple(np.asarray(weights @ each) for each in (hit, there, named))  # type: ignore[return-value]


def per_class(hit: Floats, there: Floats, named: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class, 0 where there are no cases, NaN for a class that was
    neither there nor named.
    """
    absent = (there + named) == 0
    found = []
    for above, below in ((hit, named), (hit, there), (2 * hit, there + named)):
        found.append(np.where(absent, np.nan, quotient(above, below, 0.0)))
    return found[0], found[1], found[2]


def averages(hit: Floats, there: Floats, named: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 over classes: ``macro`` over those that were there or named,
    ``weighted`` by how often each was there.
    """
    found = {}
    values = dict(zip(("precision", "recall", "f1"), per_class(hit, there, named), strict=True))
    shares = there / there.sum(axis=1, keepdims=True)
    for name, value in values.items():
        found[f"{name}_macro"] = np.nanmean(value, axis=1)
    for name, value in values.items():
        found[f"{name}_weighted"] = (np.nan_to_num(value) * shares).sum(axis=1)
    return found


def calibration_error(confidence: Floats, right: Floats, weights: Floats) -> Floats:
    """Expected calibration error in 15 bins of equal width (Guo et al. 2017, arXiv 1706.04599):
    the mean distance of confidence from the share that is right, ``[resample]``.
    """
    bins = bins_of(confidence)
    gaps = sparse.csr_array(
        (confidence - right, (np.arange(len(bins)), bins)), shape=(len(bins), BINS)
    )
    return np.asarray(np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1), np.float64)


def bins_of(confidence: Floats) -> Labels:
    """The bin of each confidence, ``]low, high]``."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def areas(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """The mean over classes of the area under the ROC curve of each against the others, of those
    classes that both are and are not there, ``[resample]``; NaN without any.
    """
    sums, counts = np.zeros(len(weights)), np.zeros(len(weights))
    for each in range(probabilities.shape[1]):
        area = _area(labels == each, probabilities[:, each], weights)
        sums += np.nan_to_num(area)
        counts += np.isfinite(area)
    return quotient(sums, counts, np.nan)


def _area(positive: npt.NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """The chance that a positive example scores higher than a negative one, ties half."""
    levels, place = np.unique(scores, return_inverse=True)
    rows = np.arange(len(scores))
    at = [
        np.asarray(
            weights
            @ sparse.csr_array((mask.astype(float), (rows, place)), shape=(len(rows), len(levels)))
        )
        for mask in (positive, ~positive)
    ]
    below = np.cumsum(at[1], axis=1) - at[1] / 2
    pairs = at[0].sum(axis=1) * at[1].sum(axis=1)
    won = (at[0] * below).sum(axis=1)
    return quotient(won, pairs, np.nan)


def quotient(above: npt.NDArray[Any], below: npt.NDArray[Any], otherwise: float) -> Floats:
    """``above / below``, and ``otherwise`` where there is nothing to divide by."""
    found = np.full(np.shape(above), otherwise, np.float64)
    np.divide(above, below, out=found, where=np.asarray(below) > 0)
    return found


def share(mask: npt.NDArray[np.bool_]) -> Floats:
    """The share that holds, with its Wilson interval of 95 %; NaN of nothing."""
    if not len(mask):
        return np.full(3, np.nan)
    interval = binomtest(int(mask.sum()), len(mask)).proportion_ci(method="wilson")
    return np.array([mask.mean(), interval.low, interval.high])
