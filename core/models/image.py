"""The adapter of image classification: files in, normalised pixels and their baselines out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.image import decode
from core.data.picture import prepare
from core.errors import BadInput, BadModel, BadParameter
from core.models.adapter import Batch, Living
from core.models.card import ImagePreprocessing, ModelCard
from core.tasks import AxisKind, Example, PixelGrid

BASELINES = ("zero", "black", "white", "mean", "blur", "uniform", "gaussian", "image")
SEGMENTS = ("superpixels", "grid")


@dataclass(frozen=True)
class ImageAdapter:
    """Pixels ``[example, channel, row, column]``, normalised by the card's mean and std."""

    classes: tuple[str, ...]
    preprocessing: ImagePreprocessing
    baselines: tuple[str, ...] = BASELINES
    axis: AxisKind = "pixels"
    unit: str = "logits"
    depth: int = 1
    independent: bool = False

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """``(channels, height, width)``."""
        wanted = self.preprocessing
        return (wanted.channels, wanted.height, wanted.width)

    def encode(self, examples: Sequence[Example], model: Living) -> Batch:
        """Decode, bring to size, normalise.

        Raises ``BadInput`` for anything that is not a readable picture, or has NaN afterwards.
        """
        return self._encode(examples, model.device)

    def batches(
        self, examples: Sequence[Example], model: Living
    ) -> list[tuple[tuple[int, ...], Batch]]:
        """All at once: every picture is brought to the same size."""
        return [(tuple(range(len(examples))), self.encode(examples, model))]

    def typical(self, model: Living) -> Batch:
        """Normal noise: ``[1, channel, row, column]``."""
        noise = torch.Generator().manual_seed(0)  # what is found must not depend on a call's seed
        features = torch.randn(1, *self.feature_shape, generator=noise).to(model.device)
        axis = PixelGrid(*self.feature_shape)
        return Batch(features, (), (axis,), (None,), ("noise",), (self.classes,))

    def _encode(self, examples: Sequence[Example], device: torch.device) -> Batch:
        pictures = [prepare(decode(example), self.preprocessing) for example in examples]
        stacked = torch.from_numpy(np.stack(pictures)).to(device)
        features = self._normalise(stacked.permute(0, 3, 1, 2).float() / 255)
        if not bool(torch.isfinite(features).all()):
            raise BadInput(
                "The picture holds NaN or infinite values after preprocessing.",
                "Check mean and std in the model's card.",
            )
        shown = tuple(
            np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
            for picture in pictures
        )
        axis = PixelGrid(*self.feature_shape)
        names = tuple(example.name for example in examples)
        return Batch(features, (), (axis,) * len(names), shown, names, (self.classes,) * len(names))

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """One forward: ``[example, class]``."""
        output: Tensor = module(features, *context)
        return output

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes, or a sigmoid for each where they are judged one by one."""
        return logits.sigmoid() if self.independent else logits.softmax(dim=1)

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        """A reference input of the shape of ``batch.features``.

        ``zero`` is 0 in the network's own units; ``black`` and ``white`` are 0 and 1 before
        normalisation; ``mean`` is each example's mean colour; ``blur`` a Gaussian of a tenth of the
        side; ``uniform`` and ``gaussian`` are seeded noise around mid-grey; ``image`` is ``other``.

        Raises ``BadParameter`` for another kind, ``BadInput`` when ``other`` is needed and missing.
        """
        features = batch.features
        if kind == "zero":
            return torch.zeros_like(features)
        if kind in ("black", "white"):
            return self._normalise(torch.full_like(features, float(kind == "white")))
        if kind == "mean":
            return features.mean(dim=(2, 3), keepdim=True).expand_as(features).clone()
        if kind == "blur":
            return _blurred(features)
        if kind in ("uniform", "gaussian"):
            generator = torch.Generator().manual_seed(seed)
            shape = features.shape[1:]  # the same noise for every example: batch equals one by one
            if kind == "uniform":
                noise = torch.rand(shape, generator=generator)
            else:
                noise = (0.5 + 0.25 * torch.randn(shape, generator=generator)).clamp(0, 1)
            return self._normalise(noise.to(features).expand_as(features)).clone()
        if kind == "image":
            if other is None:
                raise BadInput(
                    "The baseline 'image' needs another picture.",
                    "Name one as the baseline image, or choose another baseline.",
                )
            return self._encode([other], features.device).features.expand_as(features).clone()
        raise BadParameter(
            f"'{kind}' is not a baseline, expected one of {', '.join(self.baselines)}.",
            "Leave it out to use the method's own default.",
        )

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        """Superpixels (SLIC) or a grid: int64 ids from 0, ``[example, 1, row, column]``.

        ``settings["segments"]`` is ``superpixels`` or ``grid``; ``settings["n_segments"]`` about
        how many. Source: Achanta et al. 2012, SLIC superpixels (doi 10.1109/TPAMI.2012.120).
        """
        kind, wanted = settings["segments"], int(settings["n_segments"])
        _, height, width = self.feature_shape
        if kind == "grid":
            ids = [_grid(height, width, wanted)] * len(batch)
        elif kind == "superpixels":
            ids = [
                _superpixels(picture, wanted) for picture in batch.pictures if picture is not None
            ]
        else:
            raise BadParameter(
                f"'{kind}' is not a way to segment, expected one of {', '.join(SEGMENTS)}."
            )
        return torch.from_numpy(np.stack(ids)[:, None]).to(batch.features.device)

    def fold(self, values: Tensor, norm: bool = False) -> npt.NDArray[np.float32]:
        """``[channel, row, column]`` as an array: channels are part of the axis."""
        array: npt.NDArray[np.float32] = values.detach().float().cpu().numpy()
        return array

    def _normalise(self, unit: Tensor) -> Tensor:
        mean = torch.tensor(self.preprocessing.mean, dtype=torch.float32, device=unit.device)
        std = torch.tensor(self.preprocessing.std, dtype=torch.float32, device=unit.device)
        return (unit - mean[:, None, None]) / std[:, None, None]


def classification(about: ModelCard, module: nn.Module) -> ImageAdapter:
    """The adapter of a card.

    Raises ``BadModel`` when the card does not say how pictures are prepared.
    """
    if about.preprocessing is None:
        raise BadModel(
            f"The card of '{about.name}' does not say how pictures are prepared.",
            "Expected preprocessing with channels, height, width, mean, std and fit.",
        )
    return ImageAdapter(about.classes, about.preprocessing, independent=about.independent)


def _blurred(features: Tensor) -> Tensor:
    channels, height, width = features.shape[1:]
    sigma = max(1.0, min(height, width) / 10)
    radius = min(round(3 * sigma), min(height, width) - 1)
    steps = torch.arange(-radius, radius + 1, device=features.device, dtype=features.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    padded = F.pad(features, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel[..., None], groups=channels)
    return F.conv2d(rows, kernel[:, :, None, :], groups=channels)


def _grid(height: int, width: int, wanted: int) -> npt.NDArray[np.int64]:
    rows = min(height, max(1, round((wanted * height / width) ** 0.5)))
    columns = min(width, max(1, round(wanted / rows)))
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    ids: npt.NDArray[np.int64] = (row[:, None] * columns + column[None, :]).astype(np.int64)
    return ids


def _superpixels(picture: npt.NDArray[np.uint8], wanted: int) -> npt.NDArray[np.int64]:
    from skimage.segmentation import slic

    labels = slic(picture, n_segments=wanted, compactness=10, start_label=0, channel_axis=2)
    _, ids = np.unique(labels, return_inverse=True)
    return ids.reshape(labels.shape).astype(np.int64)
