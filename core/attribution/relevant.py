"""The examples for whose answer a unit matters most."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.activations.ablate import check_unit, with_units
from core.activations.tap import tapped, unit_dimension
from core.data.dataset import open_dataset
from core.errors import BadInput, NotValid
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.activations import open_capture
from core.results.units import RelevantExamples
from core.tasks import WHOLE_OUTPUT, Example

_MOST = 300
_TOGETHER = 16


def relevant_examples(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> RelevantExamples:
    """The verb ``relevant_examples``: what ``unit`` of ``layer`` adds to the model's answer to each
    of at most 300 examples, evenly spread, of the data of the capture in the folder ``capture``, by
    gradient × activation (relevance maximisation after Achtibat et al. 2023, arXiv 2206.03208, with
    the gradient in place of LRP). ``inputs`` are not used.

    Raises ``UnknownName`` for a layer or unit that there is not, ``NotValid`` where no gradient
    gets to the layer, ``BadInput`` for a capture of other weights.
    """
    started = time.perf_counter()
    found = open_capture(str(parameters.get("capture", "")))
    if found.weights != model.ref.fingerprint:
        raise BadInput("This capture is of other weights than the model has now.", "Capture again.")
    layer, unit = str(parameters.get("layer", "")), int(parameters.get("unit", 0))
    known = with_units(model, (layer,), seed)[layer]
    check_unit(known, unit)
    dimension = unit_dimension(known)
    data = open_dataset(found.data)
    rows = np.arange(len(found))[:: -(-len(found) // _MOST)]
    meter.expect(len(rows), "Relevance")
    values = np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        examples = data.examples([int(found.data_rows[row]) for row in part])
        for places, batch in model.adapter.batches(examples, model):
            meter.tick(len(places))
            with model.exclusive(seed) as module, tapped(module, known) as tap:
                heard: list[Tensor] = []
                tap.register_forward_hook(lambda *said, heard=heard: heard.append(said[2]))
                features = batch.features.detach().clone().requires_grad_()
                logits = model.adapter.logits(module, features, *batch.context).float()
                if WHOLE_OUTPUT in batch.outputs[0]:
                    score = logits[:, batch.outputs[0].index(WHOLE_OUTPUT)].sum()
                else:
                    score = logits.max(dim=1).values.sum()
                if not heard or not heard[0].requires_grad or not score.requires_grad:
                    raise NotValid(f"No gradient gets to '{layer}'.", "Choose another layer.")
                (gradient,) = torch.autograd.grad(score, heard[0], allow_unused=True)
                if gradient is None:
                    raise NotValid(f"The answer does not depend on '{layer}'.", "Choose another.")
                both = (gradient * heard[0]).detach().movedim(dimension, -1)[..., unit]
                here = both.reshape(len(places), -1).sum(dim=1).float().cpu().numpy()
            values[start + np.array(places)] = here
    return RelevantExamples(
        layer,
        unit,
        rows,
        values,
        Provenance(
            found.model,
            found.weights,
            (found.data.fingerprint,),
            "relevant_examples",
            {"layer": layer, "unit": unit},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
    )
