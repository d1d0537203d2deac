"""Layers with fewer channels: what was removed, as shapes for a card, and built again from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

THINNED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)
"""Kinds of layers that channels can be taken from; none of their special kinds."""


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of the first tensor of every layer that channels can be taken from."""
    return {
        name: tuple(_first(part).shape)
        for name, part in module.named_modules()
        if type(part) in THINNED and next(iter(part.state_dict()), None) is not None
    }


def thinned(before: Mapping[str, tuple[int, ...]], module: nn.Module) -> list[dict[str, Any]]:
    """The layers whose shape is another than ``before``, for a card."""
    return [
        {"layer": name, "kind": "thin", "shape": list(shape)}
        for name, shape in shapes(module).items()
        if before[name] != shape
    ]


def thin(part: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """A layer like ``part`` whose weights have another shape; what they are means nothing."""
    if isinstance(part, nn.Linear):
        outputs, inputs = shape
        return nn.Linear(inputs, outputs, part.bias is not None)
    if isinstance(part, nn.Conv1d | nn.Conv2d):
        alone = part.groups > 1  # each channel for itself: others are never thinned
        groups = shape[0] if alone else 1
        return type(part)(
            shape[1] * groups,
            shape[0],
            part.kernel_size,  # type: ignore[arg-type]
            part.stride,  # type: ignore[arg-type]
            part.padding,  # type: ignore[arg-type]
            part.dilation,  # type: ignore[arg-type]
            groups,
            part.bias is not None,
            part.padding_mode,
        )
    if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
        return type(part)(shape[0], part.eps, part.momentum, part.affine, part.track_running_stats)
    raise TypeError(f"{type(part).__name__} cannot be built with fewer channels")


def kept(layer: nn.Linear, rows: torch.Tensor | None, columns: torch.Tensor | None) -> None:
    """Leave a dense layer only these outputs (``rows``) and inputs (``columns``)."""
    with torch.no_grad():
        weight, bias = layer.weight.detach(), layer.bias
        if rows is not None:
            weight = weight[rows]
            layer.bias = None if bias is None else nn.Parameter(bias.detach()[rows].clone())
        if columns is not None:
            weight = weight[:, columns]
        layer.weight = nn.Parameter(weight.clone())
        layer.out_features, layer.in_features = weight.shape


def _first(part: nn.Module) -> torch.Tensor:
    found: torch.Tensor = next(iter(part.state_dict().values()))
    return found
