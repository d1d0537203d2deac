"""What a model that writes says to a text, one result per example."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from core.errors import NotValid
from core.models.loaded import LoadedModel
from core.models.sequence import SequenceAdapter
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.production import Production
from core.tasks import Example

TOKENS = Parameter(
    "tokens", "int", 0, "Most tokens to produce; 0 is as many as the card says.", 0, 1000
)


def produce(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Production, ...]:
    """One ``Production`` per example; ``parameters`` may hold ``tokens``.

    Raises ``NotValid`` for a model that does not write, ``BadInput`` for an unreadable text.
    """
    settings = checked((TOKENS,), parameters, "produce")
    adapter = model.adapter
    if not isinstance(adapter, SequenceAdapter):
        raise NotValid(
            f"'{model.ref.name}' does not produce text.",
            "Choose a translator or a language model.",
        )
    meter.expect(len(inputs), "Writing")
    found = []
    for example in inputs:
        meter.tick(1)
        started = time.perf_counter()
        text, batch = adapter.produce(example, model, int(settings["tokens"]) or None)
        with model.exclusive(seed) as module, torch.no_grad():
            logits = adapter.logits(module, batch.features, *batch.context)[0, :-1]
        found.append(
            Production(
                example=example.name,
                text=text,
                tokens=batch.outputs[0][:-1],
                probabilities=logits.float().exp().cpu().numpy(),
                notes=batch.notes,
                provenance=Provenance(
                    model=model.ref.name,
                    weights=model.ref.fingerprint,
                    inputs=(example.sha256,),
                    verb="produce",
                    parameters=settings,
                    seed=seed,
                    device=str(model.device),
                    seconds=time.perf_counter() - started,
                ),
            )
        )
    return tuple(found)
