"""An encoder and a decoder that restore pictures: what self-supervised recipes train.

Input ``[batch, 1, 28, 28]`` in 0..1; output of the same shape. The encoder's features are
``[batch, 128, 7, 7]``. Missing patches after He et al., arXiv 2111.06377 (here with convolutions,
like Pathak et al., arXiv 1604.07379); noise after Vincent et al., "Extracting and composing robust
features with denoising autoencoders", ICML 2008.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

PATCH = 4  # pixels


class Autoencoder(nn.Module):
    """``encoder`` and ``decoder``."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = encoder()
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(128, 64, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, kernel_size=3, padding=1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        restored: Tensor = self.decoder(self.encoder(pictures))
        return restored


def encoder() -> nn.Sequential:
    """Pictures ``[batch, 1, 28, 28]`` to features ``[batch, 128, 7, 7]``."""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(128, 128, kernel_size=3, padding=1),
        nn.ReLU(),
    )


def build() -> nn.Module:
    """The network with random weights."""
    return Autoencoder()


def patches_missing(pictures: Tensor, share: float, generator: Generator) -> Tensor:
    """Which pixels are missing: bool, of the shape of ``pictures``, whole patches at random, the
    same number of them in each picture.
    """
    batch, _, height, width = pictures.shape
    rows, columns = height // PATCH, width // PATCH
    drawn = torch.rand(batch, rows * columns, generator=generator, device=pictures.device)
    count = max(1, round(share * rows * columns))
    limit = drawn.kthvalue(count, dim=1, keepdim=True).values
    missing = (drawn <= limit).view(batch, 1, rows, columns)
    return missing.repeat_interleave(PATCH, dim=2).repeat_interleave(PATCH, dim=3)


def masked_loss(restored: Tensor, pictures: Tensor, missing: Tensor) -> Tensor:
    """Mean squared error over the missing pixels alone."""
    return ((restored - pictures) ** 2)[missing].mean()


def reconstruction_error(module: nn.Module, pictures: Tensor) -> Tensor:
    """Mean squared error of each picture, ``[batch]``: high for what is unlike the known."""
    return ((module(pictures) - pictures) ** 2).mean(dim=(1, 2, 3))
