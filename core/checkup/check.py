"""The verb ``check_up``: what to know of a model before it is used."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from core.activations.capture import looks
from core.activations.plan import has_own, survey
from core.attention.compute import attention_layers
from core.attribution.describe import describe
from core.checkup import findings as told
from core.checkup import fitting
from core.checkup.confined import confined
from core.checkup.trials import PASSES, reason, tried
from core.confinement.kernel import calls_refused
from core.device import free_memory
from core.errors import FluoroscopeError
from core.models.catalogue import weights_file
from core.models.loaded import LoadedModel
from core.parameters import checked
from core.progress import Meter, Quiet
from core.provenance import Provenance
from core.results.architecture import Architecture
from core.results.attention import AttentionLayer
from core.results.checkup import LEVELS, CheckUp, Finding
from core.tasks import Example


def check_up(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> CheckUp:
    """Look a model over on a typical input and others like it, once per loaded model; ``inputs``
    and ``parameters`` are not used.

    A model that somebody brought is looked over in a process of its own with limits on memory and
    time, so that it cannot take the others with it.
    """
    checked((), parameters, "check_up")
    if "check_up" not in model.memo:
        if model.ref.brought and not calls_refused():  # else this is such a process
            model.memo["check_up"] = confined(model.ref, seed, meter)
        else:
            model.memo["check_up"] = examined(model, seed, meter)
    found: CheckUp = model.memo["check_up"]
    return found


def examined(model: LoadedModel, seed: int, meter: Meter) -> CheckUp:
    """The same in this process."""
    started = time.perf_counter()
    meter.expect(PASSES + 6, "Check-up")
    found = tried(model, seed, meter)
    made = [*told.of_inputs(model.card)]
    with model.exclusive(seed) as module:
        parts = [*module.parameters(), *module.buffers()]
        made += [*told.of_weights(module), *fitting.of_pixels(model)]
        made += told.of_trials(model, module, found)
    layers: tuple[str, ...] = ()
    left_out: Mapping[str, str] = {}
    attention: tuple[AttentionLayer, ...] = ()
    architecture: Architecture | None = None
    if not found.failed:
        meter.tick()
        with _excused(made, "layers", "Layers"):
            layers, left_out = _capturable(model, seed)
        meter.tick()
        with _excused(made, "attention", "Attention"):
            attention = attention_layers(model, seed)
        made += fitting.of_looks(layers, left_out, attention)
        meter.tick()
        with _excused(made, "methods", "Methods"):
            architecture = describe(model, (), {}, seed, Quiet(meter))
            made.append(fitting.of_methods(architecture))
    device_bytes = sum(each.nbytes for each in parts)
    free = free_memory(model.device) or 0
    made.append(fitting.of_memory(device_bytes, found.steps.made, free))
    return CheckUp(
        model=model.ref.name,
        findings=tuple(sorted(made, key=lambda each: -LEVELS.index(each.level))),
        parameters=sum(each.numel() for each in parts if isinstance(each, nn.Parameter)),
        disk_bytes=_on_disk(model),
        device_bytes=device_bytes,
        pass_bytes=found.steps.made,
        free_bytes=free,
        forward_seconds=found.seconds,
        input_shape=tuple(found.batch.features.shape[1:]),
        outputs=found.shape[1] if len(found.shape) == 2 else 0,
        operators=dict(found.steps.operators.most_common()),
        layers=layers,
        left_out=left_out,
        fits={} if architecture is None else architecture.fits,
        attention=attention,
        provenance=Provenance(
            model=model.ref.name,
            weights=model.ref.fingerprint,
            inputs=(),
            verb="check_up",
            parameters={},
            seed=seed,
            device=str(model.device),
            seconds=time.perf_counter() - started,
        ),
    )


@contextmanager
def _excused(made: list[Finding], name: str, title: str) -> Iterator[None]:
    """What a module raises in a look becomes a finding."""
    try:
        yield
    except Exception as error:
        why = reason(error)
        made.append(
            Finding(name, title, "warning", f"It cannot be told: {why}.", "Mend the above first.")
        )


def _capturable(model: LoadedModel, seed: int) -> tuple[tuple[str, ...], Mapping[str, str]]:
    with model.exclusive(seed) as module:
        known = {name: part for name, part in module.named_modules() if name and has_own(part)}
        found, skipped = survey(model, module, looks(model), known, "mean")
    names = dict.fromkeys(each.name.partition("[")[0].partition("#")[0] for each in found)
    return tuple(names), {name: why for name, why in skipped.items() if name not in names}


def _on_disk(model: LoadedModel) -> int:
    try:
        return weights_file(model.card).stat().st_size
    except (FluoroscopeError, OSError):
        return 0
