"""Where a Transformer looked: attention after softmax, per layer and head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance

Role = Literal["encoder", "decoder", "cross"]


@dataclass(frozen=True)
class AttentionLayer:
    """One layer of attention: ``name`` is its module's path.

    ``role``: ``encoder`` is self-attention over the whole input, ``decoder`` self-attention that
    sees no later token, ``cross`` attention of the output to the input.
    """

    name: str
    role: Role
    heads: int


@dataclass(frozen=True)
class AttentionAxis:
    """What queries or keys are: one label each.

    For patches of an image ``grid`` is their ``(rows, columns)``, after ``prefix`` special tokens.
    """

    labels: tuple[str, ...]
    special: tuple[bool, ...]
    grid: tuple[int, int] | None = None
    prefix: int = 0

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.special):
            raise ValueError(f"{len(self.labels)} labels, {len(self.special)} marks of special")


@dataclass(frozen=True)
class AttentionOverview:
    """Every layer and head at a glance, small whatever the length of the input.

    Per layer: ``thumbnails`` uint8 ``[head, row, column]``, the largest attention in each cell of
    at most 48 × 48, 255 is 1; ``entropy`` ``[head]`` in nats, mean over queries; ``distance``
    ``[head]`` in positions, mean of ``|query - key|`` under the attention; ``head_types`` what each
    head does most and ``type_scores`` ``[head]`` the share of attention, 0..1, that goes there.
    ``queries`` and ``keys`` by role. ``picture`` is uint8 ``[row, column, 3]`` for images.
    """

    example: str
    layers: tuple[AttentionLayer, ...]
    thumbnails: tuple[npt.NDArray[np.uint8], ...]
    entropy: tuple[npt.NDArray[np.float32], ...]
    distance: tuple[npt.NDArray[np.float32], ...]
    head_types: tuple[tuple[str, ...], ...]
    type_scores: tuple[npt.NDArray[np.float32], ...]
    queries: Mapping[str, AttentionAxis]
    keys: Mapping[str, AttentionAxis]
    picture: npt.NDArray[np.uint8] | None
    provenance: Provenance


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of the layers asked for: ``maps`` float32 ``[head, query, key]``, each row sums to
    1.
    """

    example: str
    layers: tuple[AttentionLayer, ...]
    maps: tuple[npt.NDArray[np.float32], ...]
    queries: Mapping[str, AttentionAxis]
    keys: Mapping[str, AttentionAxis]
    picture: npt.NDArray[np.uint8] | None
    provenance: Provenance

    def __post_init__(self) -> None:
        for layer, values in zip(self.layers, self.maps, strict=True):
            expected = (
                layer.heads,
                len(self.queries[layer.role].labels),
                len(self.keys[layer.role].labels),
            )
            if values.shape != expected:
                raise ValueError(
                    f"{layer.name} has shape {values.shape}, expected [head, query, key] = "
                    f"{expected}"
                )


@dataclass(frozen=True)
class AttentionFlow:
    """Attention of all layers of one role together: ``values`` float32 ``[query, key]``.

    ``kind``: ``rollout`` (product over layers) and ``flow`` (maximal flow), both of Abnar and
    Zuidema 2020, arXiv 2005.00928, or the plain ``mean`` over layers and heads.
    """

    kind: Literal["rollout", "flow", "mean"]
    role: Role
    example: str
    values: npt.NDArray[np.float32]
    query: AttentionAxis
    key: AttentionAxis
    picture: npt.NDArray[np.uint8] | None
    provenance: Provenance
