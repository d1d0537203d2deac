"""The verb ``importance``: what the model goes by over a data set."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.attribution.compute import attribute
from core.attribution.describe import describe
from core.attribution.mean import mean_map, word_values
from core.attribution.registry import method as declared
from core.errors import BadInput, NotValid
from core.importance import words
from core.importance.judged import Judge, Judged, log_probability, of, right, score
from core.importance.maps import mapped, painted
from core.importance.parts import Parts, parts
from core.importance.sample import Sample, enough, sampled
from core.importance.ways import Way, settled, usual_method, usual_target
from core.importance.ways import way as declared_way
from core.models.loaded import LoadedModel
from core.parameters import Value
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.attribution import Attribution
from core.results.importance import Importance
from core.tasks import Example

Floats = npt.NDArray[np.float64]
_TOGETHER = 50
_UNITS = {"log_probability": "nats", "accuracy": "share right"}
_OF_WAY = {"ablation": "feature_ablation", "shapley": "shapley_value_sampling"}


def importance(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Importance:
    """What a classifier goes by over the examples of ``data`` (as of a capture): ``way`` is a name
    of ``WAYS`` and ``settings`` its parameters; ``attribution`` the method where the way is that;
    ``target`` what is explained (``usual_target`` if left out); ``groups`` of columns. ``inputs``
    are not used.

    Raises ``UnknownName`` for what there is not, ``NotValid`` for a model that writes, ``BadInput``
    for data that do not do: without labels where the accuracy is asked for, a single example.
    """
    started = time.perf_counter()
    way = declared_way(str(parameters.get("way", "attribution")), model.adapter.axis)
    settings = settled(way, parameters.get("settings", {}))
    spec = str(parameters.get("target", "")) or usual_target(
        model.adapter.classes, model.adapter.axis
    )
    if model.adapter.axis != "columns" and parameters.get("groups"):
        raise NotValid(f"'{model.ref.name}' reads no columns to group.", "Leave groups out.")
    sample = sampled(model, parameters, int(settings["limit"]), seed, meter)
    tokens = model.adapter.axis == "tokens"
    shares = None if tokens else parts(model, sample, parameters, int(settings.get("regions", 0)))
    notes = _notes(sample, model, parameters)
    measured = way.name == "permutation"
    measure = str(settings.get("measure", ""))
    unit = _UNITS[measure] if measured else model.adapter.unit
    if measured:
        enough(sample)
    judge, owners, base = _measure(model, sample, spec, measure)
    maps: tuple[Attribution, ...] = ()
    if way.name == "attribution":
        each, seeds, maps, title, names = _attributed(
            model, sample, shares, parameters, settings, spec, seed, meter
        )
    elif shares is None:
        each, seeds, names, title = _worded(model, sample, way, settings, spec, judge, seed, meter)
    else:
        each, seeds = _perturbed(model, sample, shares, way, settings, judge, seed, meter)
        title, names = way.title, shares.names
    if shares is not None and shares.grid != (0, 0) and not maps:
        maps = painted(model, sample, shares, each, way, owners, unit, seed)
    nothing = np.full(each.shape, np.nan)
    target = "" if measured else _said(spec, sample, model)
    return Importance(
        model=model.ref.name,
        data=sample.data.name,
        way=way.name,
        title=title,
        target=target,
        unit=unit,
        features=names,
        members=((),) * len(names) if shares is None else shares.members,
        categories=((),) * len(names) if shares is None else shares.categories,
        each=each,
        seeds=seeds,
        levels=nothing if shares is None else shares.levels,
        groups=owners,
        grouped_by="true class" if measured and (sample.labels >= 0).any() else "answer",
        classes=model.adapter.classes,
        rows=sample.rows,
        base=base,
        maps=maps,
        grid=(0, 0) if shares is None else shares.grid,
        notes=notes,
        provenance=Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (sample.data.fingerprint,),
            "importance",
            {"way": way.name, "title": title, "target": target, "settings": settings},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _measure(
    model: LoadedModel, sample: Sample, spec: str, measure: str
) -> tuple[Judge, npt.NDArray[np.int64], float]:
    """What is asked of every example; the class each belongs to; and the mean with nothing changed.

    Without labels the log-probability is that of the model's own answer.
    """
    device = model.device
    known = (sample.labels >= 0).any()
    if measure == "accuracy" and not known:
        raise BadInput(
            f"The data '{sample.data.name}' have no labels that '{model.ref.name}' knows, so there "
            "is no accuracy to fall.",
            "Give data with labels, or take the measure log_probability.",
        )
    owners = sample.answers
    if measure and known:
        owners = np.where(sample.labels >= 0, sample.labels, sample.answers)
    labels = torch.from_numpy(owners).to(device)
    independent = bool(getattr(model.adapter, "independent", False))
    judge: Judge
    if measure == "accuracy":
        judge = right(labels)
    elif measure:
        judge = log_probability(labels, independent)
    else:
        judge = score(sample.targets(spec, model.adapter.classes), device)
    logits = torch.from_numpy(sample.logits).to(device)
    base = float(judge(logits, slice(0, len(sample))).mean())
    return judge, owners, base


def _perturbed(
    model: LoadedModel,
    sample: Sample,
    shares: Parts,
    way: Way,
    settings: Mapping[str, Value],
    judge: Judge,
    seed: int,
    meter: Meter,
) -> tuple[Floats, Floats]:
    from core.importance.shuffled import permuted, replaced

    batch = sample.batches[0][1]

    def judged(module: nn.Module) -> Judged:
        return Judged(module, model.adapter, meter, sample.batch_size, judge, batch.context)

    repeats, draws = int(settings.get("repeats", 1)), int(settings.get("n_samples", 1))
    passes = (len(shares.names) * draws + 1) * repeats * len(sample)
    meter.expect(passes, way.title)
    if way.name == "permutation":
        every = permuted(model, batch, shares, judged, repeats, seed)
        return every.mean(axis=0), every.mean(axis=1)
    kind = _baseline(model, _OF_WAY[way.name])
    every = replaced(model, batch, shares, judged, kind, settings, seed)
    return every.mean(axis=0), np.abs(every).mean(axis=1)


def _worded(
    model: LoadedModel,
    sample: Sample,
    way: Way,
    settings: Mapping[str, Value],
    spec: str,
    judge: Judge,
    seed: int,
    meter: Meter,
) -> tuple[Floats, Floats, tuple[str, ...], str]:
    """Importance of words by exchanging or ablating them."""
    repeats = int(settings.get("repeats", 1))
    if way.name == "permutation":
        meter.expect(words.passes(sample) * repeats, way.title)

        def judged(
            module: nn.Module, context: tuple[Tensor, ...], rows: npt.NDArray[np.int64]
        ) -> Judged:
            own = torch.from_numpy(rows).to(model.device)
            return Judged(module, model.adapter, meter, sample.batch_size, of(judge, own), context)

        found = words.exchanged(model, sample, judged, repeats, seed)
        names, each, seeds = words.tabled(found, signed=False)
        return each, seeds, names, way.title
    more = {"n_samples": settings["n_samples"]} if "n_samples" in settings else {}
    found = [
        [word_values(one) for one in texts]
        for texts in _explained(model, sample, _OF_WAY[way.name], spec, more, repeats, seed, meter)
    ]
    names, each, seeds = words.tabled(found, signed=True)
    return each, seeds, names, way.title


def _attributed(
    model: LoadedModel,
    sample: Sample,
    shares: Parts | None,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Value],
    spec: str,
    seed: int,
    meter: Meter,
) -> tuple[Floats, Floats, tuple[Attribution, ...], str, tuple[str, ...]]:
    """Any attribution method over all examples: each feature has the sum of its parts."""
    axis = model.adapter.axis
    usual = usual_method(axis, describe(model))
    asked = declared(str(parameters.get("attribution", "")) or usual, axis)
    repeats = int(settings["repeats"]) if asked.stochastic else 1
    every = _explained(model, sample, asked.name, spec, {}, repeats, seed, meter)
    if shares is None:
        found = [[word_values(one) for one in texts] for texts in every]
        names, each, seeds = words.tabled(found, signed=True)
        return each, seeds, (), asked.title, names
    sums = np.stack([[_summed(one, shares) for one in rows] for rows in every])
    maps: tuple[Attribution, ...] = ()
    if shares.grid != (0, 0):
        answers = sample.answers
        maps = tuple(
            mean_map(
                [one for one, answer in zip(every[0], answers, strict=True) if answer == c],
                model.adapter.classes[c],
            )
            for c in mapped(answers)
        )
    return sums.mean(axis=0), np.abs(sums).mean(axis=1), maps, asked.title, shares.names


def _explained(
    model: LoadedModel,
    sample: Sample,
    name: str,
    spec: str,
    more: Mapping[str, Value],
    repeats: int,
    seed: int,
    meter: Meter,
) -> list[list[Attribution]]:
    """Attributions ``[seed][example]`` by the verb ``attribute``."""
    asked = declared(name, model.adapter.axis)
    own = {each.name for each in asked.parameters}
    settings = dict(more)
    if "segments" in own and model.adapter.axis == "tokens":
        settings["segments"] = "word"
    meter.expect(len(sample) * repeats, asked.title)
    quiet = _Untold(meter)
    together = _TOGETHER if model.adapter.axis == "columns" else 1
    given = {"method": asked.name, "target": spec, "settings": settings}
    found: list[list[Attribution]] = []
    for repeat in range(repeats):
        rows: list[Attribution] = []
        for start in range(0, len(sample), together):
            part = sample.examples[start : start + together]
            meter.tick(len(part))
            rows += attribute(model, part, given, seed + repeat, quiet)
        found.append(rows)
    return found


class _Untold(Quiet):
    """Passes within one example: urgent work and a cancel get through, progress is by example."""

    def tick(self, passes: float = 1.0) -> None:
        """Count nothing."""
        self._meter.tick(0)


def _summed(one: Attribution, shares: Parts) -> Floats:
    values = one.values.astype(np.float64)
    flat = (values.sum(axis=0) if values.ndim == 3 else values).reshape(-1)
    found = np.bincount(shares.ids.reshape(-1), flat, minlength=len(shares.names))
    return found.astype(np.float64)


def _baseline(model: LoadedModel, name: str) -> str:
    """The baseline that the method takes by itself."""
    kinds = {each.name: each.default for each in declared(name, model.adapter.axis).parameters}
    return str(kinds["baseline"])


def _said(spec: str, sample: Sample, model: LoadedModel) -> str:
    if spec.strip().lower() == "top":
        return "each one's own answer"
    return sample.targets(spec, model.adapter.classes)[0].title


def _notes(sample: Sample, model: LoadedModel, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    whole = int(sample.rows[-1]) + 1
    if len(sample) > 1 and whole > len(sample):
        notes.append(f"Over {len(sample):,} examples, evenly spread over the data.")
    known = sample.labels[sample.labels >= 0]
    if 0 < len(known) < len(sample):
        notes.append(
            f"{len(sample) - len(known):,} of them have no label: the model's own answer stands "
            "for it."
        )
    if not len(known):
        notes.append("There are no labels: the model's own answers stand for them.")
    elif len(np.unique(known)) == 1 and len(model.adapter.classes) > 1:
        only = model.adapter.classes[int(known[0])]
        notes.append(
            f"All examples are of one class, {only}: what tells classes apart is not seen."
        )
    return tuple(notes)
