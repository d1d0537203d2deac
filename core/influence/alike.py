"""Examples that a layer answers to alike: what is left where the training is not known."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.behaviour import pooled
from core.activations.shelf import opened
from core.concepts.inside import activations
from core.data.dataset import open_dataset
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.influence import Influence
from core.tasks import Example, parse_targets

NOT_INFLUENCE = (
    "Likeness in a layer is not influence: these examples were not learned from, or nobody knows "
    "whether they were."
)


def alike(
    model: LoadedModel,
    example: Example,
    parameters: Mapping[str, Any],
    most: int,
    seed: int,
    meter: Meter,
) -> Influence:
    """The examples of the capture in the folder ``capture`` by the cosine of their activations of
    ``layer`` (means over positions) with those of ``example``, which is left out where it is one of
    them: Captum's similarity influence, whose own class keeps activations in pickled files.

    Raises ``BadInput`` as ``opened`` does, ``UnknownName`` for a layer that is not captured.
    """
    started = time.perf_counter()
    found = opened(model.ref, parameters)
    layer = str(parameters.get("layer", "")) or found.names[-1]
    meter.expect(2, "Activations")
    answer = predict(model, [example], {}, seed, Quiet(meter))[0]
    mine = activations(model, [example], [layer], "mean", seed, Quiet(meter))[layer][0]
    theirs = pooled(found, layer)
    scores = cosines(mine, theirs)
    data = open_dataset(found.data)
    order = np.argsort(-scores, kind="stable")
    best: list[int] = []
    shown: list[Example] = []
    for place in order.tolist():
        other = data[int(found.data_rows[place])]
        if other.sha256 != example.sha256:
            best.append(place)
            shown.append(other)
        if len(best) == most:
            break
    worst = order[::-1][:most].tolist()
    shown += data.examples([int(found.data_rows[place]) for place in worst])
    none = np.full(len(found), -1, np.int64)
    labels = none if found.labels is None else np.asarray(found.labels, np.int64)
    classes = tuple(found.classes)
    spec = str(parameters.get("target", "top"))
    target = parse_targets(spec, answer.classes, answer.logits)[0] if classes else None
    return Influence(
        model.ref.name,
        found.data.name,
        "similar",
        example.name,
        target,
        classes,
        model.adapter.axis,
        np.asarray(found.data_rows, np.int64),
        scores.astype(np.float32),
        labels,
        np.asarray(found.predictions, np.int64) if classes else none,
        np.array(best, np.int64),
        np.array(worst, np.int64),
        tuple(shown),
        (),
        (),
        layer,
        (NOT_INFLUENCE,),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (example.sha256, found.data.fingerprint),
            "influence",
            {"how": "similar", "layer": layer, "most": most},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def cosines(
    one: npt.NDArray[np.floating], others: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """The cosine of ``one`` ``[number]`` with each of ``others`` ``[example, number]``; 0 where one
    of the two is nothing.
    """
    a, b = (np.nan_to_num(np.asarray(each, np.float64)) for each in (one, others))
    lengths = np.linalg.norm(b, axis=1) * np.linalg.norm(a)
    found = np.divide(b @ a, lengths, out=np.zeros(len(b)), where=lengths > 0)
    return np.asarray(found, np.float64)
