"""A small vision transformer that tells ten kinds of clothing apart.

Input ``[batch, 1, 28, 28]``, normalised; output ``[batch, 10]`` logits, one per class of
Fashion-MNIST. The image is cut into 7 × 7 patches of 4 × 4 pixels; with the class token in front
that makes 50 tokens, and each attention head weighs all of them against each other: attention
``[batch, 4 heads, 50 queries, 50 keys]`` in each of the 4 blocks.
After Dosovitskiy et al., "An image is worth 16x16 words", arXiv 2010.11929 (pre-norm, GELU,
learned position embeddings, class token).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention: ``[batch, tokens, width]`` to the same shape. How many heads there
    are follows from the weights, so that some may be removed.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head_width = width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return self.projection.in_features // self.head_width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, length, _ = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, length, 3, -1, self.head_width)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        joined: torch.Tensor = self.projection(mixed.transpose(1, 2).flatten(start_dim=2))
        return joined


class Block(nn.Module):
    """Attention and a two-layer perceptron, each on normalised tokens and added back."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.dense1 = nn.Linear(width, hidden)
        self.gelu = nn.GELU()
        self.dense2 = nn.Linear(hidden, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        update: torch.Tensor = self.dense2(self.gelu(self.dense1(self.norm2(tokens))))
        return tokens + update


class FashionViT(nn.Module):
    """Patches, blocks and a linear head: ``[batch, 1, 28, 28]`` to ``[batch, classes]``."""

    def __init__(
        self, classes: int = 10, width: int = 64, depth: int = 4, heads: int = 4, patch: int = 4
    ) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(1, width, kernel_size=patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embedding = nn.Parameter(torch.empty(1, (28 // patch) ** 2 + 1, width))
        nn.init.trunc_normal_(self.position_embedding, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, 2 * width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embedding(images).flatten(start_dim=2).transpose(1, 2)
        class_token = self.class_token.expand(len(images), -1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.position_embedding
        for block in self.blocks:
            tokens = block(tokens)
        logits: torch.Tensor = self.head(self.norm(tokens[:, 0]))
        return logits


def build(classes: int = 10) -> nn.Module:
    """The network with random weights."""
    return FashionViT(classes)
