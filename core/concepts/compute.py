"""The verb ``concept_scores``: how far a class leans on concepts, against random ones.

Kim et al. 2018, Interpretability beyond feature attribution: quantitative testing with concept
activation vectors (TCAV), arXiv 1711.11279. Captum computes activations and gradients; its own TCAV
keeps activations and vectors in pickled files, which nothing here reads.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.concepts.inside import activations, gradients, layers_through
from core.concepts.sets import LEAST, SETTINGS
from core.concepts.vectors import Space, reach, unusual
from core.data.dataset import Dataset, open_dataset
from core.errors import BadInput, BadParameter, NotValid
from core.models.loaded import LoadedModel
from core.parameters import checked
from core.progress import Meter
from core.provenance import Provenance, sha256_of_json
from core.results.activations import DataRef
from core.results.concepts import ALPHA, ConceptScores
from core.tasks import Example, Target, parse_targets

Rows = npt.NDArray[np.int64]
_POOL = 300  # examples that random sets are drawn from


def concept_scores(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> ConceptScores:
    """Scores of the concepts in ``parameters["concepts"]``, made by ``core.concepts.sets.request``:
    each is a name with rows of the data or a number of ``inputs``, which follow each other.

    ``data`` is where random examples and those of the class ``target`` (its name or number) come
    from, ``layers`` are names (none: four through the network), the rest are ``SETTINGS``.

    Raises ``NotValid`` for a model without classes, ``BadInput`` for a concept with too few
    examples, data with too few, and a class that has none.
    """
    started = time.perf_counter()
    if not model.adapter.classes:
        raise NotValid(
            f"'{model.ref.name}' writes: it has no classes whose scores could lean on a concept.",
            "Choose a model that sorts examples into classes.",
        )
    given = {each.name: parameters[each.name] for each in SETTINGS if each.name in parameters}
    settings = checked(SETTINGS, given, "concept_scores")
    repeats, draws = int(settings["repeats"]), int(settings["draws"])
    pool: Any = settings["pool"]
    data = open_dataset(DataRef(**parameters["data"])).labelled_as(model.adapter.classes)
    asked = _asked(parameters, inputs, data)
    named = [str(each) for each in parameters.get("layers") or ()]
    layers = tuple(dict.fromkeys(named)) or layers_through(model, seed)
    spec = str(parameters.get("target", "0"))
    target = parse_targets(spec, model.adapter.classes, np.zeros(len(model.adapter.classes)))[0]
    if target.versus is not None:
        raise BadParameter("Concepts are asked of one class.", "Name one class.")
    members, notes = _members(data, target, int(settings["examples"]), seed)
    drawn = np.random.default_rng(seed).permutation(len(data))[:_POOL]
    reserve = np.unique(np.concatenate([np.sort(drawn), *(rows for _, rows, _ in asked)]))
    own = [example for _, _, each in asked for example in each]
    meter.expect(len(reserve) + len(own) + 2 * len(members), "Activations")
    there = [*data.examples(reserve.tolist()), *own]
    values = activations(model, there, layers, pool, seed, meter)
    of_class = list(data.examples(members.tolist()))
    slopes = gradients(model, of_class, layers, pool, target, seed, meter)
    sets, at = [], len(reserve)
    for _, rows, each in asked:
        sets.append(np.concatenate([np.searchsorted(reserve, rows), np.arange(at, at + len(each))]))
        at += len(each)
    spare = np.searchsorted(reserve, np.sort(drawn))
    most = min(int(settings["set_size"]), len(spare) // 2)
    used = [min(len(each), most) for each in sets]
    shape = (len(sets), len(layers))
    scores, sensitivity = np.zeros((*shape, repeats)), np.zeros((*shape, repeats))
    random, accuracy, p = np.zeros((*shape, draws)), np.zeros(shape), np.zeros(shape)
    meter.expect(len(layers) * (len(sets) + len(set(used)) * draws) * repeats, "Concept vectors")
    for place, layer in enumerate(layers):
        space = Space.of(values[layer], slopes[layer])
        controls = {}
        for size in sorted(set(used)):
            found = []
            for draw in range(draws):
                generator = np.random.default_rng([seed, place, size, draw])
                chosen = generator.permutation(spare)[:size]
                found.append(_held(space, chosen, spare, size, repeats, generator, meter)[1].mean())
            controls[size] = np.array(found)
        for number, rows in enumerate(sets):
            generator = np.random.default_rng([seed, place, number, draws])
            got = _held(space, rows, spare, used[number], repeats, generator, meter)
            scores[number, place], sensitivity[number, place] = got[:2]
            accuracy[number, place] = got[2].mean()
            random[number, place] = controls[used[number]]
            p[number, place] = unusual(float(got[1].mean()), random[number, place])
    return ConceptScores(
        model.ref.name,
        data.name,
        target,
        tuple(name for name, _, _ in asked),
        layers,
        tuple(len(each) for each in sets),
        tuple(used),
        len(members),
        scores,
        sensitivity,
        accuracy,
        random,
        np.minimum(1.0, p * p.size),
        reach(ALPHA / p.size, draws),
        (*notes, *_flat(slopes, target), *data.notes),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (data.fingerprint, sha256_of_json([each.sha256 for each in inputs])),
            "concept_scores",
            {
                **settings,
                "target": target.label,
                "layers": list(layers),
                "concepts": [name for name, _, _ in asked],
            },
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _held(
    space: Space,
    concept: Rows,
    spare: Rows,
    size: int,
    repeats: int,
    generator: np.random.Generator,
    meter: Meter,
) -> npt.NDArray[np.float64]:
    """A concept against random sets of as many examples, none of which is its own: scores,
    sensitivities and accuracies ``[3, repeat]``.
    """
    others = np.setdiff1d(spare, concept)
    found = np.zeros((3, repeats))
    for repeat in range(repeats):
        meter.tick()
        mine = generator.permutation(concept)[:size]
        theirs = generator.permutation(others)[:size]
        direction, right = space.vector(mine, theirs, int(generator.integers(2**31)))
        found[:, repeat] = (*space.along(direction), right)
    return found


def _asked(
    parameters: Mapping[str, Any], inputs: Sequence[Example], data: Dataset
) -> list[tuple[str, Rows, tuple[Example, ...]]]:
    """Each concept as its name, its rows of the data and its own examples."""
    found, at = [], 0
    for each in parameters.get("concepts", ()):
        rows = np.unique(np.asarray(each.get("rows", ()), np.int64))
        count = int(each.get("count", 0))
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(data):
            raise BadInput(f"The concept '{each['name']}' has rows that are not there.", "Anew.")
        found.append((str(each["name"]), rows, tuple(inputs[at : at + count])))
        at += count
        if len(rows) + count < LEAST:
            raise BadInput(
                f"The concept '{each['name']}' has {len(rows) + count} example"
                f"{'s' * (len(rows) + count != 1)}, expected at least {LEAST}.",
                "Give more: a direction that is learned from so few means nothing. 30 are better.",
            )
    if not found:
        raise BadInput("There is no concept.", "Name at least one.")
    if len(data) < 2 * LEAST:
        raise BadInput(
            f"'{data.name}' has {len(data)} examples, too few to draw random ones from.",
            f"Take data with at least {2 * LEAST}; 100 are better.",
        )
    return found


def _flat(slopes: Mapping[str, npt.NDArray[np.float32]], target: Target) -> list[str]:
    return [
        f"The score of '{target.label}' does not change with what '{layer}' says: ask for another "
        "class."
        for layer, each in slopes.items()
        if not each.any()
    ]


def _members(data: Dataset, target: Target, most: int, seed: int) -> tuple[Rows, tuple[str, ...]]:
    """Rows of the class, drawn at random; where the data have no labels, any examples."""
    generator = np.random.default_rng([seed, target.index])
    if data.labels is None:
        rows = generator.permutation(len(data))[:most]
        return np.sort(rows), (
            f"The data have no labels: the score for '{target.label}' is looked at over any of "
            "them.",
        )
    rows = np.flatnonzero(data.labels == target.index)
    if not len(rows):
        raise BadInput(
            f"'{data.name}' has no example of the class '{target.label}'.", "Choose another class."
        )
    return np.sort(generator.permutation(rows)[:most]), ()
