"""Networks that classify images, as the training loop wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.parameters import Value
from core.training.trainable import Answer, Trainable
from sample_models import data


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


class ImageSplit:
    """Images ``uint8 [n, 1, 28, 28]`` with labels, in memory."""

    def __init__(self, part: data.Images) -> None:
        self._fingerprint = part.fingerprint()
        self._images = torch.from_numpy(part.images).unsqueeze(1)
        self._labels = torch.from_numpy(part.labels).long()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitems__(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        places = torch.as_tensor(index)
        return self._images[places], self._labels[places]

    def fingerprint(self) -> str:
        """SHA-256 over shapes and values."""
        return self._fingerprint


class ImageClassifier(Trainable):
    """An image network with cross-entropy, over the three parts of a data set."""

    def __init__(
        self,
        module: nn.Module,
        splits: data.Splits,
        settings: Mapping[str, Value],
        *,
        box: int,
        augmentation: Augmentation | None,
        arguments: Mapping[str, Value],
    ) -> None:
        self.module = module
        self.classes = splits.classes
        self._source, self._box, self._arguments = splits, box, dict(arguments)
        parts = {"train": splits.train, "val": splits.validation, "test": splits.test}
        self.splits = {name: ImageSplit(part) for name, part in parts.items()}
        self._mean = float(splits.train.images.mean() / 255)
        self._std = float(splits.train.images.std() / 255)
        self._smoothing = float(settings["label_smoothing"])
        self._augmentation = augmentation

    def augment(self, batch: Any, generator: Generator) -> Any:
        """The images of a batch, each varied on its own."""
        images, labels = batch
        if self._augmentation is None:
            return batch
        return augment(images.float().div(255), self._augmentation, generator), labels

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        """Cross-entropy of a batch of images and labels."""
        images, labels = batch
        if images.dtype == torch.uint8:
            images = images.float().div(255)
        logits = module((images - self._mean) / self._std)
        smoothing = self._smoothing if module.training else 0.0
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return Answer(loss, len(labels), logits, labels)

    def card(self) -> dict[str, Any]:
        """Classes, preprocessing and data."""
        about = self._source
        return {
            "arguments": self._arguments,
            "classes": list(self.classes),
            "preprocessing": {
                "channels": 1,
                "height": 28,
                "width": 28,
                "mean": [self._mean],
                "std": [self._std],
                "fit": "glyph",
                "box": self._box,
                "background": "dark",
            },
            "data": {
                "name": about.name,
                "source": about.source,
                "licence": about.licence,
                "split": {
                    "train": len(about.train),
                    "validation": len(about.validation),
                    "test": len(about.test),
                },
                "note": about.note,
                "sha256": {
                    "train": about.train.fingerprint(),
                    "validation": about.validation.fingerprint(),
                    "test": about.test.fingerprint(),
                },
            },
            "licence": "Apache-2.0",
        }


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
