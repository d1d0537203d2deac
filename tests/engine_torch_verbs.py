"""A verb that hooks a real model and draws random numbers, as Captum's methods do."""

from __future__ import annotations

import select
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from engine_verbs import at_gate

from core.models.loaded import LoadedModel
from core.progress import Meter
from core.tasks import Example

PASSES = 6


def hooked(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> np.ndarray[Any, Any]:
    """Logits ``[pass, class]`` with a hook that adds noise to every convolution.

    With ``gate``, half of the passes are made before it is opened and half after.
    """
    batch = model.adapter.encode(inputs, model)
    found = []

    def noisy(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output + torch.randn_like(output)

    with model.exclusive(seed) as module, torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d):
                part.register_forward_hook(noisy)
        meter.expect(PASSES)
        for index in range(PASSES):
            meter.tick()
            found.append(model.adapter.logits(module, batch.features).numpy()[0])
            if "gate" in parameters and index == PASSES // 2:
                with at_gate(parameters["gate"]) as visitor:
                    while not select.select([visitor], [], [], 0.002)[0]:
                        meter.tick(0)
    return np.stack(found)
