"""What each head does, in numbers: entropy, distance, and where most of its attention goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 48  # of a thumbnail, at most
SHARE = 0.5  # of its attention that a head gives to what it is named after, at least
MIXED = "mixed"


@dataclass(frozen=True)
class HeadStatistics:
    """Of one layer, as ``AttentionOverview`` has them."""

    thumbnails: npt.NDArray[np.uint8]  # [head, row, column]
    entropy: npt.NDArray[np.float32]  # [head]
    distance: npt.NDArray[np.float32]  # [head]
    types: tuple[str, ...]
    scores: npt.NDArray[np.float32]  # [head]


def statistics(weights: Tensor, special: Tensor) -> HeadStatistics:
    """Of ``weights`` ``[head, query, key]``; ``special`` is bool ``[key]``.

    The first query of causal attention has no choice and does not count, unless it is the only one.
    After Clark et al. 2019, arXiv 1906.04341, and Voita et al. 2019, arXiv 1905.09418.
    """
    queries, keys = weights.shape[-2:]
    entropy = torch.special.entr(weights).sum(dim=-1).mean(dim=-1)
    places = torch.arange(max(queries, keys), device=weights.device)
    apart = (places[:queries, None] - places[None, :keys]).abs()
    distance = (weights * apart).sum(dim=-1).mean(dim=-1)
    shares = _shares(weights, special)
    table = np.stack([share.float().cpu().numpy() for share in shares.values()])  # [type, head]
    named = [_named(list(shares), column) for column in table.T]
    return HeadStatistics(
        thumbnails=thumbnails(weights).cpu().numpy(),
        entropy=entropy.float().cpu().numpy(),
        distance=distance.float().cpu().numpy(),
        types=tuple(name for name, _ in named),
        scores=np.array([score for _, score in named], dtype=np.float32),
    )


def _named(names: list[str], shares: npt.NDArray[np.float32]) -> tuple[str, float]:
    """The place first: a head that looks at a special first token looks at the first token."""
    best = int(shares[:-1].argmax())
    if shares[best] < SHARE:
        best = int(shares.argmax())
    return (names[best] if shares[best] >= SHARE else MIXED), float(shares[best])


def thumbnails(weights: Tensor) -> Tensor:
    """``[head, query, key]`` as uint8 of at most ``SIDE`` rows and columns, the largest attention
    in each cell.
    """
    if weights.device.type == "mps":  # which pools only where the sizes divide each other
        weights = weights.cpu()
    rows, columns = (min(SIDE, size) for size in weights.shape[-2:])
    pooled = F.adaptive_max_pool2d(weights[None], (rows, columns))[0]
    return (pooled * 255).round().clamp(0, 255).to(torch.uint8)


def _shares(weights: Tensor, special: Tensor) -> dict[str, Tensor]:
    """Mean share ``[head]`` of attention by where it goes."""
    queries, keys = weights.shape[-2:]
    forced = int(queries == keys > 1 and not bool(weights[:, 0, 1:].any()))
    seen = weights[:, forced:]
    shares = {
        "previous token": weights.diagonal(-1, 1, 2),
        "next token": weights.diagonal(1, 1, 2),
        "same token": seen.diagonal(forced, 1, 2),
        "first token": seen[..., 0],
        "special token": seen[..., special].sum(dim=-1),
    }
    return {
        name: share.mean(dim=-1) if share.shape[-1] else share.new_zeros(len(share))
        for name, share in shares.items()
    }
