"""A small causal language model: a Transformer that says which piece of a word comes next.

Input: positions in a vocabulary of subwords ``[batch, piece]``; output logits ``[batch, piece,
vocabulary]`` for the piece that follows each. No piece sees a later one. After Radford et al.,
"Language models are unsupervised multitask learners" (2019): normalised before each part, the
embedding shared between input and output.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sample_models.subwords import END, PAD, START, UNKNOWN
from sample_models.translator import positions


class TinyLM(nn.Module):
    """``layers`` of causal self-attention over ``vocabulary`` pieces."""

    end = END

    def __init__(
        self,
        vocabulary: int,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        hidden: int = 384,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width, heads, hidden, dropout, batch_first=True, norm_first=True
            ),
            layers,
            nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        with torch.no_grad():
            self.embedding.weight[PAD] = 0

    def forward(self, pieces: Tensor) -> Tensor:
        size = pieces.shape[1]
        later = torch.ones(size, size, dtype=torch.bool, device=pieces.device).triu(1)
        x = self.embedding(pieces) * math.sqrt(self.embedding.embedding_dim)
        x = self.dropout(x + positions(size, x))
        hidden: Tensor = self.decoder(x, mask=later)
        return hidden @ self.embedding.weight.T

    @torch.no_grad()
    def produce(self, source: Tensor, limit: int) -> Tensor:
        """The most likely next piece again and again, at most ``limit`` of them: ``[batch,
        piece]`` without the source, filled up after ``<end>`` with more of it. In eval mode.
        """
        pieces = source
        ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
        for _ in range(limit):
            scores = self(pieces)[:, -1]
            scores[:, [PAD, START, UNKNOWN]] = -math.inf
            following = scores.argmax(dim=-1).masked_fill(ended, END)
            pieces = torch.cat([pieces, following[:, None]], dim=1)
            ended |= following == END
            if bool(ended.all()):
                break
        return pieces[:, source.shape[1] :]
