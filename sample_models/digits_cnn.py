"""A small convolutional network that reads handwritten digits.

Input ``[batch, 1, 28, 28]``, normalised; output ``[batch, 10]`` logits, one per digit.
Two convolutions (32 and 64 channels, 3 × 3) with max-pooling, dropout and two dense layers: the
textbook digit classifier, after LeCun et al., "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86 (1998). Every ReLU is a module of its own and is used
once, because DeepLIFT, guided backpropagation and LRP work through hooks on modules.
"""

from __future__ import annotations

import torch
from torch import nn

from sample_models.augmentation import Augmentation

AUGMENTATION = Augmentation(rotate=12, shear=8, shift=2, scale=0.12, stroke=0.6)
BOX = 20  # pixels to which a digit in somebody's own photograph is scaled


class DigitsCNN(nn.Module):
    """Two convolutions and two dense layers: ``[batch, 1, 28, 28]`` to ``[batch, classes]``."""

    def __init__(self, classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(dropout / 2)
        self.dense1 = nn.Linear(64 * 7 * 7, 128)
        self.relu3 = nn.ReLU()
        self.dropout2 = nn.Dropout(dropout)
        self.dense2 = nn.Linear(128, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.dropout1(x).flatten(start_dim=1)
        x = self.dropout2(self.relu3(self.dense1(x)))
        logits: torch.Tensor = self.dense2(x)
        return logits


def build(dropout: float = 0.5, classes: int = 10) -> nn.Module:
    """The network with random weights."""
    return DigitsCNN(classes, dropout)
