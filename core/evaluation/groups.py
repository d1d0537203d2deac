"""The verb ``evaluate_groups``: whether a model is as good for some as for others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.shelf import opened
from core.errors import BadInput, UnknownName
from core.evaluation.columns import FEW, MOST, PARTS, PICKED, TRUE_CLASS, numeric
from core.evaluation.evaluate import labelled, provenance
from core.evaluation.metrics import Floats, Labels, averages, counted, share
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.results.activations import Capture
from core.results.evaluation import Group, Groups
from core.tasks import Example

Mask = npt.NDArray[np.bool_]


def evaluate_groups(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Groups:
    """How right a classifier is for each value of the column ``by`` of a capture (``class`` for the
    true class, quarters of a column of many different numbers, ``picked`` for ``rows`` against the
    rest), and the rates about the class ``positive``: its selection rate (demographic parity), true
    and false positive rate (equalised odds: Hardt et al. 2016, arXiv 1610.02413), with Wilson
    intervals.

    Raises ``UnknownName`` for a column or class that there is not, and as ``evaluate`` does.
    """
    started = time.perf_counter()
    found = opened(model.ref, parameters)
    rows = labelled(found, {})
    by = str(parameters.get("by", TRUE_CLASS))
    positive = str(parameters.get("positive") or found.classes[-1])
    if positive not in found.classes:
        raise UnknownName.of("class", positive, found.classes)
    labels, said = np.asarray(found.labels)[rows], found.predictions[rows]
    masks = parts(found, rows, by, parameters.get("rows"))
    meter.expect(len(masks), "Groups")
    groups = []
    for name, mask in masks:
        groups.append(_group(name, labels[mask], said[mask], found.classes.index(positive)))
        meter.tick()
    return Groups(
        found.model,
        found.data.name,
        by,
        positive,
        tuple(groups),
        _gaps(groups),
        provenance(
            model, found, "evaluate_groups", {"by": by, "positive": positive}, seed, started
        ),
    )


def parts(found: Capture, rows: Labels, by: str, picked: Any = None) -> list[tuple[str, Mask]]:
    """The groups of ``rows`` of a capture as ``evaluate_groups`` has them: what each is called, and
    which rows are in it.

    Raises ``UnknownName`` for a column that there is not.
    """
    if by == PICKED:
        inside = np.isin(rows, np.asarray(picked if picked is not None else [], np.int64))
        if not inside.any():
            raise BadInput("None of the picked examples has a label.", "Pick others.")
        return [("picked", inside), ("the rest", ~inside)]
    if by == TRUE_CLASS:
        values: npt.NDArray[Any] = np.array(found.classes)[np.asarray(found.labels)[rows]]
    elif by in found.columns:
        values = found.columns[by][rows]
    else:
        raise UnknownName.of("column", by, (TRUE_CLASS, *found.columns))
    if numeric(values):
        return _of_numbers(values.astype(np.float64))
    names, counts = np.unique(values.astype(str), return_counts=True)
    order = np.sort(np.argsort(-counts, kind="stable")[:MOST])
    return [(str(names[place]) or "(empty)", values.astype(str) == names[place]) for place in order]


def _of_numbers(values: Floats) -> list[tuple[str, Mask]]:
    """Quarters of many different numbers, each of a few by itself, and those that are missing."""
    known = np.isfinite(values)
    single = np.unique(values[known])
    if len(single) < FEW:
        found = [(f"{each:.6g}", values == each) for each in single]
    else:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, PARTS + 1)))
        part = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
        found = [
            (f"{edges[each]:.4g} to {edges[each + 1]:.4g}", known & (part == each))
            for each in range(len(edges) - 1)
        ]
    if not known.all():
        found.append(("(missing)", ~known))
    return [(name, mask) for name, mask in found if mask.any()]


def _group(name: str, labels: Labels, said: Labels, positive: int) -> Group:
    count = max(int(labels.max()), int(said.max())) + 1 if len(labels) else 1
    weights = np.ones((1, len(labels)))
    several = len(np.unique(labels)) > 1  # of one class alone it would count the others as missed
    f1 = averages(*counted(labels, said, count, weights))["f1_macro"][0] if several else np.nan
    named, there = said == positive, labels == positive
    return Group(
        name,
        len(labels),
        share(said == labels),
        float(f1),
        share(named),
        share(named[there]),
        share(named[~there]),
    )


def _gaps(groups: Sequence[Group]) -> dict[str, float]:
    found = {}
    for name in ("right", "selected", "caught", "false_alarms"):
        values = [float(getattr(each, name)[0]) for each in groups]
        known = [value for value in values if np.isfinite(value)]
        found[name] = max(known) - min(known) if known else float("nan")
    return found
