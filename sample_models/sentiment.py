"""A small Transformer that says whether a sentence speaks well or ill of something.

Input: positions in a vocabulary of subwords ``[batch, piece]``, 0 where there is padding; output
``[batch, class]`` logits. An encoder reads all pieces at once, and each unit's largest answer over
the sentence is judged; padding changes nothing. After Vaswani et al., "Attention is all you need"
(arXiv 1706.03762), normalised before each part (arXiv 2002.04745).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sample_models.subwords import PAD
from sample_models.translator import positions


class Sentiment(nn.Module):
    """``[batch, piece]`` to ``[batch, classes]``."""

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        hidden: int = 256,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout1 = nn.Dropout(dropout)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width, heads, hidden, dropout, batch_first=True, norm_first=True
            ),
            layers,
            nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        self.dropout2 = nn.Dropout(dropout)
        self.dense = nn.Linear(width, classes)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        with torch.no_grad():
            self.embedding.weight[PAD] = 0

    def forward(self, pieces: Tensor) -> Tensor:
        padding = pieces == PAD
        x = self.embedding(pieces) * math.sqrt(self.embedding.embedding_dim)
        x = self.dropout1(x + positions(pieces.shape[1], x) / 2)
        x = self.encoder(x, src_key_padding_mask=padding)
        largest = x.masked_fill(padding[..., None], torch.finfo(x.dtype).min).amax(dim=1)
        logits: Tensor = self.dense(self.dropout2(largest))
        return logits
