"""The verb ``attribute``: one method, any examples, any targets."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from core.attribution.describe import describe, hooked_form
from core.attribution.method import AttributionMethod
from core.attribution.problem import Outcome, Problem, Run
from core.attribution.registry import method as declared
from core.attribution.scored import Scored, select
from core.device import out_of_memory
from core.errors import BadInput, BadModel, NotValid, OutOfMemory
from core.models.adapter import Batch
from core.models.catalogue import resolve
from core.models.loaded import LoadedModel
from core.parameters import Value, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.attribution import Attribution
from core.tasks import Example, Target, parse_targets


def attribute(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
    ceiling: int | None = None,
) -> tuple[Attribution, ...]:
    """One ``Attribution`` per example and target, examples first.

    ``parameters``: ``method``, a name; ``target``, as in ``core.tasks.parse_targets``, the
    predicted class if left out; ``settings`` of the method; ``baseline_example``, the index of the
    input that is the baseline ``image`` and is not explained itself. ``ceiling`` pretends that
    memory ends at so many examples per pass.

    Raises ``UnknownName``, ``BadParameter``, ``BadInput``, ``NotValid`` with the reason,
    ``OutOfMemory`` when not even one example fits.
    """
    each = declared(str(parameters["method"]), model.adapter.axis)
    run: Run = resolve(each.run)  # imports what it needs, before any clock runs
    settings = checked(each.parameters, dict(parameters.get("settings", {})), each.title)
    architecture = describe(model, meter=meter)
    fit = architecture.fits[each.name]
    if not fit.usable:
        raise NotValid(
            f"{each.title} is not valid for '{model.ref.name}': {fit.reason}",
            "Choose another method; `fluoroscope list methods` names them all.",
        )
    explained, other = _baseline_example(inputs, parameters, settings)
    work = []
    for example, batch in zip(explained, _encoded(model, explained), strict=True):
        logits = _logits(model, batch, seed)
        spec = str(parameters.get("target", "top"))
        targets = parse_targets(spec, batch.outputs[0], logits.cpu().numpy())
        work += [(example, batch, logits, target) for target in targets]
    axis_cost = [each.cost(settings, batch.axes[0]) for _, batch, _, _ in work]
    ahead = sum(cost.forward + cost.backward for cost in axis_cost) - len(work)  # logits are there
    meter.expect(ahead, each.title)
    found = []
    for example, batch, logits, target in work:
        started = time.perf_counter()
        problem = Problem(
            model=model,
            architecture=architecture,
            score=Scored(
                torch.nn.Identity(),
                model.adapter,
                batch.context,
                target,
                meter,
                architecture.batch_size,
                architecture.backward_batch_size,
            ),
            batch=batch,
            settings=settings,
            seed=seed,
            other=other,
        )
        problem.score.ceiling = ceiling
        outcome = _run(each, run, problem)
        score = float(select(logits[None], target))
        seconds = time.perf_counter() - started
        found.append(_result(each, problem, outcome, example, other, target, score, seconds))
    return tuple(found)


def _encoded(model: LoadedModel, examples: Sequence[Example]) -> Iterator[Batch]:
    """Each example as a batch of its own. Rows of a table are read together: by themselves each
    costs more than its explanation.
    """
    if model.adapter.axis == "columns" and len(examples) > 1:
        together = model.adapter.encode(examples, model)
        yield from (together[row] for row in range(len(examples)))
        return
    for example in examples:
        yield model.adapter.encode([example], model)


def _baseline_example(
    inputs: Sequence[Example], parameters: Mapping[str, Any], settings: Mapping[str, Value]
) -> tuple[list[Example], Example | None]:
    index = parameters.get("baseline_example")
    if index is None:
        if settings.get("baseline") == "image":
            raise BadInput(
                "The baseline 'image' needs another picture.",
                "Name one as the baseline image, or choose another baseline.",
            )
        return list(inputs), None
    other = inputs[int(index)]
    return [example for place, example in enumerate(inputs) if place != int(index)], other


def _logits(model: LoadedModel, batch: Batch, seed: int) -> torch.Tensor:
    with model.exclusive(seed) as module, torch.no_grad():
        logits = model.adapter.logits(module, batch.features, *batch.context)[0].float()
    if not bool(torch.isfinite(logits).all()):
        raise BadModel(
            f"'{model.ref.name}' answered with NaN or infinite numbers.",
            "Its weights or its preprocessing are wrong: check the card, or train it again.",
        )
    return logits


def _run(each: AttributionMethod, run: Run, problem: Problem) -> Outcome:
    """Run a method; when memory runs out, halve the batch and start it again with the same seed."""
    form = hooked_form(problem.model) if each.hooked else None
    score = problem.score
    while True:
        try:
            with (
                problem.model.exclusive(problem.seed, form) as module,
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # Captum's, about hooks that are undone anyway
                score.module = module
                outcome = run(problem)
                return Outcome(outcome.values.detach(), outcome.baseline_score)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if not score.halve():
                raise OutOfMemory(
                    f"Memory ran out while {each.title} looked at a single example.",
                    "Use a smaller model or picture, or another device.",
                ) from None
            score.splittable = True
        if problem.features.is_cuda:
            torch.cuda.empty_cache()


def _result(
    each: AttributionMethod,
    problem: Problem,
    outcome: Outcome,
    example: Example,
    other: Example | None,
    target: Target,
    score: float,
    seconds: float,
) -> Attribution:
    values = problem.model.adapter.fold(outcome.values[0], each.norm)
    baseline_score = delta = None
    if each.complete and outcome.baseline_score is not None:
        baseline_score = float(outcome.baseline_score.mean())
        delta = float(values.sum(dtype="float64")) - (score - baseline_score)
    if not bool(torch.isfinite(outcome.values).all()):
        raise BadModel(
            f"{each.title} gave NaN or infinite values for '{example.name}'.",
            "Try another method or baseline; the network may overflow on the way.",
        )
    settings = dict(problem.settings)
    if settings.get("layer") == "auto":
        settings["layer"] = problem.architecture.cam_layer
    inputs = (example.sha256,) if other is None else (example.sha256, other.sha256)
    return Attribution(
        method=each.name,
        example=example.name,
        target=target,
        axis=problem.batch.axes[0],
        values=values,
        score=score,
        baseline_score=baseline_score,
        delta=delta,
        signed=each.signed,
        unit=problem.model.adapter.unit if each.unit == "logits" else each.unit,
        fit=problem.architecture.fits[each.name],
        settings=settings,
        picture=problem.batch.pictures[0],
        provenance=Provenance(
            model=problem.model.ref.name,
            weights=problem.model.ref.fingerprint,
            inputs=inputs,
            verb="attribute",
            parameters={"method": each.name, "target": target.title, "settings": settings},
            seed=problem.seed,
            device=str(problem.model.device),
            seconds=seconds,
        ),
    )
