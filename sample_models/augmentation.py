"""How training images are varied at random."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is varied at random, uniformly up to each bound.

    ``rotate`` and ``shear`` in degrees, ``shift`` in pixels, ``scale`` as a fraction of the size,
    ``stroke`` how far lines are thickened or thinned (0 not at all, 1 by one pixel on each side),
    ``mirror`` whether half of the images are mirrored left to right.
    """

    rotate: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    stroke: float = 0.0
    mirror: bool = False


def augment(images: Tensor, by: Augmentation, generator: Generator) -> Tensor:
    """Vary each image ``[n, 1, row, column]`` in 0..1 on its own, by numbers of ``generator``; what
    moves in from outside is dark.
    """
    n, _, height, _ = images.shape

    def uniform(bound: float) -> Tensor:
        drawn = torch.rand(n, generator=generator, device=images.device)
        return (2 * drawn - 1) * bound

    if by.stroke:
        thicker = F.max_pool2d(images, kernel_size=3, stride=1, padding=1)
        thinner = -F.max_pool2d(-images, kernel_size=3, stride=1, padding=1)
        amount = uniform(by.stroke).view(n, 1, 1, 1)
        images = images.lerp(thicker, amount.clamp(min=0)).lerp(thinner, (-amount).clamp(min=0))
    angle, shear = torch.deg2rad(uniform(by.rotate)), torch.tan(torch.deg2rad(uniform(by.shear)))
    width_scale, height_scale = 1 + uniform(by.scale), 1 + uniform(by.scale)
    if by.mirror:
        width_scale = width_scale * uniform(1.0).sign()
    cosine, sine = torch.cos(angle), torch.sin(angle)
    shift = 2 * by.shift / height
    rows = [
        cosine * width_scale, (shear * cosine - sine) * height_scale, uniform(shift),
        sine * width_scale, (shear * sine + cosine) * height_scale, uniform(shift),
    ]  # fmt: skip
    theta = torch.stack(rows, dim=1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
