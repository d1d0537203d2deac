"""The verb ``compression_drift``: what compression does to answers, and to their reasons."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.behaviour import pooled
from core.activations.capture import capture
from core.activations.similarity import linear_cka
from core.attribution.compute import attribute
from core.comparison.reasons import alike
from core.compression.harm import harmed
from core.compression.original import original_of
from core.data.dataset import Dataset, dataset
from core.errors import NotValid
from core.evaluation.metrics import calibration_error, counted, per_class
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.activations import Capture
from core.results.compression import Drift
from core.tasks import Example

Floats = npt.NDArray[np.float64]
_LIMIT = Parameter("limit", "int", 500, "At most so many examples, evenly spread.", 2, 100_000)
_REASONS = Parameter("reasons", "int", 60, "Examples whose attributions are compared.", 1, 10_000)
_METHOD = "input_x_gradient"


def compression_drift(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Drift:
    """Answers, calibration, attributions and layers of a compressed classifier beside those of the
    model that it was made of, over ``limit`` examples of the data that ship with it or of those at
    ``path``, whose columns ``text`` and ``label`` name.

    Raises ``NotValid`` for a model without classes, ``BadInput`` as ``original_of`` does and when
    the data cannot be read.
    """
    started = time.perf_counter()
    settings = checked(
        (_LIMIT, _REASONS),
        {name: parameters[name] for name in ("limit", "reasons") if name in parameters},
        "compression_drift",
    )
    before = original_of(model)
    if not model.card.classes:
        raise NotValid(
            f"'{before.ref.name}' writes: only classifiers are compared here.",
            "Evaluate both by their perplexity.",
        )
    path = str(parameters.get("path", "")) or None
    text, label = (str(parameters.get(name, "")) for name in ("text", "label"))
    data = dataset(before.card, path, limit=int(settings["limit"]), text=text, label=label)
    meter.expect(4, "Answers")
    with tempfile.TemporaryDirectory() as folder:
        captures = []
        for name, each in (("before", before), ("after", model)):
            meter.tick()
            captures.append(
                capture(each, data, Path(folder) / name, seed=seed, meter=Quiet(Meter()))
            )
        layers, similarity = _similar(*captures)
        chances = [np.asarray(each.probabilities, np.float64) for each in captures]
        labels, rows = captures[0].labels, captures[0].data_rows
        said = [each.argmax(axis=1) for each in chances]
        slices = harmed(captures[0], said)
    changed = np.flatnonzero(said[0] != said[1])
    changed = changed[np.argsort(-chances[0].max(axis=1)[changed], kind="stable")]
    same = np.flatnonzero(said[0] == said[1])
    same = same[:: -(-len(same) // int(settings["reasons"])) or 1]
    note = ""
    try:
        spearman, overlap = _reasons(before, model, data, rows[same], seed, meter)
    except NotValid as error:  # so little is left that no gradient reaches the input
        same, note = same[:0], str(error)
        spearman, overlap = np.empty(0), np.empty(0)
    order = np.argsort(spearman, kind="stable")
    return Drift(
        model.ref.name,
        before.ref.name,
        data.name,
        tuple(model.card.classes),
        len(rows),
        *_quality(labels, said, chances, len(model.card.classes)),
        agreement=float((said[0] == said[1]).mean()),
        changed=rows[changed],
        method=_METHOD,
        kept=rows[same][order],
        spearman=spearman[order],
        overlap=overlap[order],
        layers=layers,
        similarity=similarity,
        provenance=Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (data.fingerprint, before.ref.fingerprint),
            "compression_drift",
            settings,
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
        slices=slices,
        note=note,
    )


def _reasons(
    before: LoadedModel,
    after: LoadedModel,
    data: Dataset,
    rows: npt.NDArray[np.int64],
    seed: int,
    meter: Meter,
) -> tuple[Floats, Floats]:
    examples = data.examples(rows.tolist())
    asked = {"method": _METHOD, "target": "top", "settings": {}}
    found = []
    for each in (before, after):
        meter.tick()
        found.append(attribute(each, examples, asked, seed, Quiet(Meter())))
    pairs = [alike(a.values, b.values) for a, b in zip(*found, strict=True)]
    values = np.array(pairs, np.float64).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def _quality(
    labels: npt.NDArray[np.int64] | None, said: Sequence[Any], chances: Sequence[Floats], count: int
) -> tuple[Floats, Floats, Floats]:
    nothing = np.full(2, np.nan)
    if labels is None or not (labels >= 0).any():
        return nothing, nothing, np.full((count, 2), np.nan)
    known = np.flatnonzero(labels >= 0)
    truth, one = labels[known], np.ones((1, len(known)))
    right = [(answers[known] == truth).astype(np.float64) for answers in said]
    errors = [
        calibration_error(each[known].max(axis=1), hits, one)[0]
        for each, hits in zip(chances, right, strict=True)
    ]
    f1 = [per_class(*counted(truth, answers[known], count, one))[2][0] for answers in said]
    return np.array([each.mean() for each in right]), np.array(errors), np.stack(f1, axis=1)


def _similar(before: Capture, after: Capture) -> tuple[tuple[str, ...], Floats]:
    """Layers that both have, and their linear CKA; a product answers by its second factor."""
    theirs = {name.removesuffix(".second"): name for name in after.names}
    names = [name for name in before.names if name in theirs]
    values = [
        float(
            linear_cka(
                [np.nan_to_num(pooled(before, name))], [np.nan_to_num(pooled(after, theirs[name]))]
            )[0, 0]
        )
        for name in names
    ]
    return tuple(names), np.array(values, np.float64)
