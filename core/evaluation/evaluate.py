"""The verb ``evaluate``: a classifier over the labelled examples of a capture."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.shelf import opened
from core.errors import BadInput, NotValid
from core.evaluation.measures import MEASURES
from core.evaluation.metrics import (
    BINS,
    Floats,
    Labels,
    bins_of,
    counted,
    measured,
    per_class,
    quotient,
    resampled,
    share,
)
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import Capture
from core.results.evaluation import Curve, Evaluation, Measure, Reliability
from core.tasks import Example

TIMES = Parameter("resamples", "int", 300, "Draws of the bootstrap behind intervals.", 0, 10_000)
_POINTS = 200  # of a curve
_CURVES = 20  # classes with curves: the most frequent
_WRONG = 500


def evaluate(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Evaluation:
    """Metrics, confusions, curves, calibration and mistakes over the labelled examples of the
    capture in the folder ``capture``, or of ``rows`` of it, with bootstrap intervals.

    Raises ``NotValid`` for a model without classes, ``BadInput`` when no example has a label, and
    as ``opened`` does.
    """
    started = time.perf_counter()
    found = opened(model.ref, parameters)
    times = int(checked((TIMES,), _given(parameters, "resamples"), "evaluate")["resamples"])
    rows = labelled(found, parameters)
    labels = np.asarray(found.labels)[rows]
    chances = np.asarray(found.probabilities, np.float64)[rows]
    meter.expect(2, "Metrics")
    weights = resampled(len(rows), times, seed)
    values = measured(labels, chances, weights)
    meter.tick()
    said = chances.argmax(axis=1)
    classes = len(found.classes)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, said), 1)
    precision, recall, f1 = per_class(*counted(labels, said, classes, weights[:1]))
    roc, pull = curves(labels, chances)
    confidence = chances.max(axis=1)
    wrong = np.flatnonzero(said != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:_WRONG]
    meter.tick()
    return Evaluation(
        found.model,
        found.data.name,
        tuple(found.classes),
        len(rows),
        tuple(_measure(each, values[each.name]) for each in MEASURES if each.name in values),
        confusion,
        precision[0],
        recall[0],
        f1[0],
        roc,
        pull,
        reliability(confidence, said == labels),
        rows[wrong],
        _notes(found, rows, labels),
        provenance(model, found, "evaluate", {"resamples": times}, seed, started),
    )


def labelled(found: Capture, parameters: Mapping[str, Any]) -> Labels:
    """The rows of a capture to be judged: those of ``rows`` in the parameters, else all, that have
    a label.
    """
    if not found.classes:
        raise NotValid(
            f"'{found.model}' has no classes, so there is no right and wrong.",
            "Look at perplexity, and of a translator at BLEU.",
        )
    if found.labels is None or not (found.labels >= 0).any():
        raise BadInput(
            f"The data '{found.data.name}' have no labels that '{found.model}' knows.",
            "Give a table with a label column, or a folder of class folders, whose classes have "
            "the names of the model's.",
        )
    known = np.flatnonzero(found.labels >= 0)
    if (asked := parameters.get("rows")) is not None:
        known = np.intersect1d(known, np.asarray(asked, np.int64))
        if not len(known):
            raise BadInput("None of these examples has a label.", "Choose others.")
    return known


def curves(labels: Labels, chances: Floats) -> tuple[tuple[Curve, ...], tuple[Curve, ...]]:
    """ROC and precision-recall curves of the most frequent classes that both are and are not
    there, thinned to 200 points; their areas are of all points.
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    counts = np.bincount(labels, minlength=chances.shape[1])
    there = [int(c) for c in np.argsort(-counts, kind="stable") if 0 < counts[c] < len(labels)]
    roc, pull = [], []
    for each in sorted(there[:_CURVES]):
        truth, scores = labels == each, chances[:, each]
        x, y, at = roc_curve(truth, scores)
        roc.append(_curve(each, x, y, np.minimum(at, 1.0), float(auc(x, y))))
        precision, recall, at = precision_recall_curve(truth, scores)
        area = float(average_precision_score(truth, scores))
        pull.append(_curve(each, recall, precision, np.append(at, 1.0), area))
    return tuple(roc), tuple(pull)


def reliability(confidence: Floats, right: npt.NDArray[np.bool_]) -> Reliability:
    """How often the model is right at which confidence ``[example]``."""
    bins = bins_of(confidence)
    counts = np.bincount(bins, minlength=BINS)

    mean = quotient(np.bincount(bins, confidence, minlength=BINS), counts, np.nan)
    sure = np.array([share(right[bins == place]) for place in range(BINS)])
    return Reliability(
        np.linspace(0, 1, BINS + 1), counts, mean, sure[:, 0], sure[:, 1], sure[:, 2]
    )


def provenance(
    model: LoadedModel,
    found: Capture,
    verb: str,
    parameters: Mapping[str, Any],
    seed: int,
    started: float,
) -> Provenance:
    """Where a result about a capture comes from."""
    return Provenance(
        found.model,
        found.weights,
        (found.data.fingerprint,),
        verb,
        dict(parameters),
        seed,
        str(model.device),
        time.perf_counter() - started,
    )


def _given(parameters: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: parameters[name] for name in names if name in parameters}


def _curve(label: int, x: Floats, y: Floats, at: Floats, area: float) -> Curve:
    few = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).round().astype(np.int64))
    x, y, at = (np.asarray(each, np.float64)[few] for each in (x, y, at))
    return Curve(label, x, y, at, area)


def _measure(declared: Measure, values: Floats) -> Measure:
    low, high = float("nan"), float("nan")
    if np.isfinite(values[1:]).any():
        low, high = (float(each) for each in np.nanpercentile(values[1:], (2.5, 97.5)))
    return replace(declared, value=float(values[0]), low=low, high=high)


def _notes(found: Capture, rows: Labels, labels: Labels) -> tuple[str, ...]:
    notes = []
    if len(rows) < len(found):
        notes.append(f"{len(found) - len(rows):,} of {len(found):,} examples have no label.")
    missing = [name for c, name in enumerate(found.classes) if not (labels == c).any()]
    if missing and len(missing) < len(found.classes):
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        notes.append(f"{len(missing)} of {len(found.classes)} classes have no example: {shown}.")
    if len(np.unique(labels)) == 1:
        notes.append("All examples are of one class: curves and areas need two.")
    if found.independent:
        notes.append("Several classes may be true at once; the likeliest is taken for the answer.")
    return tuple(notes)
