"""Which layers of two models hold the same: their activations over the same examples compared."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.activations.behaviour import pooled
from core.activations.similarity import linear_cka
from core.errors import BadInput
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import Capture, open_capture
from core.results.behaviour import CrossSimilarity
from core.tasks import Example

_MOST = 500  # examples that are compared


def compare_layers(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> CrossSimilarity:
    """The verb ``compare_layers``: linear CKA of every layer in the capture in the folder
    ``capture`` with every layer in that in ``other``, of another model or other weights.

    Raises ``BadInput`` when they are not over the same examples in the same order.
    """
    started = time.perf_counter()
    ours = open_capture(str(parameters.get("capture", "")))
    theirs = open_capture(str(parameters.get("other", "")))
    if ours.ids != theirs.ids:
        raise BadInput(
            f"'{ours.model}' was captured over {len(ours):,} examples of {ours.data.name}, "
            f"'{theirs.model}' over {len(theirs):,} of {theirs.data.name}: they are not the same "
            "ones in the same order.",
            "Capture both over the same data.",
        )
    rows = np.arange(len(ours))[:: -(-len(ours) // _MOST)]
    meter.expect(len(ours.names) + len(theirs.names), "Layers")
    found = linear_cka(_pooled(ours, rows, meter), _pooled(theirs, rows, meter))
    return CrossSimilarity(
        ours.model,
        theirs.model,
        ours.data.name,
        len(rows),
        ours.names,
        theirs.names,
        found,
        Provenance(
            ours.model,
            ours.weights,
            (ours.data.fingerprint, theirs.weights),
            "compare_layers",
            {"data": ours.data.name, "other": theirs.model},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _pooled(found: Capture, rows: Any, meter: Meter) -> list[Any]:
    values = []
    for name in found.names:
        meter.tick()
        values.append(np.nan_to_num(pooled(found, name)[rows], posinf=0, neginf=0))
    return values
