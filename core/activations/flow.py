"""How the gradient gets through the layers: does learning reach the first ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.activations.outputs import watched
from core.activations.plan import has_own
from core.data.dataset import Dataset, open_dataset
from core.errors import NotValid
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import open_capture
from core.results.behaviour import GradientFlow
from core.tasks import WHOLE_OUTPUT, Example

_MOST = 64
_TOGETHER = 16


def gradient_flow(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> GradientFlow:
    """The verb ``gradient_flow``: the gradient of the loss at each layer over at most 64 examples,
    evenly spread, of the data of the capture in the folder ``capture``. The loss is the
    cross-entropy of the label, or of the model's own answer where there is none; of a model that
    writes minus the log-probability of what it wrote. Nothing is updated.

    Raises ``NotValid`` for a model through which no gradient goes.
    """
    started = time.perf_counter()
    found = open_capture(str(parameters.get("capture", "")))
    data = open_dataset(found.data).limited(_MOST)
    meter.expect(len(data), "Gradient flow")
    norms: dict[str, list[float]] = {}
    with model.exclusive(seed) as module:
        layers = {name: part for name, part in module.named_modules() if name and has_own(part)}
        weights = [
            each.requires_grad_() for each in module.parameters() if each.is_floating_point()
        ]
        for each in weights:
            each.grad = None
        for start in range(0, len(data), _TOGETHER):
            rows = range(start, min(start + _TOGETHER, len(data)))
            for places, batch in model.adapter.batches(data.examples(rows), model):
                meter.tick(len(places))
                losses = _backward(model, module, layers, batch, data, [rows[i] for i in places])
                for name, values in losses.items():
                    norms.setdefault(name, []).extend(values)
        of_weights = {name: _own(part, len(data)) for name, part in layers.items()}
    if not norms:
        raise NotValid(
            f"No gradient gets through '{model.ref.name}'.", "It cannot learn as it stands."
        )
    names = tuple(name for name in layers if name in norms)
    return GradientFlow(
        found.model,
        found.data.name,
        names,
        len(data),
        np.array([np.mean(norms[name]) for name in names]),
        np.array([of_weights[name][0] for name in names]),
        np.array([of_weights[name][1] for name in names]),
        Provenance(
            found.model,
            found.weights,
            (found.data.fingerprint,),
            "gradient_flow",
            {"examples": len(data)},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )


def _backward(
    model: LoadedModel,
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    batch: Batch,
    data: Dataset,
    rows: Sequence[int],
) -> dict[str, list[float]]:
    """Norms of the gradient at the outputs of each layer, of each example."""
    kept: dict[str, list[Tensor]] = {}

    def take(name: str, layer: nn.Module, output: Tensor, lengths: Tensor | None) -> None:
        if output.requires_grad and len(output) == len(batch):
            output.retain_grad()
            kept.setdefault(name.partition("#")[0].partition("[")[0], []).append(output)

    features = batch.features.detach().clone().requires_grad_()
    with watched(module, layers, take):
        logits = model.adapter.logits(module, features, *batch.context).float()
    if not logits.requires_grad:
        return {}
    if WHOLE_OUTPUT in batch.outputs[0]:
        loss = -logits[:, batch.outputs[0].index(WHOLE_OUTPUT)].sum()
    else:
        labels = [-1 if data.labels is None else int(data.labels[row]) for row in rows]
        own = logits.detach().argmax(dim=1)
        asked = torch.tensor(labels, device=logits.device)
        loss = F.cross_entropy(logits, torch.where(asked < 0, own, asked), reduction="sum")
    loss.backward()
    found = {}
    for name, outputs in kept.items():
        squares = sum(
            (each.grad.float().flatten(1) ** 2).sum(dim=1)
            for each in outputs
            if each.grad is not None
        )
        if isinstance(squares, Tensor):
            found[name] = squares.sqrt().tolist()
    return found


def _own(part: nn.Module, count: int) -> tuple[float, float]:
    """Norms of the gradient of the mean loss by a layer's own weights, and of these weights."""
    gradient = weights = 0.0
    for each in part.parameters(recurse=False):
        weights += float((each.detach().float() ** 2).sum())
        if each.grad is not None:
            gradient += float((each.grad.float() ** 2).sum())
    return gradient**0.5 / count, weights**0.5
