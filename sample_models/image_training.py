"""Networks that learn from images, as the training loop wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from core.data.folder import ImageSplit as FolderSplit
from core.data.folder import read_images
from core.data.splits import sample
from core.models.card import ImagePreprocessing
from core.parameters import Value
from core.provenance import sha256_of_json
from core.training.trainable import Answer, Split, Trainable
from sample_models import autoencoder, data
from sample_models import digits_cnn as digits_network
from sample_models import fashion_cnn as fashion_network
from sample_models import fashion_vit as fashion_transformer
from sample_models import hierarchical as staged
from sample_models.augmentation import Augmentation, augment


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
    """An image network with cross-entropy, over the three parts of a data set of 28 × 28 pixels."""

    def __init__(
        self,
        module: nn.Module,
        splits: data.Splits,
        settings: Mapping[str, Value],
        *,
        box: int,
        augmentation: Augmentation,
        arguments: Mapping[str, Value] | None = None,
    ) -> None:
        self.module = module
        self.classes = splits.classes
        self._box, self._arguments = box, dict(arguments or {})
        self._source = source = fewer(splits, int(settings["examples"]))
        parts = {"train": source.train, "val": source.validation, "test": source.test}
        self.splits = {name: ImageSplit(part) for name, part in parts.items()}
        self._mean = float(splits.train.images.mean() / 255)
        self._std = float(splits.train.images.std() / 255)
        self._smoothing = float(settings["label_smoothing"])
        self._augmentation = augmentation if settings["augment"] else None

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
            "data": about_data(about),
            "licence": "Apache-2.0",
        }


class FolderClassifier(Trainable):
    """The hierarchical network over a folder of class folders, stage by stage or end to end."""

    def __init__(
        self, path: Path, settings: Mapping[str, Value], seed: int, about: Mapping[str, Any]
    ) -> None:
        size = int(settings["size"])
        self._prepared = ImagePreprocessing(3, size, size, (0.5,) * 3, (0.25,) * 3)
        folder = read_images(path, self._prepared, seed=seed)
        self.classes, self.skipped = folder.classes, (*folder.notes, *folder.skipped)
        self.splits: dict[str, Split] = dict(folder.splits)
        if count := int(settings["examples"]):
            self.splits["train"] = Part(folder.splits["train"], count, seed)
        self.module = self._network = staged.HierarchicalCNN(len(folder.classes))
        self._stagewise = bool(settings["stagewise"])
        self._smoothing = float(settings["label_smoothing"])
        self._augmentation = Augmentation(mirror=True) if settings["augment"] else None
        self._about = about

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        stage = staged.stage_of(epoch, epochs) if self._stagewise else 0
        self._network.train_stage(stage)
        return f"stage {stage} of {staged.STAGES}" if stage else "end to end"

    def counts(self, epoch: int, epochs: int) -> bool:
        return not self._stagewise or staged.stage_of(epoch, epochs) == staged.STAGES

    def augment(self, batch: Any, generator: Generator) -> Any:
        images, labels = batch
        if self._augmentation is None:
            return batch
        return augment(images.float().div(255), self._augmentation, generator), labels

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        images, labels = batch
        if images.dtype == torch.uint8:
            images = images.float().div(255)
        logits = module((images - 0.5) / 0.25)
        smoothing = self._smoothing if module.training else 0.0
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return Answer(loss, len(labels), logits, labels)

    def card(self) -> dict[str, Any]:
        prepared = self._prepared
        return {
            "arguments": {"classes": len(self.classes)},
            "classes": list(self.classes),
            "preprocessing": {
                "channels": 3,
                "height": prepared.height,
                "width": prepared.width,
                "mean": list(prepared.mean),
                "std": list(prepared.std),
                "fit": prepared.fit,
            },
            "data": {
                **self._about,
                "split": {name: len(part) for name, part in self.splits.items()},
                "sha256": {name: part.fingerprint() for name, part in self.splits.items()},
            },
        }


class Part:
    """Some examples of a split, drawn at random by a seed, each class in proportion."""

    def __init__(self, whole: FolderSplit, count: int, seed: int) -> None:
        self._whole, self._places = whole, sample(whole.labels, count, seed).tolist()

    def __len__(self) -> int:
        return len(self._places)

    def __getitems__(self, index: Sequence[int]) -> Any:
        return self._whole.__getitems__([self._places[place] for place in index])

    def fingerprint(self) -> str:
        """SHA-256 of the whole and of what was drawn."""
        return sha256_of_json([self._whole.fingerprint(), self._places])


class Restorer(Trainable):
    """The autoencoder: it restores pictures of which patches are missing, or that are noisy.

    Labels are read and not used. What is hidden is drawn anew for each training batch, and for the
    validation pictures always the same.
    """

    def __init__(self, settings: Mapping[str, Value], splits: data.Splits) -> None:
        self.module = autoencoder.build()
        self._settings = settings
        self._source = source = fewer(splits, int(settings["examples"]))
        parts = {"train": source.train, "val": source.validation, "test": source.test}
        self.splits = {name: ImageSplit(part) for name, part in parts.items()}

    def augment(self, batch: Any, generator: Generator) -> Any:
        return self._hidden(batch[0], generator)

    def answer(self, module: nn.Module, batch: Any) -> Answer:
        """Error of what is restored; held-out batches come with labels, training batches hidden."""
        if len(batch) == 2:  # held out: the same is hidden each time
            generator = torch.Generator(batch[0].device).manual_seed(len(batch[0]))
            batch = self._hidden(batch[0], generator)
        seen, whole, counted = batch
        return Answer(autoencoder.masked_loss(module(seen), whole, counted), len(whole))

    def _hidden(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """What the network sees, what it should say, and the pixels that count."""
        whole = images.float().div(255)
        seen, counted = autoencoder.hidden(whole, self._settings, generator)
        return seen, whole, counted

    def card(self) -> dict[str, Any]:
        return {
            "arguments": {},
            "classes": [],
            "preprocessing": {
                "channels": 1,
                "height": 28,
                "width": 28,
                "mean": [0.0],
                "std": [1.0],
                "fit": "glyph",
                "box": 28,
                "background": "dark",
            },
            "data": about_data(self._source),
            "licence": "Apache-2.0",
        }


def digits_cnn(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The digit network with the 10,000 digits, or those of a ``digits.npz`` in ``folder``."""
    arguments = {"dropout": float(settings["dropout"])}
    return ImageClassifier(
        digits_network.build(**arguments),
        data.digits(folder),
        settings,
        box=digits_network.BOX,
        augmentation=digits_network.AUGMENTATION,
        arguments=arguments,
    )


def fashion_cnn(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The clothing network with Fashion-MNIST, from its four files in ``folder``."""
    return _clothing(fashion_network.build(), settings, folder)


def fashion_vit(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The vision transformer with Fashion-MNIST, from its four files in ``folder``."""
    return _clothing(fashion_transformer.build(), settings, folder)


def hierarchical(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The hierarchical network with a folder of class folders; its own is Fashion-MNIST written
    out as one.
    """
    if folder is not None:
        about = {"name": folder.name, "source": "a person's own folder", "licence": "unknown"}
        return FolderClassifier(folder, settings, seed, {**about, "note": ""})
    source = data.fashion()
    about = {key: about_data(source)[key] for key in ("name", "source", "licence", "note")}
    return FolderClassifier(data.fashion_folder(source), settings, seed, about)


def masked(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The autoencoder that predicts missing patches of Fashion-MNIST."""
    return Restorer(settings, data.fashion(folder))


def denoising(settings: Mapping[str, Value], folder: Path | None, seed: int) -> Trainable:
    """The autoencoder that takes noise off Fashion-MNIST."""
    return Restorer(settings, data.fashion(folder))


def fewer(splits: data.Splits, count: int) -> data.Splits:
    """The data set with only ``count`` training examples, each class in proportion; 0 keeps all.

    Raises ``BadInput`` when there are fewer of them than classes.
    """
    if not count:
        return splits
    chosen = sample(splits.train.labels, count, data.SPLIT_SEED)
    return replace(splits, train=splits.train.take(chosen))


def about_data(splits: data.Splits) -> dict[str, Any]:
    """What a card says about a data set."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "name": splits.name,
        "source": splits.source,
        "licence": splits.licence,
        "split": {name: len(part) for name, part in parts.items()},
        "note": splits.note,
        "sha256": {name: part.fingerprint() for name, part in parts.items()},
    }


def _clothing(
    module: nn.Module, settings: Mapping[str, Value], folder: Path | None
) -> ImageClassifier:
    return ImageClassifier(
        module, data.fashion(folder), settings, box=28, augmentation=Augmentation(mirror=True)
    )
