"""The verb ``compression_sweep``: what is saved and lost the more a model is compressed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.torch import save
from torch import nn

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.comparison.reasons import alike
from core.compression.cost import amounts
from core.compression.made import smaller, tensors_of
from core.compression.methods import settled, swept, titled
from core.compression.source import PREFIX
from core.data.dataset import Dataset, dataset
from core.errors import BadParameter, NotValid
from core.evaluation.metrics import share
from core.models.loaded import LoadedModel
from core.models.loader import adapter, placed
from core.models.predict import predict
from core.parameters import Parameter, checked
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.attribution import Attribution
from core.results.compression import Sweep
from core.tasks import Example

Floats = npt.NDArray[np.float64]
_LIMIT = Parameter("limit", "int", 300, "At most so many examples, evenly spread.", 2, 100_000)
_REASONS = Parameter("reasons", "int", 30, "Examples whose attributions are compared.", 1, 10_000)
_METHOD = "input_x_gradient"


def compression_sweep(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Sweep:
    """Compress a classifier by ``steps`` with each of ``values`` of ``setting`` in turn, and look
    at its size, its accuracy and its attributions, over ``limit`` examples of the data that ship
    with it or of those at ``path``, whose columns ``text`` and ``label`` name. Nothing is written.

    Raises ``NotValid`` for a model that writes or where no value can be done, ``BadParameter`` for
    settings that there are not, ``BadInput`` when the data cannot be read.
    """
    started = time.perf_counter()
    given = {name: parameters[name] for name in ("limit", "reasons") if name in parameters}
    settings = checked((_LIMIT, _REASONS), given, "compression_sweep")
    setting = str(parameters.get("setting", ""))
    steps = settled(parameters.get("steps", ()))
    points = swept(steps, setting, list(parameters.get("values", ())))
    _check(model)
    path, text, label = (str(parameters.get(name, "")) for name in ("path", "text", "label"))
    data = dataset(model.card, path or None, limit=int(settings["limit"]), text=text, label=label)
    few = np.arange(min(len(data), int(settings["reasons"]))) * len(data)
    few = few // min(len(data), int(settings["reasons"]))
    meter.expect((1 + len(points)) * (len(data) + len(few)) + len(points), "Compressing")
    before = _look(model, data, few, seed, meter)
    found: list[_Looked | None] = []
    notes = []
    for each in points:
        try:
            small = _made(model, each, seed, meter, path)
        except NotValid as error:
            found.append(None)
            notes.append(str(error))
            meter.tick(len(data) + len(few))
            continue
        found.append(_look(small, data, few, seed, meter))
        notes.append("")
    if not any(found):
        raise NotValid(f"No value of {setting} can be done: {notes[0]}", "Choose other values.")
    labelled = data.labels is not None and bool((data.labels >= 0).any())
    rows = [_row(before, each, data, labelled, few) for each in found]
    table = np.array([row[1] for row in rows], np.float64)
    place = next(i for i, step in enumerate(points[0]) if step != points[-1][i])
    return Sweep(
        model.ref.name,
        data.name,
        len(data),
        ", ".join(titled(step).rsplit(" ", 1)[0] if i == place else titled(step)
                  for i, step in enumerate(points[0])),
        setting,
        np.array([float(each[place][setting]) for each in points]),
        labelled,
        _row(before, before, data, labelled, few)[0],
        np.stack([row[0] for row in rows]),
        table[:, 0],
        _METHOD,
        table[:, 1],
        table[:, 2],
        table[:, 3],
        table[:, 4],
        table[:, 5],
        tuple(notes),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (data.fingerprint,),
            "compression_sweep",
            {**settings, "steps": [dict(step) for step in steps], "setting": setting},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class _Looked:
    """What one model says, why, and how large it is: bytes, weights not zero, multiply-adds."""

    said: npt.NDArray[np.int64]
    reasons: tuple[Attribution, ...]
    size: tuple[int, int, int]


def _check(model: LoadedModel) -> None:
    if model.card.name.startswith(PREFIX):
        raise BadParameter(
            f"'{model.card.name}' is compressed already.",
            f"Sweep '{model.card.raw['of']}' instead.",
        )
    if not model.card.classes:
        raise NotValid(
            f"'{model.card.name}' writes: only classifiers are swept.",
            "Compress it once, and evaluate both by their perplexity.",
        )


def _made(
    model: LoadedModel, steps: Sequence[Mapping[str, Any]], seed: int, meter: Meter, path: str
) -> LoadedModel:
    """The compressed model in memory."""
    meter.tick()
    found = smaller(model, steps, seed, Quiet(Meter()), path)
    module: nn.Module = placed(found.module, model.device).eval()
    return replace(
        model,
        adapter=adapter(model.card, module),
        _module=module,
        _depth=0,
        # what is timed of the model itself is near enough for how many examples go at once
        memo={"bytes": len(save(tensors_of(found))), "architecture": describe(model)},
    )


def _look(
    each: LoadedModel, data: Dataset, few: npt.NDArray[np.int64], seed: int, meter: Meter
) -> _Looked:
    examples = data.examples(range(len(data)))
    said = predict(each, examples, {}, seed, Quiet(meter))
    asked = {"method": _METHOD, "target": "top", "settings": {}}
    meter.tick(len(few))
    reasons = attribute(each, data.examples(few.tolist()), asked, seed, Quiet(Meter()))
    if "bytes" not in each.memo:
        with each.exclusive() as module:
            each.memo["bytes"] = len(save(tensors_of(module)))
    _, nonzero, multiply_adds = amounts(each, seed)
    return _Looked(
        np.array([int(one.logits.argmax()) for one in said], np.int64),
        tuple(reasons),
        (each.memo["bytes"], nonzero, multiply_adds),
    )


def _row(
    before: _Looked,
    after: _Looked | None,
    data: Dataset,
    labelled: bool,
    few: npt.NDArray[np.int64],
) -> tuple[Floats, list[float]]:
    """``[accuracy, low, high]``; agreement, rank correlation, overlap and shares of the size."""
    if after is None:
        return np.full(3, np.nan), [float("nan")] * 6
    same = before.said == after.said
    right = same
    if labelled and data.labels is not None:
        right = (after.said == data.labels)[data.labels >= 0]
    pairs = [
        alike(one.values, other.values)
        for row, one, other in zip(few, before.reasons, after.reasons, strict=True)
        if same[row]
    ]
    middle = np.median(np.array(pairs), axis=0).tolist() if pairs else [float("nan")] * 2
    shares = [a / b if b else 1.0 for a, b in zip(after.size, before.size, strict=True)]
    return share(right), [float(same.mean()), *middle, *shares]
