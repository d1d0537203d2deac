"""What a model answers without some of its units, or without a whole layer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from core.activations.behaviour import pooled
from core.activations.capture import looks
from core.activations.plan import Planned, base, planned
from core.attention.compute import first_output
from core.data.dataset import open_dataset
from core.errors import BadInput, BadParameter, NotValid, UnknownName
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.parameters import Parameter, checked
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.activations import open_capture
from core.results.behaviour import WithoutUnits
from core.results.prediction import Prediction
from core.tasks import Example

WITH = Parameter(
    "with",
    "choice",
    "zero",
    "What a unit says instead: nothing, or its mean over the data.",
    choices=("zero", "mean"),
)
_MOST = 500  # examples over which accuracy is taken
_TOGETHER = 50


@contextmanager
def without(
    module: nn.Module, cuts: Mapping[str, Mapping[int | None, float]], units: Mapping[str, int]
) -> Iterator[None]:
    """Inside, units answer with a number of ours: ``cuts`` by layer and unit, None for all units;
    ``units`` is the dimension of each layer's units. Leaves nothing behind.
    """
    calls: Counter[str] = Counter()

    def begin(_: nn.Module, args: tuple[Any, ...]) -> None:
        calls.clear()

    def said(name: str, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        calls[name] += 1
        called = name if calls[name] == 1 else f"{name}#{calls[name]}"
        return _replaced(output, cuts[called], units[called]) if called in cuts else None

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(begin, prepend=True).remove)
        for name in dict.fromkeys(map(base, cuts)):
            layer = module.get_submodule(name)
            stack.callback(layer.register_forward_hook(partial(said, name)).remove)
        yield


def ablate_units(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Prediction, ...]:
    """The verb ``ablate_units``: one ``Prediction`` per example without ``cut``, pairs of a layer's
    name and a unit's number, or None for the whole layer. ``with`` is ``zero`` or ``mean``, the
    mean over the data of the capture in the folder ``capture``. The model stays as it is.

    Morcos et al. 2018, arXiv 1803.06959. Raises ``UnknownName`` for a layer or unit that there is
    not, ``NotValid`` for a layer without units.
    """
    around, named = _around(model, parameters, seed)
    predictions = predict(model, [first_output(each) for each in inputs], {}, seed, meter, around)
    return tuple(
        replace(
            each,
            provenance=replace(each.provenance, verb="ablate_units", parameters=named),
        )
        for each in predictions
    )


def ablated_metrics(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> WithoutUnits:
    """The verb ``ablated_metrics``: how often a classifier is right without ``cut``, over at most
    500 examples of the data of the capture in the folder ``capture``, evenly spread.

    Raises ``BadInput`` when these have no labels, and as ``ablate_units`` does.
    """
    started = time.perf_counter()
    found = open_capture(str(parameters.get("capture", "")))
    if found.labels is None or not found.classes:
        raise BadInput(
            f"The data '{found.data.name}' have no labels, so nothing is right or wrong.",
            "Look at single examples instead.",
        )
    around, named = _around(model, parameters, seed)
    data = open_dataset(found.data)
    known = np.flatnonzero(np.asarray(found.labels) >= 0)
    rows = known[:: -(-len(known) // _MOST) or 1]
    said = []
    for start in range(0, len(rows), _TOGETHER):
        places = found.data_rows[rows[start : start + _TOGETHER]]
        examples = data.examples([int(place) for place in places])
        meter.expect(len(rows) - start, "Without it")
        answers = predict(model, examples, {}, seed, Quiet(meter), around)
        said += [int(each.logits.argmax()) for each in answers]
    labels, before = np.asarray(found.labels)[rows], found.predictions[rows]
    after = np.array(said)
    count = len(found.classes)
    per_class = [
        np.array([_share(answers[labels == each] == each) for each in range(count)])
        for answers in (before, after)
    ]
    return WithoutUnits(
        found.model,
        found.data.name,
        tuple(found.classes),
        len(rows),
        float((before == labels).mean()),
        float((after == labels).mean()),
        per_class[0],
        per_class[1],
        float((before != after).mean()),
        Provenance(
            found.model,
            found.weights,
            (found.data.fingerprint,),
            "ablated_metrics",
            named,
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _share(right: npt.NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else float("nan")


def _around(model: LoadedModel, parameters: Mapping[str, Any], seed: int) -> tuple[Any, Any]:
    """The context of a forward without the units, and what goes into the provenance."""
    settings = checked((WITH,), {"with": parameters.get("with", "zero")}, "ablate_units")
    wanted = _asked(parameters.get("cut", ()))
    layers = with_units(model, tuple(wanted), seed)
    units = {name: layers[name].order[1] for name in wanted}
    fill: dict[str, dict[int | None, float]] = {}
    for name, asked in wanted.items():
        for unit in asked:
            check_unit(layers[name], unit)
        fill[name] = dict.fromkeys(asked, 0.0)
    if settings["with"] == "mean":
        found = open_capture(str(parameters.get("capture", "")))
        if found.weights != model.ref.fingerprint:
            raise BadInput("The means are of other weights.", "Capture again.")
        for name, filled in fill.items():
            means = np.nan_to_num(np.nanmean(pooled(found, name), axis=0))
            those = range(len(means)) if None in filled else [u for u in filled if u is not None]
            fill[name] = {unit: float(means[unit]) for unit in those}

    def around(module: nn.Module, size: int) -> AbstractContextManager[None]:
        return without(module, fill, units)

    named = {"cut": [[name, unit] for name, asked in wanted.items() for unit in asked], **settings}
    return around, named


def _asked(cut: Any) -> dict[str, list[int | None]]:
    found: dict[str, list[int | None]] = {}
    pairs = cut if isinstance(cut, Sequence) and not isinstance(cut, str) else (cut,)
    for pair in pairs:
        good = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        if not good or not (pair[1] is None or isinstance(pair[1], int)):
            raise BadParameter(
                "'cut' holds something that is not a unit.",
                "Expected pairs of a layer's name and a number, or None for all of it, as "
                "[['conv1', 3], ['relu2', None]].",
            )
        units = found.setdefault(str(pair[0]), [])
        if pair[1] not in units:
            units.append(pair[1])
    if not found:
        raise BadParameter("There is nothing to leave out.", "Name a unit or a layer.")
    return found


def check_unit(layer: Planned, unit: int | None) -> None:
    """Raise ``UnknownName`` unless the layer has this unit; None stands for all."""
    count = layer.shape[0]
    if unit is not None and not 0 <= unit < count:
        raise UnknownName.of(f"unit of {layer.name}", unit, range(count))


def with_units(model: LoadedModel, names: tuple[str, ...], seed: int) -> dict[str, Planned]:
    """What is known of the outputs of layers, by name.

    Raises ``UnknownName`` for a layer that there is not, ``NotValid`` for one without units.
    """
    key = f"units of {names}"
    if key not in model.memo:
        batches = looks(model)
        with model.exclusive(seed) as module:
            plan = planned(model, module, batches, list(names), "mean")
        found = {each.name: each for each in plan.taken}
        for name in names:
            if name not in found:
                raise UnknownName.of("layer", name, found)
            if found[name].scalar:
                raise NotValid(
                    f"'{name}' answers with one number: it has no units.", "Choose another layer."
                )
        model.memo[key] = found
    known: dict[str, Planned] = model.memo[key]
    return known


def _replaced(output: Any, fill: Mapping[int | None, float], dimension: int) -> Any:
    """The output with units filled; of a tuple its first tensor."""
    if isinstance(output, Tensor):
        found = output.clone()
        for unit, value in fill.items():
            if unit is None:
                found.fill_(value)
            else:
                found.select(dimension, unit).fill_(value)
        return found
    if isinstance(output, PackedSequence):
        return output._replace(data=_replaced(output.data, fill, output.data.ndim - 1))
    if isinstance(output, tuple):
        first = _replaced(output[0], fill, dimension)
        rest = output[1:]
        return type(output)(first, *rest) if hasattr(output, "_fields") else (first, *rest)
    if isinstance(output, Mapping):
        key = next(name for name, each in output.items() if isinstance(each, (Tensor, tuple)))
        changed = dict(output)
        changed[key] = _replaced(output[key], fill, dimension)
        return type(output)(changed)  # type: ignore[call-arg]  # a dictionary of the same kind
    return output
