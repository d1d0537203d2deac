"""What a model answers without some of its attention heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, cast

from torch import nn

from core.attention.capture import Silence, watched
from core.attention.compute import first_output, need_attention
from core.errors import BadParameter, UnknownName
from core.models.loaded import LoadedModel
from core.models.predict import predict
from core.parameters import Parameter, checked
from core.progress import Meter
from core.results.prediction import Prediction
from core.tasks import Example

WITH = Parameter(
    "with",
    "choice",
    "zero",
    "What a head says instead: nothing, or its mean over all tokens.",
    choices=("zero", "mean"),
)


def ablate_heads(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> tuple[Prediction, ...]:
    """One ``Prediction`` per example with ``heads`` switched off, pairs of a layer's name and a
    head's number from 0; ``with`` says what they are replaced by. The model stays as it is.

    Michel et al. 2019, arXiv 1905.10650. Raises ``NotValid`` for a model without attention,
    ``UnknownName`` for a layer or head that there is not.
    """
    rest = {name: value for name, value in parameters.items() if name != "heads"}
    settings = checked((WITH,), rest, "ablate_heads")
    heads = _heads(model, parameters.get("heads", ()), seed)

    def without(module: nn.Module, size: int) -> AbstractContextManager[Any]:
        return watched(
            module,
            size,
            lambda layer, weights: None,
            wanted=(),
            known=need_attention(model, seed),
            silenced=heads,
            silence=cast(Silence, settings["with"]),
        )

    predictions = predict(model, [first_output(each) for each in inputs], {}, seed, meter, without)
    named = {"heads": [[layer, head] for layer in heads for head in heads[layer]], **settings}
    return tuple(
        replace(
            prediction,
            provenance=replace(
                prediction.provenance,
                verb="ablate_heads",
                parameters=named,
                inputs=(example.sha256,),
            ),
        )
        for prediction, example in zip(predictions, inputs, strict=True)
    )


def _heads(model: LoadedModel, asked: Any, seed: int) -> dict[str, list[int]]:
    layers = {layer.name: layer.heads for layer in need_attention(model, seed)}
    found: dict[str, list[int]] = {}
    pairs = asked if isinstance(asked, Sequence) and not isinstance(asked, str) else (asked,)
    for pair in pairs:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise BadParameter(
                "'heads' holds something that is not a head.",
                "Expected pairs of a layer's name and a number, as [['layer', 0]].",
            )
        name, head = str(pair[0]), pair[1]
        if name not in layers:
            raise UnknownName.of("attention layer", name, layers)
        if not isinstance(head, int) or not 0 <= head < layers[name]:
            raise UnknownName.of(f"head of {name}", head, range(layers[name]))
        if head not in found.setdefault(name, []):
            found[name].append(head)
    return found
