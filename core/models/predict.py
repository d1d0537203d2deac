"""What a model answers: logits and probabilities, one result per example."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from core.errors import BadModel
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.prediction import Prediction
from core.tasks import Example


def predict(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
    around: Callable[[nn.Module, int], AbstractContextManager[Any]] = lambda module, size: (
        nullcontext()
    ),
) -> tuple[Prediction, ...]:
    """One ``Prediction`` per example; ``parameters`` is empty. ``around`` is entered with the
    module and the number of examples for each forward.

    Raises ``BadInput`` for an unreadable example, ``BadModel`` when the answer is not finite.
    """
    meter.expect(len(inputs), "Predicting")
    found: dict[int, Prediction] = {}
    for places, batch in model.adapter.batches(inputs, model):
        started = time.perf_counter()
        with model.exclusive(seed) as module, torch.no_grad():
            meter.tick(len(places))
            with around(module, len(places)):
                logits = model.adapter.logits(module, batch.features, *batch.context).float().cpu()
        seconds = time.perf_counter() - started
        if not bool(torch.isfinite(logits).all()):
            raise BadModel(
                f"'{model.ref.name}' answered with NaN or infinite numbers.",
                "Its weights or its preprocessing are wrong: check the card, or train it again.",
            )
        probabilities = model.adapter.probabilities(logits)
        for row, place in enumerate(places):
            found[place] = Prediction(
                example=inputs[place].name,
                classes=batch.outputs[row],
                logits=logits[row].numpy(),
                probabilities=probabilities[row].numpy(),
                axis=batch.axes[row],
                picture=batch.pictures[row],
                notes=batch.notes,
                provenance=Provenance(
                    model=model.ref.name,
                    weights=model.ref.fingerprint,
                    inputs=(inputs[place].sha256,),
                    verb="predict",
                    parameters=dict(parameters),
                    seed=seed,
                    device=str(model.device),
                    seconds=seconds / len(places),
                ),
            )
    return tuple(found[place] for place in range(len(inputs)))
