"""A small convolutional network that tells ten kinds of clothing apart.

Input ``[batch, 1, 28, 28]``, normalised; output ``[batch, 10]`` logits, one per class of
Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv 1708.07747).
Three convolutions (32, 64 and 128 channels, 3 × 3) with max-pooling, dropout and two dense layers:
the digit classifier with one convolution more. Every ReLU is a module of its own and is used once.
"""

from __future__ import annotations

import torch
from torch import nn


class FashionCNN(nn.Module):
    """Three convolutions and two dense layers: ``[batch, 1, 28, 28]`` to ``[batch, classes]``."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(64, 128, kernel_size=3, padding=1)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.25)
        self.dense1 = nn.Linear(128 * 3 * 3, 128)
        self.relu4 = nn.ReLU()
        self.dropout2 = nn.Dropout(0.4)
        self.dense2 = nn.Linear(128, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.pool3(self.relu3(self.conv3(x)))
        x = self.dropout1(x).flatten(start_dim=1)
        x = self.dropout2(self.relu4(self.dense1(x)))
        logits: torch.Tensor = self.dense2(x)
        return logits


def build(classes: int = 10) -> nn.Module:
    """The network with random weights."""
    return FashionCNN(classes)
