"""The verb ``compare``: two classifiers over the same examples, by their captures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest

from core.activations.shelf import opened
from core.comparison.fit import common
from core.errors import BadInput, NotValid
from core.evaluation.evaluate import TIMES
from core.evaluation.measures import MEASURES
from core.evaluation.metrics import (
    Floats,
    Labels,
    counted,
    measured,
    per_class,
    quotient,
    resampled,
    share,
)
from core.models.loaded import LoadedModel
from core.parameters import checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import Capture, open_capture
from core.results.comparison import Comparison, PairedMeasure, PairedTest
from core.results.evaluation import Measure
from core.tasks import Example

_MOST = 10_000  # examples that are named
_LOW, _HIGH = 2.5, 97.5


def compare(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Comparison:
    """Answers and metrics of two classifiers: of ``model`` in the capture in the folder ``capture``
    and of another model, or other weights, in that in ``other``, over the same data. Intervals are
    by the bootstrap with ``resamples`` draws, the same for both. Classes are matched by name.

    Raises ``NotValid`` for models that write, ``BadInput`` when the captures are of different data,
    the models have no class in common, and as ``opened`` does.
    """
    started = time.perf_counter()
    ours = opened(model.ref, parameters)
    theirs = open_capture(str(parameters.get("other", "")))
    given = {name: parameters[name] for name in ("resamples",) if name in parameters}
    times = int(checked((TIMES,), given, "compare")["resamples"])
    meter.expect(4, "Answers")
    pair = _paired(ours, theirs)
    meter.tick()
    said = pair.chances.argmax(axis=2)
    count, classes = len(pair.rows), len(pair.classes)
    kappas = kappa(said[0], said[1], classes, resampled(count, times, seed))
    apart = divergences(pair.chances[0], pair.chances[1])
    order = np.argsort(-apart, kind="stable")[:_MOST]
    answers = np.zeros((classes, classes), np.int64)
    np.add.at(answers, (said[0], said[1]), 1)
    meter.tick()
    known = np.flatnonzero(pair.labels >= 0)
    measures: tuple[PairedMeasure, ...] = ()
    test = None
    nothing = np.full((classes, 2), np.nan)
    recall, f1, gaps = nothing, nothing, np.full((classes, 3), np.nan)
    if len(known):
        labels, weights = pair.labels[known], resampled(len(known), times, seed)
        measures = _measures(labels, pair.chances[:, known], weights)
        meter.tick()
        right = said[:, known] == labels
        test = mcnemar(right[0], right[1])
        several = [per_class(*counted(labels, each[known], classes, weights)) for each in said]
        recall, f1 = (np.stack([each[part][0] for each in several], axis=1) for part in (1, 2))
        gaps = _interval(several[0][2] - several[1][2])
    meter.tick()
    return Comparison(
        ours.model,
        theirs.model,
        ours.data.name,
        pair.classes,
        pair.alone,
        count,
        len(known),
        share(said[0] == said[1]),
        _interval(kappas[:, None])[0],
        answers,
        measures,
        test,
        np.bincount(pair.labels[known], minlength=classes).astype(np.int64),
        recall,
        f1,
        gaps,
        float(apart.mean()),
        pair.rows[order],
        apart[order],
        said[:, order].T.copy(),
        np.take_along_axis(pair.chances[:, order], said[:, order, None], axis=2)[..., 0].T.copy(),
        pair.labels[order],
        pair.notes,
        Provenance(
            ours.model,
            ours.weights,
            (ours.data.fingerprint, theirs.weights),
            "compare",
            {"other": theirs.model, "resamples": times},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def divergences(one: Floats, other: Floats) -> Floats:
    """The Jensen-Shannon divergence of each pair of rows of probabilities ``[example, class]``, in
    bits, ``[example]``: 0 for equal ones, 1 for those with nothing in common. Lin 1991.
    """
    same = (one == other).all(axis=1)  # exactly nothing, also where a rounding leaves a bit
    found = np.asarray(jensenshannon(one, other, base=2, axis=1), np.float64) ** 2
    return np.where(same, 0.0, np.nan_to_num(found))


def kappa(one: Labels, other: Labels, classes: int, weights: Floats) -> Floats:
    """Cohen's kappa (1960) of two answers ``[example]`` under each row of weights ``[resample,
    example]``: agreement beyond that of chance, 1 at most; NaN where both say one class only.
    """
    hit, first, second = counted(one, other, classes, weights)
    total = weights.sum(axis=1)
    seen, chance = hit.sum(axis=1) / total, (first * second).sum(axis=1) / total**2
    return quotient(seen - chance, np.where(1 - chance > 1e-12, 1 - chance, 0.0), np.nan)


def mcnemar(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> PairedTest:
    """McNemar's exact test of whether two models, right on ``one`` and on ``other`` of the same
    examples ``[example]``, are equally accurate.
    """
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    p = float(binomtest(first, first + second).pvalue) if first + second else 1.0
    return PairedTest(int((one & other).sum()), first, second, int((~one & ~other).sum()), p)


@dataclass(frozen=True)
class _Pair:
    """Two captures over the examples and the classes of both: ``chances`` ``[model, example,
    class]``, ``labels`` -1 where the true class is not one that both have.
    """

    classes: tuple[str, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    rows: Labels
    chances: Floats
    labels: Labels
    notes: tuple[str, ...]


def _paired(ours: Capture, theirs: Capture) -> _Pair:
    for each in (ours, theirs):
        if not each.classes:
            raise NotValid(
                f"'{each.model}' has no classes: it writes.",
                "Compare models that write by their perplexity and by what they write.",
            )
        if not each.complete:
            raise BadInput(
                f"The capture of '{each.model}' has {each.done:,} of {each.total:,} examples.",
                "Let it come to its end.",
            )
    if ours.data.fingerprint != theirs.data.fingerprint:
        raise BadInput(
            f"'{ours.model}' was captured over {len(ours):,} examples of {ours.data.name}, "
            f"'{theirs.model}' over {len(theirs):,} of {theirs.data.name}: these are other data.",
            "Capture both over the same data.",
        )
    shared = common(ours.model, ours.classes, theirs.model, theirs.classes)
    places = {second: first for first, second in shared.values()}
    mine = tuple(name for name in ours.classes if name not in shared)
    others = [index for index in range(len(theirs.classes)) if index not in places]
    places |= {index: len(ours.classes) + number for number, index in enumerate(others)}
    rows, first, second = np.intersect1d(ours.data_rows, theirs.data_rows, return_indices=True)
    if not len(rows):
        raise BadInput("There is no example that both models can read.", "Choose other data.")
    chances = np.zeros((2, len(rows), len(places) + len(mine)))
    chances[0, :, : len(ours.classes)] = ours.probabilities[first]
    to = [places[index] for index in range(len(theirs.classes))]
    chances[1][:, to] = theirs.probabilities[second]
    labels = np.full(len(rows), -1, np.int64)
    if ours.labels is not None:
        known = np.zeros(len(ours.classes) + 1, bool)  # the last is for -1
        known[[index for index, _ in shared.values()]] = True
        labels = np.where(known[ours.labels[first]], ours.labels[first], -1)
    alone = (mine, tuple(theirs.classes[index] for index in others))
    return _Pair(
        (*ours.classes, *alone[1]),
        alone,
        rows,
        chances,
        labels,
        _notes(ours, theirs, alone, labels, len(rows)),
    )


def _measures(labels: Labels, chances: Floats, weights: Floats) -> tuple[PairedMeasure, ...]:
    values = [measured(labels, each, weights) for each in chances]
    found = []
    for declared in MEASURES:
        if declared.name in values[0]:
            one, other = (each[declared.name] for each in values)
            gap = _interval((one - other)[:, None])[0]
            found.append(PairedMeasure(_measure(declared, one), _measure(declared, other), gap))
    return tuple(found)


def _measure(declared: Measure, values: Floats) -> Measure:
    value, low, high = _interval(values[:, None])[0]
    return replace(declared, value=float(value), low=float(low), high=float(high))


def _interval(values: Floats) -> Floats:
    """``[what, (value, low, high)]`` of ``[resample, what]``, whose first row is the value."""
    found = np.full((values.shape[1], 3), np.nan)
    found[:, 0] = values[0]
    for place, draws in enumerate(values[1:].T):
        if np.isfinite(draws).any():
            found[place, 1:] = np.nanpercentile(draws, (_LOW, _HIGH))
    return found


def _notes(
    ours: Capture,
    theirs: Capture,
    alone: tuple[tuple[str, ...], tuple[str, ...]],
    labels: Labels,
    count: int,
) -> tuple[str, ...]:
    notes = []
    for each, names in zip((ours, theirs), alone, strict=True):
        if names:
            shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
            notes.append(f"Only '{each.model}' knows: {shown}.")
    if count < max(len(ours), len(theirs)):
        notes.append(f"{count:,} examples can be read by both.")
    unknown = int((labels < 0).sum())
    if unknown == count:
        notes.append("No example has a label that both know: nobody is right or wrong.")
    elif unknown:
        notes.append(f"{unknown:,} of {count:,} examples have no label that both know.")
    if ours.independent or theirs.independent:
        notes.append("Several classes may be true at once; the likeliest is taken for the answer.")
    return tuple(notes)
