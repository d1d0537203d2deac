"""A small Transformer that translates: encoder, decoder, and cross attention between them.

Source ``[batch, source piece]`` and target ``[batch, target piece]`` are positions in one shared
vocabulary of subwords (0 is padding); the output is logits ``[batch, target piece, vocabulary]``
for the piece that follows each target piece. After Vaswani et al., "Attention is all you need"
(arXiv 1706.03762), normalised before each part (arXiv 2002.04745), with the embedding shared
between source, target and output (arXiv 1608.05859).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sample_models.subwords import END, PAD, START


class DecoderLayer(nn.Module):
    """Self-attention to earlier pieces, cross attention to the source, and a dense part."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.cross_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.norm3 = nn.LayerNorm(width)
        self.dense1 = nn.Linear(width, hidden)
        self.relu = nn.ReLU()
        self.dense2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: Tensor, later: Tensor, padding: Tensor, with_attention: bool
    ) -> tuple[Tensor, Tensor | None]:
        y = self.norm1(x)
        x = x + self.dropout(self.self_attention(y, y, y, attn_mask=later, need_weights=False)[0])
        found, attention = self.cross_attention(
            self.norm2(x),
            memory,
            memory,
            key_padding_mask=padding,
            need_weights=with_attention,
            average_attn_weights=False,
        )
        x = x + self.dropout(found)
        x = x + self.dropout(self.dense2(self.dropout(self.relu(self.dense1(self.norm3(x))))))
        return x, attention


class Translator(nn.Module):
    """Encoder and decoder of ``layers`` each over ``vocabulary`` pieces."""

    start, end = START, END

    def __init__(
        self,
        vocabulary: int,
        width: int = 192,
        layers: int = 3,
        heads: int = 4,
        hidden: int = 512,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width, heads, hidden, dropout, batch_first=True, norm_first=True
            ),
            layers,
            nn.LayerNorm(width),
            enable_nested_tensor=False,
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(width, heads, hidden, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        with torch.no_grad():
            self.embedding.weight[PAD] = 0

    def forward(
        self, source: Tensor, target: Tensor, with_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Logits; with ``with_attention`` also the cross attention that ``decode`` gives."""
        padding = source == PAD
        memory = self.encode(source, padding)
        hidden, attention = self.decode(target, memory, padding, with_attention)
        logits = self.output(hidden)
        return logits if attention is None else (logits, attention)

    def encode(self, source: Tensor, padding: Tensor) -> Tensor:
        """What the encoder makes of the source: ``[batch, source, width]``."""
        encoded: Tensor = self.encoder(self._embed(source), src_key_padding_mask=padding)
        return encoded

    def decode(
        self, target: Tensor, memory: Tensor, padding: Tensor, with_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The decoder's last layer ``[batch, target, width]`` and, where asked for, its cross
        attention ``[batch, head, target, source]``, each row summing to 1. No target piece sees a
        later one.
        """
        size = target.shape[1]
        later = torch.ones(size, size, dtype=torch.bool, device=target.device).triu(1)
        x, attention = self._embed(target), None
        for number, layer in enumerate(self.decoder, start=1):
            wanted = with_attention and number == len(self.decoder)
            x, attention = layer(x, memory, later, padding, wanted)
        return self.norm(x), attention

    def output(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary."""
        return hidden @ self.embedding.weight.T

    def produce(self, source: Tensor, limit: int) -> Tensor:
        """The translation by a beam of 4, at most ``limit`` pieces."""
        return translate(self, source, beam=4, most=limit)

    def _embed(self, pieces: Tensor) -> Tensor:
        x = self.embedding(pieces) * math.sqrt(self.embedding.embedding_dim)
        return self.dropout(x + positions(pieces.shape[1], x))  # type: ignore[no-any-return]


def positions(size: int, like: Tensor) -> Tensor:
    """Sines and cosines of each position ``[position, width]``, so that length has no bound."""
    width = like.shape[-1]
    rates = torch.exp(
        torch.arange(0, width, 2, device=like.device, dtype=torch.float32)
        * (-math.log(10_000.0) / width)
    )
    angles = torch.arange(size, device=like.device, dtype=torch.float32)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].to(like.dtype)


@torch.no_grad()
def translate(
    module: Translator,
    source: Tensor,
    *,
    beam: int = 1,
    growth: int = 2,
    penalty: float = 1.0,
    most: int | None = None,
) -> Tensor:
    """The most likely translations found: pieces ``[batch, target]``, ended by ``<end>``.

    ``beam`` 1 is greedy: always the most likely next piece; a wider beam keeps that many beginnings
    and ranks the finished ones by log-probability ÷ length ** ``penalty``. ``module`` is in eval
    mode. A translation that does not end by itself is ended after ``growth`` times the pieces of
    its source and 10 more, or after ``most``, whatever is translated beside it.
    """
    batch = len(source)
    rows = torch.arange(batch, device=source.device)[:, None]
    padding = source == PAD
    longest = (growth * (~padding).sum(dim=1) + 10).clamp_max(most or 2**31)
    memory = module.encode(source, padding).repeat_interleave(beam, dim=0)
    padding = padding.repeat_interleave(beam, dim=0)
    pieces = torch.full((batch, beam, 1), START, device=source.device)
    scores = torch.full((batch, beam), -math.inf, device=source.device)
    scores[:, 0] = 0.0  # all beginnings are the same: one is enough
    ended = torch.zeros(batch, beam, dtype=torch.bool, device=source.device)
    lengths = torch.zeros(batch, beam, device=source.device)
    for size in range(1, int(longest.max()) + 1):
        hidden, _ = module.decode(pieces.flatten(0, 1), memory, padding)
        chances = module.output(hidden[:, -1]).float().log_softmax(dim=-1).unflatten(0, (-1, beam))
        chances[..., [PAD, START]] = -math.inf
        others = torch.arange(chances.shape[-1], device=source.device) != END
        chances.masked_fill_((longest <= size)[:, None, None] & others, -math.inf)
        chances[ended] = -math.inf
        chances[..., END].masked_fill_(ended, 0.0)  # a finished one stays as it is
        totals = scores[..., None] + chances
        grown = (lengths + (~ended).float())[..., None]
        best = (totals / grown**penalty).flatten(1).topk(beam, dim=1).indices
        parent, piece = best // chances.shape[-1], best % chances.shape[-1]
        scores = totals.flatten(1).gather(1, best)
        lengths = grown.squeeze(-1)[rows, parent]
        pieces = torch.cat([pieces[rows, parent], piece[..., None]], dim=-1)
        ended = ended[rows, parent] | (piece == END)
        if bool(ended[:, 0].all() if beam == 1 else ended.all()):
            break
    first = (scores / lengths**penalty).argmax(dim=1)
    return pieces[rows[:, 0], first, 1:]
