"""Networks that learn from images, as the training loop wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.models.card import ImagePreprocessing
from core.parameters import Value
from core.training.trainable import Answer, Trainable
from sample_models import autoencoder, data, image_sources
from sample_models import digits_cnn as digits_network
from sample_models import fashion_cnn as fashion_network
from sample_models import fashion_vit as fashion_transformer
from sample_models.augmentation import Augmentation, augment
from sample_models.hierarchical import STAGES, HierarchicalCNN, stage_of
from sample_models.image_sources import Pictures

_MIRRORED = Augmentation(mirror=True)


class ImageTrainable(Trainable):
    """What all networks that learn from images have in common: their data."""

    def __init__(
        self, module: nn.Module, pictures: Pictures, arguments: Mapping[str, Value]
    ) -> None:
        self.module = module
        self.splits, self.skipped = pictures.splits, pictures.skipped
        self._pictures, self._arguments = pictures, dict(arguments)

    def card(self) -> dict[str, Any]:
        """Classes, preprocessing and data."""
        return {
            "arguments": self._arguments,
            "classes": list(self.classes),
            "preprocessing": self._pictures.preprocessing,
            "data": dict(self._pictures.about),
            "licence": "Apache-2.0",
        }


class ImageClassifier(ImageTrainable):
    """An image network with cross-entropy."""

    def __init__(
        self,
        module: nn.Module,
        pictures: Pictures,
        arguments: Mapping[str, Value],
        settings: Mapping[str, Value],
        augmentation: Augmentation,
    ) -> None:
        super().__init__(module, pictures, arguments)
        self.classes = pictures.classes
        self._smoothing = float(settings["label_smoothing"])
        self._augmentation = augmentation if settings["augment"] else None

    def augment(self, batch: Any, generator: Generator) -> Any:
        """The images of a batch, each varied on its own."""
        if self._augmentation is None:
            return batch
        images, labels = batch
        return augment(_floats(images), self._augmentation, generator), labels

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        """Cross-entropy of a batch of images and labels."""
        images, labels = batch
        prepared, images = self._pictures.prepared, _floats(images)
        mean, std = (images.new_tensor(each) for each in (prepared.mean, prepared.std))
        logits = module((images - mean.view(-1, 1, 1)) / std.view(-1, 1, 1))
        smoothing = self._smoothing if module.training else 0.0
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return Answer(loss, len(labels), logits, labels)


class StagedClassifier(ImageClassifier):
    """The hierarchical network, trained stage by stage or end to end."""

    module: HierarchicalCNN

    def __init__(self, pictures: Pictures, settings: Mapping[str, Value]) -> None:
        arguments = {"classes": len(pictures.classes)}
        super().__init__(HierarchicalCNN(**arguments), pictures, arguments, settings, _MIRRORED)
        self._stagewise = bool(settings["stagewise"])

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        """Let the stage of this epoch learn."""
        stage = stage_of(epoch, epochs) if self._stagewise else 0
        self.module.train_stage(stage)
        return f"stage {stage} of {STAGES}" if stage else "end to end"

    def counts(self, epoch: int, epochs: int) -> bool:
        """Only the last stage's head is the network's."""
        return not self._stagewise or stage_of(epoch, epochs) == STAGES


class Restorer(ImageTrainable):
    """The autoencoder: it restores pictures of which patches are missing, or that are noisy.

    Labels are read and not used. What is hidden is drawn anew for each training batch, and for the
    held-out pictures always the same.
    """

    def __init__(self, pictures: Pictures, settings: Mapping[str, Value]) -> None:
        super().__init__(autoencoder.build(), pictures, {})
        self._settings = settings

    def augment(self, batch: Any, generator: Generator) -> Any:
        """What the network sees, what it should say, and the pixels that count."""
        return self._hidden(batch[0], generator)

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        """Error of what is restored; held-out batches come with labels, training batches hidden."""
        if len(batch) == 2:  # held out: the same is hidden each time
            generator = torch.Generator(batch[0].device).manual_seed(len(batch[0]))
            batch = self._hidden(batch[0], generator)
        seen, whole, counted = batch
        return Answer(autoencoder.masked_loss(module(seen), whole, counted), len(whole))

    def _hidden(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        whole = _floats(images)
        seen, counted = autoencoder.hidden(whole, self._settings, generator)
        return seen, whole, counted


def digits_cnn(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The digit network; see ``_digits`` for ``folder``."""
    pictures = _digits(settings, folder, seed)
    dropout, classes = float(settings["dropout"]), len(pictures.classes)
    module = digits_network.build(dropout, classes)
    arguments = {"dropout": dropout, "classes": classes}
    return ImageClassifier(module, pictures, arguments, settings, digits_network.AUGMENTATION)


def fashion_cnn(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The clothing network; see ``_clothing`` for ``folder``."""
    pictures = _clothing(settings, folder, seed)
    arguments = {"classes": len(pictures.classes)}
    module = fashion_network.build(**arguments)
    return ImageClassifier(module, pictures, arguments, settings, _MIRRORED)


def fashion_vit(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The vision transformer; see ``_clothing`` for ``folder``."""
    pictures = _clothing(settings, folder, seed)
    arguments = {"classes": len(pictures.classes)}
    module = fashion_transformer.build(**arguments)
    return ImageClassifier(module, pictures, arguments, settings, _MIRRORED)


def hierarchical(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The hierarchical network with a folder of class folders; its own is Fashion-MNIST written
    out as one.
    """
    size = int(settings["size"])
    prepared = ImagePreprocessing(3, size, size, (0.5,) * 3, (0.25,) * 3)
    origin = None if folder else data.fashion()
    place = folder or data.fashion_folder(data.fashion())
    pictures = image_sources.folder(place, prepared, int(settings["examples"]), seed, origin)
    return StagedClassifier(pictures, settings)


def restorer(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The autoencoder, with what the setting ``pictures`` names; see ``_digits`` and ``_clothing``
    for ``folder``.
    """
    source = _digits if settings["pictures"] == "digits" else _clothing
    return Restorer(source(settings, folder, seed, normalised=False), settings)


def _digits(
    settings: Mapping[str, Value], folder: Path | None, seed: int, *, normalised: bool = True
) -> Pictures:
    """The 10,000 digits, those of a ``digits.npz`` in ``folder``, or a folder of class folders."""
    if folder is None or (folder / "digits.npz").is_file():
        known = data.digits(folder)
        box = digits_network.BOX
        return image_sources.known(known, int(settings["examples"]), box, normalised=normalised)
    return _own(settings, folder, seed, digits_network.BOX, (0.13, 0.31), normalised)


def _clothing(
    settings: Mapping[str, Value], folder: Path | None, seed: int, *, normalised: bool = True
) -> Pictures:
    """Fashion-MNIST, from its four files in ``folder`` or where Debian puts them, or a folder of
    class folders.
    """
    if folder is None or any(folder.glob("*-ubyte.gz")):
        known = data.fashion(folder)
        return image_sources.known(known, int(settings["examples"]), 28, normalised=normalised)
    return _own(settings, folder, seed, 28, (0.29, 0.35), normalised)


def _own(
    settings: Mapping[str, Value],
    folder: Path,
    seed: int,
    box: int,
    usual: tuple[float, float],
    normalised: bool,
) -> Pictures:
    """A person's own folder, framed and normalised like the pictures that it stands for, of which
    ``usual`` are mean and standard deviation.
    """
    mean, std = usual if normalised else (0.0, 1.0)
    prepared = ImagePreprocessing(1, 28, 28, (mean,), (std,), "glyph", box)
    return image_sources.folder(folder, prepared, int(settings["examples"]), seed)


def _floats(images: Tensor) -> Tensor:
    """Values 0..1."""
    return images.float().div(255) if images.dtype == torch.uint8 else images
