"""An encoder and a decoder that restore pictures: what self-supervised recipes train.

Input ``[batch, 1, 28, 28]`` in 0..1; output of the same shape. The encoder's features are
``[batch, 96, 7, 7]``. Missing patches after He et al., arXiv 2111.06377 (here with convolutions,
like Pathak et al., arXiv 1604.07379); noise after Vincent et al., "Extracting and composing robust
features with denoising autoencoders", ICML 2008.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.parameters import Value

PATCH = 4  # pixels


class Autoencoder(nn.Module):
    """``encoder`` and ``decoder``."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = encoder()
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(96, 32, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 1, kernel_size=3, padding=1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        restored: Tensor = self.decoder(self.encoder(pictures))
        return restored


def encoder() -> nn.Sequential:
    """Pictures ``[batch, 1, 28, 28]`` to features ``[batch, 96, 7, 7]``."""
    return nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 96, kernel_size=3, padding=1),
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


def hidden(
    pictures: Tensor, settings: Mapping[str, Value], generator: Generator
) -> tuple[Tensor, Tensor]:
    """What the network sees of ``pictures``, and which pixels it is judged by, bool of their shape.

    With the setting ``masked`` a share of the patches is missing (0 instead), and those count;
    with ``noise`` Gaussian noise of this standard deviation is added, and all pixels count.
    """
    if "masked" in settings:
        missing = patches_missing(pictures, float(settings["masked"]), generator)
        return pictures.masked_fill(missing, 0.0), missing.expand_as(pictures)
    drawn = torch.randn(pictures.shape, generator=generator, device=pictures.device)
    return pictures + float(settings["noise"]) * drawn, torch.ones_like(pictures, dtype=torch.bool)


def masked_loss(restored: Tensor, pictures: Tensor, counted: Tensor) -> Tensor:
    """Mean squared error over the pixels that count alone."""
    loss: Tensor = F.mse_loss(restored[counted], pictures[counted])
    return loss


def anomaly_score(
    module: nn.Module, pictures: Tensor, settings: Mapping[str, Value], seed: int, draws: int = 4
) -> Tensor:
    """How badly each picture is restored, ``[batch]``: the mean squared error over the pixels that
    count, over several draws of what is hidden. High for what is unlike the known.
    """
    generator = torch.Generator(pictures.device).manual_seed(seed)
    error = torch.zeros(len(pictures), device=pictures.device)
    count = torch.zeros_like(error)
    for _ in range(draws):
        seen, counted = hidden(pictures, settings, generator)
        error += ((module(seen) - pictures) ** 2 * counted).sum(dim=(1, 2, 3))
        count += counted.sum(dim=(1, 2, 3))
    return error / count
