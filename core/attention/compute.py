"""The verbs of attention: an overview of all heads, the maps of some layers, and all layers
together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

import numpy as np
import torch
from torch import Tensor

from core.attention.axes import axes
from core.attention.capture import Captured, watched
from core.attention.flow import Step, flowed, mixed, rolled
from core.attention.statistics import HeadStatistics, statistics
from core.errors import BadModel, BadParameter, NotValid, UnknownName
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.attention import (
    AttentionAxis,
    AttentionFlow,
    AttentionLayer,
    AttentionMaps,
    AttentionOverview,
    Role,
)
from core.tasks import Example

_LARGEST = 1 << 30  # bytes of maps in one answer
KIND = Parameter(
    "kind", "choice", "rollout", "How layers are put together.", choices=("rollout", "flow", "mean")
)
ROLE = Parameter(
    "role", "choice", "auto", "Which attention.", choices=("auto", *get_args(Role))
)  # auto: cross where there is one, for it is an alignment
QUERY = Parameter("query", "int", -1, "The only query to follow; -1 is all.", -1, 1_000_000)


def attention_layers(model: LoadedModel, seed: int = 0) -> tuple[AttentionLayer, ...]:
    """The layers of attention of a model in the order in which they compute, found out once on a
    typical input; empty when it has none.
    """
    if "attention" not in model.memo:
        batch = model.adapter.typical(model)
        found = _forward(model, batch, lambda layer, weights: weights.shape, None, None, seed)
        # Without a decoder the second of two sequences is something else, such as positions.
        decodes = any(captured.layer.role == "decoder" for captured in found)
        model.memo["attention"] = tuple(
            captured.layer
            if decodes or captured.taken[-2] != captured.taken[-1]
            else replace(captured.layer, role="encoder")
            for captured in found
        )
    layers: tuple[AttentionLayer, ...] = model.memo["attention"]
    return layers


def attention_overview(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[AttentionOverview, ...]:
    """One ``AttentionOverview`` per example; ``parameters`` is empty.

    Raises ``NotValid`` for a model without attention, ``BadInput`` for an unreadable example.
    """
    checked((), parameters, "attention_overview")
    found = []
    for example in _announced(model, inputs, meter, seed):
        looked = _Look(model, example, seed)

        def measure(layer: AttentionLayer, weights: Tensor, looked: _Look = looked) -> _Measured:
            keys = looked.axes(layer.role, weights)[1]
            special = torch.tensor(keys.special, device=weights.device)
            return _Measured(tuple(weights.shape[2:]), statistics(weights[0], special))

        layers, measured = looked.at(measure)
        numbers = [each.statistics for each in measured]
        found.append(
            AttentionOverview(
                example=example.name,
                layers=layers,
                thumbnails=tuple(each.thumbnails for each in numbers),
                entropy=tuple(each.entropy for each in numbers),
                distance=tuple(each.distance for each in numbers),
                head_types=tuple(each.types for each in numbers),
                type_scores=tuple(each.scores for each in numbers),
                queries=looked.queries,
                keys=looked.keys,
                picture=looked.batch.pictures[0],
                provenance=looked.provenance("attention_overview", {}),
            )
        )
    return tuple(found)


def attention(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[AttentionMaps, ...]:
    """One ``AttentionMaps`` per example; ``parameters`` may hold ``layers``: ``all``, or names and
    numbers of layers; and ``query``, the number of the only row wanted, of all heads.

    Raises ``NotValid`` for a model without attention and for more maps than can be sent,
    ``UnknownName`` for a layer or query that there is not, ``BadInput`` for an unreadable example.
    """
    given = {name: value for name, value in parameters.items() if name != "layers"}
    row = int(checked((QUERY,), given, "attention")["query"])
    rows = slice(None) if row < 0 else slice(row, row + 1)
    found = []
    for example in _announced(model, inputs, meter, seed):
        wanted = _chosen(attention_layers(model), parameters.get("layers", "all"))
        looked = _Look(model, example, seed)
        heads = sum(layer.heads for layer in wanted)
        tokens = len(looked.batch.features[0])
        if looked.text and 4 * heads * tokens * (tokens if row < 0 else 1) > _LARGEST:
            raise NotValid(
                f"The maps of {heads} heads over {tokens:,} tokens are more than 1 GB.",
                "Choose fewer layers.",
            )
        names = {layer.name for layer in wanted}
        layers, maps = looked.at(
            lambda layer, weights: weights[0, :, rows].contiguous().cpu().numpy(), names
        )
        about = {"layers": [layer.name for layer in layers]} | (given if row >= 0 else {})
        found.append(
            AttentionMaps(
                example=example.name,
                layers=layers,
                maps=maps,
                queries={role: _row(axis, row) for role, axis in looked.queries.items()},
                keys=looked.keys,
                picture=looked.batch.pictures[0],
                provenance=looked.provenance("attention", about),
            )
        )
    return tuple(found)


def attention_flow(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[AttentionFlow, ...]:
    """One ``AttentionFlow`` per example; ``parameters`` may hold ``kind``, ``role`` (cross where
    there is one, if left out) and ``query``, the number of the only row to compute.

    Rollout and flow of ``cross`` go through decoder, cross attention and encoder; what a row lacks
    to 1 stays with the output's own tokens.

    Raises ``NotValid`` for a model without such attention and where a flow would take too long.
    """
    settings = checked((KIND, ROLE, QUERY), parameters, "attention_flow")
    found = []
    for example in _announced(model, inputs, meter, seed):
        known = {layer.role for layer in attention_layers(model)}
        role = cast(Role, settings["role"])
        if settings["role"] == "auto":
            role = next(each for each in ("cross", "encoder", "decoder") if each in known)
        if role not in known:
            raise NotValid(
                f"'{model.ref.name}' has no {role} attention.",
                f"It has {', '.join(sorted(known))}.",
            )
        looked = _Look(model, example, seed)
        layers, means = looked.at(lambda layer, weights: weights[0].mean(dim=0).cpu().double())
        steps = [
            Step(layer.role, mean.numpy())
            for layer, mean in zip(layers, means, strict=True)
            if role in (layer.role, "cross")
        ]
        row = int(settings["query"])
        query, key = _row(looked.queries[role], row), looked.keys[role]
        only = None if row < 0 else row
        kind = settings["kind"]
        if kind == "mean":
            values = np.mean([step.weights for step in steps if step.role == role], axis=0)
            values = values if only is None else values[only : only + 1]
        elif kind == "rollout":
            values = rolled(steps, role, mixed)
            values = values if only is None else values[only : only + 1]
        else:
            values = flowed(steps, role, only, meter)
        found.append(
            AttentionFlow(
                kind=cast(Any, kind),
                role=role,
                example=example.name,
                values=values.astype(np.float32),
                query=query,
                key=key,
                picture=looked.batch.pictures[0],
                provenance=looked.provenance("attention_flow", {**settings, "role": role}),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class _Measured:
    shape: tuple[int, ...]
    statistics: HeadStatistics


class _Look:
    """One forward of one example, and what its queries and keys are."""

    def __init__(self, model: LoadedModel, example: Example, seed: int) -> None:
        self.started = time.perf_counter()
        self.model, self.example, self.seed = model, example, seed
        # The second of two outputs would pass the same layers once more.
        self.batch = model.adapter.encode([first_output(example)], model)
        self.text = self.batch.features.ndim == 3
        known = attention_layers(model)
        self._known = known
        self._writes = any(layer.role == "cross" for layer in known)
        self.queries: dict[str, AttentionAxis] = {}
        self.keys: dict[str, AttentionAxis] = {}

    def axes(self, role: Role, weights: Tensor) -> tuple[AttentionAxis, AttentionAxis]:
        """Queries and keys of weights ``[example, head, query, key]``."""
        queries, keys = weights.shape[-2:]
        if role not in self.queries:
            found = axes(self.batch, role, queries, keys, self._writes)
            self.queries[role], self.keys[role] = found
        return self.queries[role], self.keys[role]

    def at(
        self,
        take: Callable[[AttentionLayer, Tensor], Any],
        wanted: Collection[str] | None = None,
    ) -> tuple[tuple[AttentionLayer, ...], tuple[Any, ...]]:
        """What ``take`` makes of each layer that divides the input as the first of its role."""
        shapes: dict[str, tuple[int, ...]] = {}

        def checked_take(layer: AttentionLayer, weights: Tensor) -> Any:
            shape = tuple(weights.shape[-2:])
            if shapes.setdefault(layer.role, shape) != shape:
                return None
            self.axes(layer.role, weights)
            return take(layer, weights)

        found = _forward(self.model, self.batch, checked_take, wanted, self._known, self.seed)
        kept = [captured for captured in found if captured.taken is not None]
        return tuple(each.layer for each in kept), tuple(each.taken for each in kept)

    def provenance(self, verb: str, parameters: Mapping[str, Any]) -> Provenance:
        """What this look was."""
        return Provenance(
            model=self.model.ref.name,
            weights=self.model.ref.fingerprint,
            inputs=(self.example.sha256,),
            verb=verb,
            parameters=dict(parameters),
            seed=self.seed,
            device=str(self.model.device),
            seconds=time.perf_counter() - self.started,
        )


def first_output(example: Example) -> Example:
    """The example without an output that it is contrasted with."""
    return replace(example, outputs=example.outputs[:1]) if example.outputs else example


def need_attention(model: LoadedModel, seed: int = 0) -> tuple[AttentionLayer, ...]:
    """``attention_layers``; raises ``NotValid`` when there are none."""
    layers = attention_layers(model, seed)
    if not layers:
        raise NotValid(
            f"'{model.ref.name}' has no attention.", "Choose a Transformer to look at attention."
        )
    return layers


def _announced(
    model: LoadedModel, inputs: Sequence[Example], meter: Meter, seed: int
) -> Iterator[Example]:
    need_attention(model, seed)
    meter.expect(len(inputs), "Looking at attention")
    for example in inputs:
        meter.tick()
        yield example


def _forward(
    model: LoadedModel,
    batch: Batch,
    take: Callable[[AttentionLayer, Tensor], Any],
    wanted: Collection[str] | None,
    known: Sequence[AttentionLayer] | None,
    seed: int,
) -> list[Captured]:
    with (
        model.exclusive(seed) as module,
        torch.no_grad(),
        watched(module, len(batch), take, wanted=wanted, known=known) as found,
    ):
        logits = model.adapter.logits(module, batch.features, *batch.context)
    if not bool(torch.isfinite(logits).all()):
        raise BadModel(
            f"'{model.ref.name}' answered with NaN or infinite numbers.",
            "Its weights or its preprocessing are wrong: check the card, or train it again.",
        )
    return found


def _row(axis: AttentionAxis, row: int) -> AttentionAxis:
    """The axis of a single query, or all of it where ``row`` is negative."""
    if row < 0:
        return axis
    if row >= len(axis.labels):
        raise UnknownName.of("query", row, range(len(axis.labels)))
    return AttentionAxis((axis.labels[row],), (axis.special[row],))


def _chosen(layers: Sequence[AttentionLayer], asked: Any) -> list[AttentionLayer]:
    """The layers that are asked for by name or number, in their order."""
    if asked == "all":
        return list(layers)
    names = [layer.name for layer in layers]
    wanted = set()
    if not isinstance(asked, (str, int)) and (not isinstance(asked, Sequence) or not asked):
        raise BadParameter(
            f"'{asked}' are not layers.", "Expected 'all', or names or numbers of layers."
        )
    for each in [asked] if isinstance(asked, (str, int)) else asked:
        text = str(each)
        if text in names:
            wanted.add(text)
        elif text.isdecimal() and int(text) < len(names):
            wanted.add(names[int(text)])
        else:
            raise UnknownName.of("attention layer", each, names)
    return [layer for layer in layers if layer.name in wanted]
