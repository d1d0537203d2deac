"""What a fused kernel computes and does not hand out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FusedAttention:
    """The arguments of ``scaled_dot_product_attention``, by its own names."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    def repeated(self, values: Tensor) -> Tensor:
        """Keys or values for every head of the query, where several heads share them."""
        heads = self.query.shape[-3] if self.query.ndim > 3 else 1
        shared = values.shape[-3] if values.ndim > 3 else 1
        return values if heads == shared else values.repeat_interleave(heads // shared, dim=-3)

    def weights(self) -> Tensor:
        """softmax(QKᵀ·scale + mask), float32; rows in which everything is masked are 0."""
        query, key = self.query.float(), self.repeated(self.key).float()
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        scores = (query * scale) @ key.transpose(-2, -1)
        if self.is_causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        if self.attn_mask is None:
            return _softmax(scores)
        if self.attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~self.attn_mask, -torch.inf)
        else:
            scores = scores + self.attn_mask
        return _softmax(scores).nan_to_num(0.0)


def _softmax(scores: Tensor) -> Tensor:
    """In the place of the scores where nobody needs them: fresh memory costs more than exp."""
    if scores.requires_grad:
        return scores.softmax(dim=-1)
    return torch.softmax(scores, dim=-1, out=scores)
