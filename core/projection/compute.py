"""Maps as the engine makes them: of a layer in a capture, or of a file with vectors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from core.activations.behaviour import pooled
from core.data.dataset import open_dataset
from core.errors import BadInput, BadParameter
from core.models.loaded import LoadedModel
from core.parameters import Value, checked
from core.progress import Meter
from core.projection.reducers import ATTRIBUTIONS, Reducer, reducer
from core.projection.space import Laid, Vectors, space
from core.projection.trust import agreement, judge
from core.projection.uploaded import uploaded
from core.provenance import Provenance
from core.results.activations import open_capture
from core.results.projection import Projection
from core.tasks import Example

_METRIC = "metric"


def project(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Projection:
    """The verb ``project``: a map of ``layer`` in the capture in the folder ``capture``, or of the
    attributions of its examples where ``layer`` is ``attributions``, by ``method`` with
    ``settings`` in ``dim`` dimensions. With ``judged`` (the default) it says how far it can be
    trusted; with ``stability`` a second map by another seed is compared with it. A file in
    ``inputs`` is mapped instead, where there is one.

    Raises ``BadInput``, ``BadParameter`` and ``UnknownName``.
    """
    folder, layer = str(parameters.get("capture", "")), str(parameters.get("layer", ""))
    if inputs:
        vectors = uploaded(inputs[0])
    elif layer == ATTRIBUTIONS:
        from core.projection.attributed import attributed

        vectors = attributed(model, open_dataset(open_capture(folder).data), seed, meter)
    else:
        vectors = captured(folder, layer)
    if vectors.weights not in ("", model.ref.fingerprint):
        raise BadInput(
            f"This capture is of other weights than '{model.ref.name}' has now: their fingerprints "
            "differ.",
            "Capture again.",
        )
    return projected(
        vectors,
        str(parameters.get("method", "pca")),
        int(parameters.get("dim", 2)),
        parameters.get("settings", {}),
        seed,
        meter,
        judged=bool(parameters.get("judged", True)),
        stability=bool(parameters.get("stability", False)),
    )


def captured(folder: str, layer: str) -> Vectors:
    """The mean activations of one layer of a capture.

    Raises ``BadInput`` for a capture that is not complete, ``UnknownName`` for a layer that is not
    in it.
    """
    found = open_capture(folder)
    if not found.complete:
        raise BadInput(
            f"The capture '{found.folder.name}' has {found.done:,} of {found.total:,} examples.",
            "Let it come to its end.",
        )
    return Vectors(
        pooled(found, layer),
        found.ids,
        f"{layer} of {found.model} over {found.data.name}",
        found.data.fingerprint,
        found.model,
        found.weights,
    )


def projected(
    vectors: Vectors,
    method: str,
    dim: int = 2,
    settings: Mapping[str, Value] | None = None,
    seed: int = 0,
    meter: Meter | None = None,
    *,
    judged: bool = True,
    stability: bool = False,
) -> Projection:
    """The map of ``vectors`` by ``method``, one of ``core.projection.reducers``.

    Raises ``BadInput`` for vectors that cannot be mapped, ``BadParameter`` and ``UnknownName`` for
    settings that there are not.
    """
    started = time.perf_counter()
    meter = meter or Meter()
    way = reducer(method)
    if dim not in (2, 3):
        raise BadParameter(f"A map has 2 or 3 dimensions, not {dim}.", "Ask for 2 or 3.")
    given = checked(way.parameters, settings or {}, way.title)
    given, notes = _fitting(way, given, len(vectors.values))
    room = space(vectors.values, str(given.get(_METRIC, "euclidean")))
    module, function = way.run.split(":")
    run = getattr(import_module(module), function)
    laid: Laid = run(room, dim, given, seed, meter)
    trust = judge(room.values, laid.points, seed=seed, meter=meter) if judged else None
    kept = None
    if stability and way.stochastic:
        kept = agreement(laid.points, run(room, dim, given, seed + 1, meter).points, meter=meter)
    return Projection(
        laid.points,
        vectors.ids,
        vectors.source,
        way.name,
        laid.engine,
        given,
        seed,
        trust,
        kept,
        laid.explained,
        (*notes, *laid.notes),
        Provenance(
            vectors.model or Path(vectors.source).name,
            vectors.weights,
            (vectors.fingerprint,),
            "project",
            {"source": vectors.source, "method": way.name, "dim": dim, **given},
            seed,
            "cpu",
            time.perf_counter() - started,
        ),
    )


def _fitting(
    way: Reducer, given: dict[str, Value], count: int
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The settings with no more neighbours than there are others, and what was changed."""
    most = count - 1
    if not way.least or float(given[way.least]) <= most or most < 2:
        return given, ()
    title = next(each.title for each in way.parameters if each.name == way.least)
    fitting = type(given[way.least])(most)
    note = f"{title} {given[way.least]:g} became {most}: there are only {count} examples."
    return {**given, way.least: fitting}, (note,)
