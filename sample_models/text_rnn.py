"""A recurrent network that sorts short texts: embedding, RNN, LSTM or GRU, and a dense layer.

Input: positions in a vocabulary ``[batch, word]``, 0 where there is padding; output
``[batch, class]`` logits. It reads in both directions and keeps each unit's largest answer over the
text; padding changes nothing. The LSTM is Hochreiter and Schmidhuber's, Neural Computation 9
(1997), the GRU that of Cho et al. (arXiv 1406.1078).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sample_models.subwords import PAD

CELLS: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class TextRNN(nn.Module):
    """``[batch, word]`` to ``[batch, classes]``."""

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        cell: str = "gru",
        width: int = 128,
        hidden: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout1 = nn.Dropout(dropout)
        self.recurrent = CELLS[cell](width, hidden, batch_first=True, bidirectional=True)
        self.dropout2 = nn.Dropout(dropout)
        self.dense = nn.Linear(2 * hidden, classes)

    def forward(self, words: Tensor) -> Tensor:
        real = words != PAD
        lengths = real.sum(dim=1).clamp_min(1).cpu()  # packing wants them there
        x = self.dropout1(self.embedding(words))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(
            self.recurrent(packed)[0], batch_first=True, total_length=words.shape[1]
        )
        outside = (
            torch.arange(words.shape[1], device=words.device) >= lengths.to(words.device)[:, None]
        )
        largest = states.masked_fill(outside[..., None], -math.inf).amax(dim=1)
        logits: Tensor = self.dense(self.dropout2(largest))
        return logits
