"""The answer when some words of a text cannot be read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from core.errors import BadParameter, NotValid
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.prediction import Prediction
from core.tasks import Example, Tokens

PARAMETERS = (
    Parameter(
        "replacement",
        "choice",
        "any",
        "What covers a token: the mask or padding token, zeros, or the mean of all embeddings; the "
        "first of them that the model has.",
        choices=("any", "mask", "padding", "zero", "mean"),
    ),
)


def cover(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Prediction, ...]:
    """One ``Prediction`` per example, with every token that touches one of the spans covered.

    ``parameters``: ``spans``, characters of the text, half open, the same for every example;
    ``replacement`` as in ``PARAMETERS``. The length stays, and so do the tokens that a sequence
    model has written: it says how likely they still are.

    Raises ``NotValid`` for a model of images, ``BadParameter`` for spans that touch no token and
    for a replacement that the model does not have, ``BadInput`` for an unreadable text.
    """
    if model.adapter.axis != "tokens":
        raise NotValid(f"'{model.ref.name}' does not read texts.", "Choose a model of texts.")
    given = {name: value for name, value in parameters.items() if name != "spans"}
    settings = checked(PARAMETERS, given, "covering words")
    spans = [(int(start), int(end)) for start, end in parameters.get("spans", ())]
    meter.expect(len(inputs), "Covering words")
    found = []
    for example in inputs:
        started = time.perf_counter()
        batch = model.adapter.encode([example], model)
        axis = batch.axes[0]
        hidden = torch.tensor(_touched(axis, spans) if isinstance(axis, Tokens) else [False])
        if not bool(hidden.any()):
            raise BadParameter(
                f"No word of '{example.name}' is at the characters {spans}.",
                "Name characters of the input's text.",
            )
        covered, kind = _covered(model, batch, str(settings["replacement"]), seed)
        features = torch.where(
            hidden[None, :, None].to(batch.features.device), covered, batch.features
        )
        with model.exclusive(seed) as module, torch.no_grad():
            meter.tick(1)
            logits = model.adapter.logits(module, features, *batch.context).float().cpu()
        found.append(
            Prediction(
                example=example.name,
                classes=batch.outputs[0],
                logits=logits[0].numpy(),
                probabilities=model.adapter.probabilities(logits)[0].numpy(),
                axis=axis,
                picture=None,
                notes=batch.notes,
                provenance=Provenance(
                    model=model.ref.name,
                    weights=model.ref.fingerprint,
                    inputs=(example.sha256,),
                    verb="cover",
                    parameters={"replacement": kind, "spans": [list(span) for span in spans]},
                    seed=seed,
                    device=str(model.device),
                    seconds=time.perf_counter() - started,
                ),
            )
        )
    return tuple(found)


def _covered(model: LoadedModel, batch: Batch, wanted: str, seed: int) -> tuple[Tensor, str]:
    """Every token covered, and by what."""
    if wanted != "any":
        return model.adapter.baseline(batch, wanted, seed, None), wanted
    for kind in ("mask", "padding"):
        with suppress(BadParameter):
            return model.adapter.baseline(batch, kind, seed, None), kind
    return model.adapter.baseline(batch, "zero", seed, None), "zero"


def _touched(axis: Tokens, spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Tokens of the input that share a character with a span."""
    return [
        not special and part == 0 and any(start < last and first < end for first, last in spans)
        for (start, end), special, part in zip(axis.spans, axis.special, axis.parts, strict=True)
    ]
