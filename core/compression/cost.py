"""The verb ``compression_costs``: what was saved, measured beside the original in turns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.compression.calibrated import StaticInt8, kernels
from core.compression.original import original_of
from core.models.catalogue import weights_file
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.provenance import Provenance
from core.results.compression import Cost, Costs
from core.tasks import Example

_PAIRS = 41
_LONGEST = 6.0  # seconds for all pairs of one example
_LARGER = 2.0  # and of each larger batch
_BATCHES = (1, 8, 32)


def compression_costs(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Costs:
    """Size, parameters, multiply-adds, latency and throughput of a compressed model and of the one
    that it was made of; forwards of both take turns, so that a busy moment meets both.

    Raises ``BadInput`` when the model is not a compressed one.
    """
    started = time.perf_counter()
    before = original_of(model)
    meter.expect(_PAIRS * len(_BATCHES), "Timing")
    several = {
        size: _pairs(before, model, size, _LONGEST if size == 1 else _LARGER, seed, meter)
        for size in _BATCHES
    }
    pairs = several[1]
    best = min(_BATCHES, key=lambda size: np.median(several[size], axis=0).sum() / size)
    found = [
        _cost(each, pairs[:, place], best, several[best][:, place], seed)
        for place, each in enumerate((before, model))
    ]
    return Costs(
        found[0],
        found[1],
        float(np.median(pairs[:, 0] / pairs[:, 1])),
        Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (),
            "compression_costs",
            {},
            seed,
            str(model.device),
            time.perf_counter() - started,
        ),
        _notes(model),
    )


def _notes(model: LoadedModel) -> tuple[str, ...]:
    found = [str(each) for each in model.card.raw["compression"].get("notes", ())]
    with model.exclusive() as module:
        static = any(isinstance(part, StaticInt8) for part in module.modules())
    if static and (why := kernels(model.device.type)):
        found.append(
            f"Integers are computed in floating point here, because {why}: the answers are those "
            "of int8, the speed is not."
        )
    return tuple(found)


def _pairs(
    before: LoadedModel, after: LoadedModel, size: int, longest: float, seed: int, meter: Meter
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Seconds ``[pair, (before, after)]`` of forwards of ``size`` examples in turns, the first pair
    left out.
    """
    found: list[list[float]] = []
    begun = time.perf_counter()
    while len(found) < 4 or (len(found) < _PAIRS and time.perf_counter() - begun < longest):
        meter.tick()
        order = (before, after) if len(found) % 2 else (after, before)
        taken = {id(each): _forward(each, size, seed) for each in order}
        found.append([taken[id(before)], taken[id(after)]])
    return np.array(found[1:])


def _forward(model: LoadedModel, size: int, seed: int) -> float:
    typical = model.adapter.typical(model)
    features, *context = (
        tensor.expand(size, *tensor.shape[1:]).contiguous()
        for tensor in (typical.features, *typical.context)
    )
    with model.exclusive(seed) as module, torch.no_grad():
        _wait(model)
        begun = time.perf_counter()
        model.adapter.logits(module, features, *context)
        _wait(model)
        return time.perf_counter() - begun


def _wait(model: LoadedModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


def _cost(model: LoadedModel, latency: Any, best: int, batched: Any, seed: int) -> Cost:
    total, nonzero, multiply_adds = amounts(model, seed)
    return Cost(
        model.ref.name,
        weights_file(model.card).stat().st_size,
        total,
        nonzero,
        multiply_adds,
        np.asarray(latency, np.float64),
        best,
        np.asarray(batched, np.float64),
    )


def amounts(model: LoadedModel, seed: int = 0) -> tuple[int, int, int]:
    """Weights, those that are not zero, and the multiply-adds of one example."""
    batch = model.adapter.typical(model)
    counter = FlopCounterMode(display=False, custom_mapping=_INTEGERS)
    with model.exclusive(seed) as module:
        with torch.no_grad(), _unfused(), counter:
            model.adapter.logits(module, batch.features, *batch.context)
        total, nonzero = counted(module)
    return total, nonzero, counter.get_total_flops() // 2


@contextmanager
def _unfused() -> Iterator[None]:
    """Inside, PyTorch's Transformer layers are not one kernel of which nothing is counted."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def counted(module: nn.Module) -> tuple[int, int]:
    """Weights, and how many of them are not zero; of integers their number, not their steps."""
    tensors: list[torch.Tensor] = [*module.parameters()]
    tensors += [each for name, each in module.named_buffers() if name.endswith("integers")]
    return (
        sum(each.numel() for each in tensors),
        sum(int(torch.count_nonzero(each)) for each in tensors),
    )


def _of_integers(one: Any, other: Any, *_: Any, **__: Any) -> int:
    rows, inner = one
    return 2 * int(rows) * int(inner) * int(other[1])


def _of_rows(rows: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * int(np.prod(rows)) * int(out_shape[-1])


def _of_windows(
    values: Any, step: Any, zero: Any, weight: Any, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    # the packed weight keeps the shape [output, input of its group, row, column]
    return 2 * int(np.prod(out_shape)) * int(np.prod(weight[1:]))


_INTEGERS = {
    torch.ops.aten._int_mm: _of_integers,
    torch.ops.onednn.qlinear_pointwise: _of_rows,
    torch.ops.onednn.qconv_pointwise: _of_windows,
}
