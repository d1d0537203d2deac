"""What layers do, as the engine calls it: over a capture in a folder, and for one example."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.behaviour import behaviour, pooled
from core.activations.capture import capture
from core.activations.probe import probe, usable
from core.activations.shelf import opened
from core.activations.similarity import linear_cka
from core.data.dataset import Dataset, open_dataset
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import Capture
from core.results.behaviour import Behaviour, Insides, Probes
from core.tasks import Example

FOLDS = 5
_MOST_COMPARED = 500  # examples over which layers are compared
_MOST_WHOLE = 64  # examples whose positions are looked at one by one
_MOST_NUMBERS = 128 * 2**20  # of them together, two bytes each
_MOST_PLACES = 20_000  # of a layer
_MOST_PROBED = 32  # layers, evenly spread over the depth


def layer_behaviour(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Behaviour:
    """What every layer of the capture in the folder ``parameters["capture"]`` does.

    Raises ``BadInput`` when there is no such capture or it is of other weights.
    """
    started = time.perf_counter()
    found = opened(model.ref, parameters)
    meter.expect(len(found.layers) + 1, "Layers")
    layers, compared = [], []
    rows = np.arange(len(found))[:: -(-len(found) // _MOST_COMPARED)]
    with _singles(model, found, seed) as single:
        for each in found.layers:
            values = pooled(found, each.name)
            layers.append(
                behaviour(values, found.labels, single(each.name), name=each.name, kind=each.kind)
            )
            compared.append(np.nan_to_num(values[rows], posinf=0, neginf=0))
            meter.tick()
    similarity = linear_cka(compared, compared)
    meter.tick()
    return Behaviour(
        found.model,
        found.data.name,
        len(found),
        len(rows),
        tuple(layers),
        similarity,
        _provenance(model, found, "layer_behaviour", {}, seed, started),
    )


def layer_probes(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Probes:
    """How well linear probes tell the classes at each layer of a capture; only those that
    ``parameters["classes"]`` numbers, if any. Of more than 32 layers an even spread.

    Raises ``BadInput`` as ``layer_behaviour`` does, and when there are no labels or too few.
    """
    started = time.perf_counter()
    found = opened(model.ref, parameters)
    wanted = tuple(sorted(int(each) for each in parameters.get("classes", ())))
    every = found.labels
    rows = usable(every, FOLDS, wanted)
    labels = np.asarray(every)[rows]
    places = np.unique(np.linspace(0, len(found.names) - 1, _MOST_PROBED).round().astype(int))
    names = [found.names[place] for place in places]
    meter.expect(len(names), "Probes")
    scores = []
    for name in names:
        values = np.nan_to_num(pooled(found, name)[rows], posinf=0, neginf=0)
        scores.append(probe(values, labels, folds=FOLDS, seed=seed))
        meter.tick()
    known = np.unique(labels)
    predictions = found.predictions[rows]
    if wanted:  # between these classes alone
        predictions = known[np.asarray(found.scores)[rows][:, known].argmax(axis=1)]
    return Probes(
        found.model,
        found.data.name,
        tuple(names),
        tuple(found.classes[each] for each in known),
        len(rows),
        FOLDS,
        np.array([each.mean() for each in scores]),
        np.array([each.std() for each in scores]),
        float(np.bincount(labels).max() / len(labels)),
        float((predictions == labels).mean()),
        _provenance(model, found, "layer_probes", {"classes": list(wanted)}, seed, started),
    )


def insides(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Insides, ...]:
    """What every layer, or those in ``parameters["layers"]``, answers to each example, whole."""
    started = time.perf_counter()
    layers = parameters.get("layers")
    results = []
    for example in inputs:
        one = Dataset(example.name, [example.name], _only(example), example.sha256)
        with tempfile.TemporaryDirectory() as folder:
            found = capture(
                model,
                one,
                Path(folder) / "one",
                None if layers is None else list(layers),
                pool="whole",
                dtype="float32",
                seed=seed,
                meter=meter,
            )
            values = tuple(found.rows(name, [0])[0] for name in found.names)
        results.append(
            Insides(
                example.name,
                found.names,
                tuple(each.kind for each in found.layers),
                values,
                Provenance(
                    model.ref.name,
                    model.ref.fingerprint,
                    (example.sha256,),
                    "insides",
                    {"layers": list(found.names)},
                    seed,
                    str(model.device),
                    time.perf_counter() - started,
                ),
            )
        )
    return tuple(results)


@contextmanager
def _singles(
    model: LoadedModel, found: Capture, seed: int
) -> Iterator[Callable[[str], npt.NDArray[np.float32] | None]]:
    """Activations at single positions ``[place, unit]`` of the layers of a capture, over as many of
    its examples as fit into 256 MiB: a function of the layer's name.
    """
    data = open_dataset(found.data)

    def whole(count: int, folder: str) -> Capture:
        path = Path(folder) / str(count)
        few = data.limited(count)
        return capture(
            model, few, path, list(found.names), pool="whole", dtype="float16", seed=seed
        )

    def of(name: str) -> npt.NDArray[np.float32]:
        values = np.moveaxis(np.asarray(several.layer(name), np.float32), 1, -1)
        places = values.reshape(-1, values.shape[-1])
        places = places[np.isfinite(places).any(axis=1)]
        return places[:: -(-len(places) // _MOST_PLACES) or 1]

    with tempfile.TemporaryDirectory() as folder:
        one = whole(1, folder)
        size = sum(math.prod(each.shape) for each in one.layers)
        count = min(len(data), _MOST_WHOLE, max(2, _MOST_NUMBERS // max(size, 1)))
        several = whole(count, folder)
        yield of


def _only(example: Example) -> Callable[[int], Example]:
    return lambda row: example


def _provenance(
    model: LoadedModel,
    found: Capture,
    verb: str,
    parameters: Mapping[str, Any],
    seed: int,
    started: float,
) -> Provenance:
    return Provenance(
        model.ref.name,
        model.ref.fingerprint,
        (found.data.fingerprint,),
        verb,
        {"data": found.data.name, **parameters},
        seed,
        str(model.device),
        time.perf_counter() - started,
    )
