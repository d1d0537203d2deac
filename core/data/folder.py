"""A folder of pictures, one folder per class, as a data set: decoded once, then read from a cache.

Either ``train/`` and ``val/`` (perhaps ``test/``) of class folders, or class folders alone, of
which a part is held out at random.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from core.data.image import decode
from core.data.picture import Pixels, prepare
from core.data.picturefile import PictureFile, find_pictures
from core.data.pixelcache import PixelCache, Stored
from core.data.splits import (
    HELD_OUT,
    check_labels,
    split,
    with_validation,
)
from core.errors import BadInput
from core.models.card import ImagePreprocessing
from core.paths import located
from core.progress import Meter
from core.provenance import sha256, sha256_of_json
from core.tasks import Example

if TYPE_CHECKING:
    from torch import Tensor

Labels = npt.NDArray[np.int64]

MAX_SKIPPED: Final = 0.10
_DECODED_AS = 1  # raise it when decoding or framing gives other pixels: the cache is made anew
_TOGETHER = 64  # pictures decoded between two looks at the meter


class ImageSplit:
    """One part of an image folder; see ``core.training.trainable.Split``.

    A batch is ``(pixels, labels)``: uint8 ``[example, channel, row, column]``, not yet normalised,
    and int64 ``[example]``. Can be sent to the processes of a ``DataLoader`` as it is: they open
    the cache themselves.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[PictureFile],
        labels: Labels,
        preprocessing: ImagePreprocessing,
        stored: Stored | None,
        rows: Labels,
    ) -> None:
        self.root = root
        self.files = tuple(files)
        self.labels = labels
        self.preprocessing = preprocessing
        self._stored = stored
        self._rows = rows

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def pixels(self, index: Sequence[int]) -> Pixels:
        """Pictures as uint8 ``[example, row, column, channel]``.

        Raises ``BadInput`` when they are not in the cache and a file has changed or gone.
        """
        chosen = np.asarray(index, np.int64)
        if self._stored is not None:
            return np.asarray(self._stored.pixels[self._rows[chosen]])
        wanted = self.preprocessing
        return np.stack([_pixels(self.root, self.files[i], wanted) for i in chosen.tolist()])

    def __getitems__(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The batch at these positions."""
        import torch

        pixels = torch.from_numpy(self.pixels(index)).permute(0, 3, 1, 2)
        return pixels, torch.from_numpy(self.labels[np.asarray(index, np.int64)])

    def fingerprint(self) -> str:
        """SHA-256 over files, labels and framing."""
        rows = [
            [file.digest, label]
            for file, label in zip(self.files, self.labels.tolist(), strict=True)
        ]
        return sha256_of_json([_framing(self.preprocessing), rows])


@dataclass(frozen=True)
class ImageFolder:
    """What ``read_images`` found: ``splits`` by name, ``skipped`` with a reason for each file,
    ``notes`` on what was assumed.
    """

    splits: Mapping[str, ImageSplit]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def read_images(
    path: str | Path,
    preprocessing: ImagePreprocessing,
    *,
    seed: int = 0,
    held_out: Mapping[str, float] = HELD_OUT,
    max_skipped: float = MAX_SKIPPED,
    cache: PixelCache | None = None,
    meter: Meter | None = None,
) -> ImageFolder:
    """The image folder at ``path``, every picture framed as ``preprocessing`` says.

    ``seed`` and ``held_out`` choose what is held out where the folder has no parts of its own
    (where only ``val`` is missing, a tenth of ``train`` becomes it). Files that are no pictures by
    their name are left out; pictures that cannot be decoded are skipped and reported.

    Raises ``BadInput`` when the folder is missing, empty, has one class, has classes in ``val`` or
    ``test`` that ``train`` has not, or when more than ``max_skipped`` of the pictures of a part
    cannot be decoded.
    """
    root = located(path)
    found = find_pictures(root)
    files, notes = found.files, found.notes
    meter = meter or Meter()
    files = _digested(root, files, meter)
    stored, failed = _decoded(root, files, preprocessing, cache or PixelCache(), meter)
    _check_skipped(root, files, failed, max_skipped)
    row_of = {i: row for row, i in enumerate(i for i in range(len(files)) if i not in failed)}
    by_part: dict[str, list[int]] = {}
    for index in row_of:
        by_part.setdefault(files[index].part, []).append(index)
    where = f"'{root.name}'"
    if "" in by_part:
        check_labels({"train": (files[i].label for i in by_part[""])}, where)
        everything = np.asarray(by_part.pop(""))
        drawn = split([files[i].label for i in everything], len(everything), seed, held_out)
        parts = {name: everything[positions] for name, positions in drawn.items()}
    else:
        check_labels({n: (files[i].label for i in each) for n, each in by_part.items()}, where)
        labels = [file.label for file in files]
        order = ("train", "val", "test")
        given = {name: np.asarray(by_part[name]) for name in order if name in by_part}
        parts = with_validation(given, labels, seed)
    classes = check_labels({n: (files[i].label for i in each) for n, each in parts.items()}, where)
    number = {name: position for position, name in enumerate(classes)}
    splits = {
        name: ImageSplit(
            root,
            [files[i] for i in each],
            np.asarray([number[files[i].label] for i in each], np.int64),
            preprocessing,
            stored,
            np.asarray([row_of[i] for i in each], np.int64),
        )
        for name, each in parts.items()
    }
    skipped = tuple(f"{files[i].name}: {reason}" for i, reason in sorted(failed.items()))
    return ImageFolder(splits, classes, skipped, notes)


def _digested(root: Path, files: list[PictureFile], meter: Meter) -> list[PictureFile]:
    """Every file with the SHA-256 of its content, or the reason why it cannot be read."""

    def digested(file: PictureFile) -> PictureFile:
        try:
            return replace(file, digest=sha256(file.read(root)))
        except BadInput as error:
            return replace(file, reason=error.message)

    meter.expect(len(files), "reading pictures")
    done: list[PictureFile] = []
    with ThreadPoolExecutor(_threads()) as pool:
        for start in range(0, len(files), _TOGETHER):
            some = files[start : start + _TOGETHER]
            meter.tick(len(some))
            done += pool.map(digested, some)
    return done


def _decoded(
    root: Path,
    files: list[PictureFile],
    preprocessing: ImagePreprocessing,
    cache: PixelCache,
    meter: Meter,
) -> tuple[Stored | None, dict[int, str]]:
    """The cached pixels of the pictures that can be decoded, in their order, and by position why
    the others cannot; no pixels where the cache has no room.
    """
    wanted = preprocessing
    key = sha256_of_json([_framing(wanted), [file.digest for file in files]])
    shape = (wanted.height, wanted.width, wanted.channels)
    found = cache.find(key, shape)
    if found is not None:
        return found

    def pixels(file: PictureFile) -> Pixels | str:
        if file.reason:
            return file.reason
        try:
            return _pixels(root, file, wanted)
        except BadInput as error:
            return error.message

    failed: dict[int, str] = {}
    meter.expect(len(files), "decoding pictures")
    with cache.writer(key, shape, len(files)) as writer, ThreadPoolExecutor(_threads()) as pool:
        for start in range(0, len(files), _TOGETHER):
            some = files[start : start + _TOGETHER]
            meter.tick(len(some))
            for index, result in enumerate(pool.map(pixels, some), start):
                if isinstance(result, str):
                    failed[index] = result
                else:
                    writer.add(result)
        return writer.finish(failed), failed


def _pixels(root: Path, file: PictureFile, preprocessing: ImagePreprocessing) -> Pixels:
    data = file.read(root)
    if file.digest and sha256(data) != file.digest:
        raise BadInput(f"'{file.name}' has changed since training began.", "Start a new run.")
    return prepare(decode(Example(file.name, data)), preprocessing)


def _check_skipped(
    root: Path, files: list[PictureFile], failed: Mapping[int, str], most: float
) -> None:
    for part in dict.fromkeys(file.part for file in files):
        of_part = [index for index, file in enumerate(files) if file.part == part]
        bad = [index for index in of_part if index in failed]
        if len(bad) > most * len(of_part) or len(bad) == len(of_part):
            where = f" in {part}" if part else ""
            raise BadInput(
                f"{len(bad):,} of {len(of_part):,} pictures{where} of '{root.name}' cannot be "
                f"read, at most {most:.0%} are skipped. The first: {failed[bad[0]]}",
                "Remove or repair them.",
            )


def _framing(preprocessing: ImagePreprocessing) -> list[object]:
    """What decides the pixels of a given file; normalising comes later."""
    wanted = preprocessing
    return [_DECODED_AS, wanted.channels, wanted.height, wanted.width, wanted.fit, wanted.box]


def _threads() -> int:
    return min(8, os.cpu_count() or 1)
