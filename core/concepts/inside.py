"""What a layer says to examples, and how a score changes with it: by Captum."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import LayerActivation, LayerGradientXActivation
from torch import Tensor

from core.activations.ablate import with_units
from core.activations.capture import looks
from core.activations.plan import Planned, base, has_own, planned
from core.activations.tap import tapped, unit_dimension
from core.attribution.scored import Scored
from core.errors import BadModel, NotValid
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.tasks import Example, Target

Values = npt.NDArray[np.float32]
Pool = Literal["auto", "mean", "whole"]
_TOGETHER = 32
_LAYERS = 4
_LARGEST = 40_000  # numbers of a layer that are taken whole of their own accord


def layers_through(model: LoadedModel, seed: int = 0) -> tuple[str, ...]:
    """At most four layers, spread over the depth of the network: its repeated blocks where it has
    any, else its layers with weights; none that only normalises, embeds or answers.

    Raises ``NotValid`` when there is none.
    """
    batches = looks(model)
    with model.exclusive(seed) as module:
        known = {name: part for name, part in module.named_modules() if name}
        blocks = [
            name
            for name, part in known.items()
            if name.rpartition(".")[2].isdecimal() and any(True for _ in part.children())
        ]
        wanted = blocks if len(blocks) > 1 else None
        plan = planned(model, module, batches, None, "mean")
        weighty = [each for each in plan.taken if _tells(each, known[base(each.name)])]
        taken = [each for each in weighty[:-1] if each.shape[0] > 1]  # the last one answers
        if wanted is not None:
            inner = [each.name for each in taken]
            around = [name for name in wanted if any(x.startswith(f"{name}.") for x in inner)]
            taken = _captured(model, module, batches, around) or taken
    names = [each.name for each in taken if not each.scalar]
    if not names:
        raise NotValid(
            f"'{model.ref.name}' has no layer before its answer that can be looked into.",
            "Take a network with at least one hidden layer.",
        )
    places = np.unique(np.linspace(0, len(names) - 1, min(_LAYERS, len(names))).round())
    return tuple(names[int(place)] for place in places)


def activations(
    model: LoadedModel,
    examples: Sequence[Example],
    layers: Sequence[str],
    pool: Pool,
    seed: int,
    meter: Meter,
) -> dict[str, Values]:
    """Activations of each layer, float32 ``[example, number]``: the mean over positions, or all
    numbers one after the other (``whole``: only of layers whose size is the same for every example;
    ``auto`` wherever it is, and not too large).

    Raises ``UnknownName`` or ``NotValid`` for a layer, ``BadInput`` for an unreadable example.
    """
    return _through(model, examples, layers, pool, None, seed, meter)


def gradients(
    model: LoadedModel,
    examples: Sequence[Example],
    layers: Sequence[str],
    pool: Pool,
    target: Target,
    seed: int,
    meter: Meter,
) -> dict[str, Values]:
    """The gradient of the target's score at each layer, float32 ``[example, number]``: summed over
    positions (the derivative when all of them move alike), or whole. Raises as ``activations``.
    """
    return _through(model, examples, layers, pool, target, seed, meter)


def _through(
    model: LoadedModel,
    examples: Sequence[Example],
    layers: Sequence[str],
    pool: Pool,
    target: Target | None,
    seed: int,
    meter: Meter,
) -> dict[str, Values]:
    known = with_units(model, tuple(layers), seed)
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    order: list[int] = []
    for start in range(0, len(examples), _TOGETHER):
        part = examples[start : start + _TOGETHER]
        for places, batch in model.adapter.batches(part, model):
            order += [start + place for place in places]
            with ExitStack() as stack:
                module = stack.enter_context(model.exclusive(seed))
                scored = target or Target(0, "")
                score = Scored(
                    module, model.adapter, batch.context, scored, meter, len(batch), len(batch)
                )
                taps = [stack.enter_context(tapped(module, known[name])) for name in layers]
                found = _asked(score, taps, batch.features, target is not None, layers)
                for name, values in zip(layers, found, strict=True):
                    rows[name].append(_pooled(values, known[name], pool, target is not None).cpu())
    back = np.argsort(order)
    try:
        return {name: torch.cat(each).numpy()[back] for name, each in rows.items()}
    except RuntimeError as error:
        raise NotValid(
            "A layer answers with more numbers to some examples than to others.",
            "Take its mean over positions: pool=mean.",
        ) from error


def _asked(
    score: Scored, taps: list[Any], features: Tensor, slopes: bool, layers: Sequence[str]
) -> list[Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if not slopes:
                with torch.no_grad():
                    found = LayerActivation(score, taps).attribute(features)
            else:
                by = LayerGradientXActivation(score, taps, multiply_by_inputs=False)
                recurrent = score.adapter.axis == "tokens"  # cuDNN has no gradient of them in eval
                with torch.backends.cudnn.flags(enabled=not recurrent):
                    found = by.attribute(features.detach().clone().requires_grad_())
        except (RuntimeError, AssertionError, IndexError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise NotValid(
                f"Nothing can be traced through {', '.join(layers)}: an output is not one tensor "
                f"that the answer depends on ({str(error).splitlines()[0][:120]}).",
                "Choose other layers.",
            ) from error
    tensors = [each[0] if isinstance(each, tuple) else each for each in found]
    for name, each in zip(layers, tensors, strict=True):
        if not bool(torch.isfinite(each).all()):
            raise BadModel(f"The layer '{name}' has NaN or infinite values.", "Choose another one.")
    return [each.detach().float() for each in tensors]


def _pooled(values: Tensor, known: Planned, pool: Pool, slopes: bool) -> Tensor:
    by_unit = values.movedim(unit_dimension(known), 1)
    flat = by_unit.reshape(*by_unit.shape[:2], -1)
    fixed = not known.follows and known.size <= _LARGEST
    if pool == "whole" or (pool == "auto" and fixed):
        return flat.flatten(1)
    return flat.sum(dim=2) if slopes else flat.mean(dim=2)


def _tells(each: Planned, part: Any) -> bool:
    kind = each.kind
    dull = any(word in kind for word in ("Norm", "Embedding", "Dropout"))
    weights = has_own(part) and any(True for _ in part.parameters())
    return weights and not dull


def _captured(model: LoadedModel, module: Any, batches: Any, names: list[str]) -> list[Planned]:
    def plans() -> Iterator[Planned]:
        for name in names:
            try:
                yield from planned(model, module, batches, [name], "mean").taken[:1]
            except NotValid:
                continue

    return list(plans())
