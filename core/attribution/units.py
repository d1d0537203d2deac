"""Which units of a layer drive an answer, and what in the input drives a unit; by Captum."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from captum.attr import (
    InternalInfluence,
    LayerConductance,
    LayerGradientXActivation,
    NeuronIntegratedGradients,
)
from torch import Tensor, nn

from core.activations.ablate import check_unit, with_units
from core.activations.tap import tapped, unit_dimension
from core.attribution.scored import Scored, select
from core.errors import BadModel, NotValid
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.architecture import Fit
from core.results.attribution import Attribution
from core.results.units import UnitAttribution
from core.tasks import OTHER_OUTPUT, Example, Target, parse_targets

METHODS = {
    "layer_conductance": "Layer conductance",
    "internal_influence": "Internal influence",
    "layer_gradient_x_activation": "Layer gradient × activation",
}
_METHOD = Parameter(
    "method", "choice", "layer_conductance", "How it is counted.", choices=tuple(METHODS)
)
_STEPS = Parameter("n_steps", "int", 25, "Steps from the baseline to the input.", 2, 1000)
_TOGETHER = 8


def unit_attribution(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[UnitAttribution, ...]:
    """The verb ``unit_attribution``: what each unit of ``layer`` adds to ``target``, by ``method``:
    layer conductance (Dhamdhere et al. 2018, arXiv 1805.12233), internal influence (Leino et al.
    2018, arXiv 1802.03788) or layer gradient × activation.

    Raises ``UnknownName`` for a layer that there is not, ``NotValid`` for one without units and one
    through which no gradient goes.
    """
    layer = str(parameters.get("layer", ""))
    given = {name: parameters[name] for name in ("method", "n_steps") if name in parameters}
    settings = checked((_METHOD, _STEPS), given, "unit_attribution")
    method, steps = str(settings["method"]), int(settings["n_steps"])
    known = with_units(model, (layer,), seed)[layer]
    dimension = unit_dimension(known)
    passes = 1 if method == "layer_gradient_x_activation" else steps
    meter.expect(passes * len(inputs), METHODS[method])
    found = []
    for example in inputs:
        started = time.perf_counter()
        batch = model.adapter.encode([example], model)
        with ExitStack() as stack:
            spec = str(parameters.get("target", "top"))
            score = stack.enter_context(_scored(model, batch, spec, seed, meter))
            part = stack.enter_context(tapped(score.module, known))
            features = batch.features.detach().clone().requires_grad_()
            more: dict[str, Any] = {}
            if method == "layer_gradient_x_activation":
                by: Any = LayerGradientXActivation(score, part)
            else:
                by = (LayerConductance if method == "layer_conductance" else InternalInfluence)(
                    score, part
                )
                more = {
                    "baselines": _baseline(model, batch, seed),
                    "n_steps": steps,
                    "internal_batch_size": min(_TOGETHER, steps),
                }
            values = _refusing(partial(by.attribute, features, **more), layer)
            values = values[0] if isinstance(values, tuple) else values
            each = values.detach().float().movedim(dimension, 0).flatten(1).sum(dim=1)
            with torch.no_grad():
                answer = float(score(batch.features))
        if not bool(torch.isfinite(each).all()):
            raise BadModel(f"The units of '{layer}' got NaN or infinite values.", "Try another.")
        found.append(
            UnitAttribution(
                method,
                example.name,
                layer,
                score.target,
                each.cpu().numpy(),
                answer,
                model.adapter.unit,
                _provenance(
                    model, example, "unit_attribution", {"layer": layer, **settings}, seed, started
                ),
            )
        )
    return tuple(found)


def neuron_attribution(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Attribution, ...]:
    """The verb ``neuron_attribution``: what in the input drives the mean over positions of ``unit``
    of ``layer``, by integrated gradients (Shrikumar et al. 2018, arXiv 1807.09946). The ``score``
    of the result is the unit's activation, and values sum to its difference from the baseline's.

    Raises as ``unit_attribution`` does, and ``UnknownName`` for a unit that there is not.
    """
    layer, unit = str(parameters.get("layer", "")), int(parameters.get("unit", 0))
    given = {"n_steps": parameters["n_steps"]} if "n_steps" in parameters else {}
    steps = int(checked((_STEPS,), given, "neuron_attribution")["n_steps"])
    known = with_units(model, (layer,), seed)[layer]
    check_unit(known, unit)

    chosen = partial(_chosen, unit_dimension(known), unit)
    meter.expect((steps + 2) * len(inputs), "What drives the unit")
    found = []
    for example in inputs:
        started = time.perf_counter()
        batch = model.adapter.encode([example], model)
        with ExitStack() as stack:
            score = stack.enter_context(_scored(model, batch, "top", seed, meter))
            part = stack.enter_context(tapped(score.module, known))
            baseline = _baseline(model, batch, seed)
            features = batch.features.detach().clone().requires_grad_()
            attribute = partial(
                NeuronIntegratedGradients(score, part).attribute,
                features,
                chosen,
                baselines=baseline,
                n_steps=steps,
                internal_batch_size=min(_TOGETHER, steps),
            )
            values = _refusing(attribute, layer).detach()
            here, there = (_answered(score, part, chosen, x) for x in (batch.features, baseline))
        folded = model.adapter.fold(values[0], False)
        delta = float(folded.sum(dtype="float64")) - (here - there)
        found.append(
            Attribution(
                method="neuron_integrated_gradients",
                example=example.name,
                target=Target(unit, f"{layer} · unit {unit}"),
                axis=batch.axes[0],
                values=folded,
                score=here,
                fit=Fit("exact"),
                settings={"n_steps": steps},
                picture=batch.pictures[0],
                provenance=_provenance(
                    model,
                    example,
                    "neuron_attribution",
                    {"layer": layer, "unit": unit, "n_steps": steps},
                    seed,
                    started,
                ),
                baseline_score=there,
                delta=delta,
                unit="activation",
            )
        )
    return tuple(found)


def _chosen(dimension: int, unit: int, output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The mean of a unit over its positions ``[example]``."""
    tensor = output if isinstance(output, Tensor) else output[0]
    chosen = tensor.movedim(dimension, -1)[..., unit]
    return chosen.reshape(len(tensor), -1).mean(dim=1)


def _answered(
    score: Scored, part: nn.Module, chosen: Callable[[Any], Tensor], features: Tensor
) -> float:
    heard: list[Tensor] = []
    hook = part.register_forward_hook(lambda module, args, output: heard.append(chosen(output)))
    try:
        with torch.no_grad():
            score(features)
    finally:
        hook.remove()
    return float(heard[0])


def _refusing(attribute: Callable[[], Any], layer: str) -> Any:
    """What Captum gives; where no gradient gets to the layer, the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return attribute()
        except (RuntimeError, AssertionError, IndexError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise NotValid(
                f"Nothing can be traced through '{layer}': its output is not one tensor that the "
                f"answer depends on ({str(error).splitlines()[0][:120]}).",
                "Choose the layer after it.",
            ) from error


@contextmanager
def _scored(
    model: LoadedModel, batch: Batch, spec: str, seed: int, meter: Meter
) -> Iterator[Scored]:
    with model.exclusive(seed) as module:
        with torch.no_grad():
            logits = model.adapter.logits(module, batch.features, *batch.context)[0].float()
        target = parse_targets(spec, batch.outputs[0], logits.cpu().numpy())[0]
        if not bool(torch.isfinite(select(logits[None], target)).all()):
            raise BadModel(f"'{model.ref.name}' answered with NaN.", "Check its weights.")
        if OTHER_OUTPUT in batch.outputs[0]:
            raise NotValid("Two outputs pass a layer one after the other.", "Explain each alone.")
        yield Scored(module, model.adapter, batch.context, target, meter, _TOGETHER)


def _baseline(model: LoadedModel, batch: Batch, seed: int) -> Tensor:
    return model.adapter.baseline(batch, model.adapter.baselines[0], seed, None)


def _provenance(
    model: LoadedModel,
    example: Example,
    verb: str,
    parameters: Mapping[str, Any],
    seed: int,
    started: float,
) -> Provenance:
    return Provenance(
        model.ref.name,
        model.ref.fingerprint,
        (example.sha256,),
        verb,
        dict(parameters),
        seed,
        str(model.device),
        time.perf_counter() - started,
    )
