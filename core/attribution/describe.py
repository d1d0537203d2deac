"""The verb ``describe``: a model taken apart, timed, and judged by every method."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from core.attribution.registry import methods
from core.device import best_batch
from core.models.inspect import observe
from core.models.loaded import LoadedModel
from core.models.rewrite import Rewritten, rewrite
from core.progress import Meter
from core.provenance import Provenance
from core.results.architecture import Architecture
from core.tasks import Example


def describe(
    model: LoadedModel,
    inputs: Sequence[Example] = (),
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    meter: Meter | None = None,
) -> Architecture:
    """What the model is made of and which methods fit; made once per loaded model.

    ``inputs`` and ``parameters`` are not used: a model is described on a typical input.
    """
    if "architecture" not in model.memo:
        meter = meter or Meter()
        meter.expect(3, "Inspecting the model")
        model.memo["architecture"] = _describe(model, seed, meter)
    architecture: Architecture = model.memo["architecture"]
    return architecture


def hooked_form(model: LoadedModel) -> nn.Module | None:
    """The rewritten form of a described model that hooked methods need, or None for the model
    itself.
    """
    rewritten: Rewritten = model.memo["rewritten"]
    return rewritten.module


def _describe(model: LoadedModel, seed: int, meter: Meter) -> Architecture:
    started = time.perf_counter()
    adapter = model.adapter
    typical = adapter.typical(model)
    features = typical.features
    with model.exclusive(seed) as module:
        meter.tick()
        seen = observe(module, adapter, typical)
        rewritten = rewrite(module, seen, adapter, typical)
        model.memo["rewritten"] = rewritten
        meter.tick()

        def forward(size: int) -> None:
            meter.check()
            with torch.no_grad():
                adapter.logits(module, *_repeated(size, features, *typical.context))

        batch_size, pass_seconds = best_batch(forward, model.device)
        backward_batch_size, backward_seconds = 1, 0.0
        if seen.differentiable:

            def backward(size: int) -> None:
                meter.check()
                batch = features.repeat(size, *[1] * (features.ndim - 1)).requires_grad_()
                context = _repeated(size, *typical.context)
                torch.autograd.grad(adapter.logits(module, batch, *context).sum(), batch)

            backward_batch_size, backward_seconds = best_batch(backward, model.device)
        meter.tick()
    hooked = seen
    if rewritten.module is not None:
        with model.exclusive(seed, rewritten.module) as form:
            hooked = observe(form, adapter, typical)
    architecture = Architecture(
        model=model.ref.name,
        layers=seen.layers,
        functions=seen.functions,
        hooked_layers=hooked.layers,
        hooked_functions=hooked.functions,
        rewrites=rewritten.rewrites,
        unrewritable=rewritten.why_not,
        differentiable=seen.differentiable,
        batch_size=batch_size,
        pass_seconds=pass_seconds,
        backward_batch_size=backward_batch_size,
        backward_seconds=backward_seconds,
        provenance=Provenance(
            model=model.ref.name,
            weights=model.ref.fingerprint,
            inputs=(),
            verb="describe",
            parameters={},
            seed=seed,
            device=str(model.device),
            seconds=time.perf_counter() - started,
        ),
    )
    fits = {each.name: each.fit(architecture) for each in methods(adapter.axis)}
    return replace(architecture, fits=fits)


def _repeated(size: int, *tensors: Tensor) -> list[Tensor]:
    return [tensor.expand(size, *tensor.shape[1:]) for tensor in tensors]
