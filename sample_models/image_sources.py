"""Where the pictures that networks learn from come from: a known data set, or anybody's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.data.folder import ImageSplit, read_images
from core.data.splits import sample
from core.models.card import ImagePreprocessing
from core.provenance import sha256_of_json
from core.training.trainable import Split
from sample_models import data


@dataclass(frozen=True)
class Pictures:
    """Pictures in parts, each batch ``(uint8 [n, channel, row, column], int64 [n])``.

    ``prepared`` is how they were framed and are to be normalised, ``about`` what a card says of
    them.
    """

    splits: Mapping[str, Split]
    classes: tuple[str, ...]
    prepared: ImagePreprocessing
    about: Mapping[str, Any]
    skipped: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> dict[str, Any]:
        """As cards hold it."""
        prepared = self.prepared
        found = {
            "channels": prepared.channels,
            "height": prepared.height,
            "width": prepared.width,
            "mean": list(prepared.mean),
            "std": list(prepared.std),
            "fit": prepared.fit,
        }
        if prepared.fit == "glyph":
            found |= {"box": prepared.box, "background": "dark"}
        return found


class InMemory:
    """Images ``uint8 [n, 1, 28, 28]`` with labels."""

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


class Part:
    """Some pictures of a folder, drawn at random by a seed, each class in proportion."""

    def __init__(self, whole: ImageSplit, count: int, seed: int) -> None:
        self._whole, self._places = whole, sample(whole.labels, count, seed).tolist()

    def __len__(self) -> int:
        return len(self._places)

    def __getitems__(self, index: Sequence[int]) -> Any:
        return self._whole.__getitems__([self._places[place] for place in index])

    def fingerprint(self) -> str:
        """SHA-256 of the whole and of what was drawn."""
        return sha256_of_json([self._whole.fingerprint(), self._places])


def known(splits: data.Splits, examples: int, box: int, *, normalised: bool = True) -> Pictures:
    """A data set of 28 × 28 pixels, with ``examples`` to train on, each class in proportion; 0
    takes all.

    ``box`` is the size to which an object in somebody's own photograph is scaled. Mean and standard
    deviation are those of all training examples, or 0 and 1. Raises ``BadInput`` when there are
    fewer examples than classes.
    """
    values = splits.train.images
    mean = float(values.mean() / 255) if normalised else 0.0
    std = float(values.std() / 255) if normalised else 1.0
    if examples:
        chosen = sample(splits.train.labels, examples, data.SPLIT_SEED)
        splits = replace(splits, train=splits.train.take(chosen))
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    about = {
        **_origin(splits),
        "split": {name: len(part) for name, part in parts.items()},
        "sha256": {name: part.fingerprint() for name, part in parts.items()},
    }
    return Pictures(
        {"val" if name == "validation" else name: InMemory(p) for name, p in parts.items()},
        splits.classes,
        ImagePreprocessing(1, 28, 28, (mean,), (std,), "glyph", box),
        about,
    )


def folder(
    path: Path,
    prepared: ImagePreprocessing,
    examples: int,
    seed: int,
    origin: data.Splits | None = None,
) -> Pictures:
    """A folder of class folders, with ``examples`` to train on; 0 takes all. ``origin`` is the data
    set that was written out as this folder, if it is not a person's own.

    Raises ``BadInput`` for what ``read_images`` refuses, and when there are fewer examples than
    classes.
    """
    found = read_images(path, prepared, seed=seed)
    splits: dict[str, Split] = dict(found.splits)
    if examples:
        splits["train"] = Part(found.splits["train"], examples, seed)
    own = {"name": path.name, "source": "a person's own folder", "licence": "unknown", "note": ""}
    about = {
        **(_origin(origin) if origin else own),
        "split": {name: len(part) for name, part in splits.items()},
        "sha256": {name: part.fingerprint() for name, part in splits.items()},
    }
    return Pictures(splits, found.classes, prepared, about, (*found.notes, *found.skipped))


def _origin(splits: data.Splits) -> dict[str, Any]:
    return {
        "name": splits.name,
        "source": splits.source,
        "licence": splits.licence,
        "note": splits.note,
    }
