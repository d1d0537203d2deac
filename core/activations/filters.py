"""The filters of a convolution: its weights as pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from core.activations.plan import base
from core.errors import NotValid, UnknownName
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.units import Filters
from core.tasks import Example


def filters(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Filters:
    """The verb ``filters``: the weights of the two-dimensional convolution ``layer``; nothing is
    computed. ``inputs`` are not used.

    Raises ``UnknownName`` for a layer that there is not, ``NotValid`` for one that is no such
    convolution.
    """
    started = time.perf_counter()
    name = base(str(parameters.get("layer", "")))
    with model.exclusive(seed) as module:
        parts = dict(module.named_modules())
        if not name or name not in parts:
            raise UnknownName.of("layer", name, [each for each in parts if each])
        part = parts[name]
        if not isinstance(part, nn.Conv2d):
            known = [each for each, kind in parts.items() if isinstance(kind, nn.Conv2d)]
            raise NotValid(
                f"'{name}' is a {type(part).__name__} and has no filters.",
                f"Choose a convolution: {', '.join(known[:8])}."
                if known
                else "There is none here.",
            )
        weight = part.weight.detach().float().cpu().numpy().copy()
    return Filters(
        model.ref.name,
        name,
        weight,
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (),
            "filters",
            {"layer": name},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )
