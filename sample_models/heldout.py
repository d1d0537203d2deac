"""Held-out examples of each sample model, as data sets: none of them was learned from.

Digits and clothing are 1,000 test images that ship beside the weights; verses are the test part of
those that ship; photographs come with scikit-image and scikit-learn, whole and in overlapping
parts. Software descriptions and rated sentences may not be shipped: where this machine has them
(Debian's package index, the user's cache) it is their test part, else sentences that were made for
this purpose, which the data set says of itself. Tables ship as files. Nothing is
fetched; imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import util
from io import BytesIO
from pathlib import Path

import numpy as np

from core.data.dataset import Dataset
from core.data.ownexamples import rows, texts_in_memory
from core.data.splits import sample
from core.errors import BadInput
from core.provenance import sha256_of_file, sha256_of_json
from core.tasks import Example
from sample_models import madetexts, reviews, topics, verses
from sample_models.data import CACHE

WEIGHTS = Path(__file__).parent / "weights"
RUNS = Path(__file__).parent / "runs"
TABLES = Path(__file__).parent / "tables"
MOST = 1_000
OPENING = 0.4  # the share of a verse that the language model is given
CLOTHING = (
    "T-shirt or top", "Trousers", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Trainer", "Bag", "Ankle boot",
)  # fmt: skip
# Photographs, with their class in ImageNet where they have one.
SKIMAGE = {
    "astronaut.png": "", "brick.png": "", "camera.png": "tripod", "cell.png": "",
    "chelsea.png": "Egyptian cat", "clock_motion.png": "", "coffee.png": "espresso",
    "coins.png": "", "grass.png": "", "gravel.png": "", "horse.png": "",
    "hubble_deep_field.jpg": "", "ihc.png": "", "moon.png": "", "motorcycle_left.png": "",
    "motorcycle_right.png": "", "page.png": "", "retina.jpg": "", "rocket.jpg": "missile",
    "text.png": "",
}  # fmt: skip
SKLEARN = {"china.jpg": "palace", "flower.jpg": "daisy"}
_PARTS = [(0.0, 0.0, 1.0)] + [(x / 5, y / 5, 0.6) for y in range(3) for x in range(3)]
_SIDE = 320


def digits() -> Dataset:
    """1,000 handwritten digits, about 100 of each."""
    return _images("digits_cnn", "Handwritten digits, held out", tuple("0123456789"))


def clothes() -> Dataset:
    """1,000 pictures of clothing, 100 of each of ten kinds."""
    return _images("fashion_cnn", "Clothing, held out", CLOTHING)


def photographs() -> Dataset:
    """22 photographs, each whole and in nine overlapping parts of 0.6 of its sides."""
    folders = {
        _package("skimage") / "data": SKIMAGE,
        _package("sklearn") / "datasets" / "images": SKLEARN,
    }
    found = [
        (folder / name, label)
        for folder, names in folders.items()
        for name, label in names.items()
        if (folder / name).is_file()
    ]
    rows = [(path, label, part) for path, label in found for part in range(len(_PARTS))]
    known = sorted({label for _, label in found if label})

    def read(row: int) -> Example:
        path, _, part = rows[row]
        return Example(f"{path.stem}-{part}.png", _part(path, part))

    return Dataset(
        name="Photographs and parts of them",
        ids=[f"{path.stem}, {'whole' if not part else f'part {part}'}" for path, _, part in rows],
        read=read,
        fingerprint=sha256_of_json([[sha256_of_file(path) for path, _ in found], _PARTS, _SIDE]),
        labels=np.array([known.index(label) if label else -1 for _, label, _ in rows], np.int64),
        classes=tuple(known),
        columns={"photograph": np.array([path.stem for path, _, _ in rows])},
        notes=("photographs of scikit-image and scikit-learn; most have no class in ImageNet",),
    )


def software() -> Dataset:
    """The test part of the software descriptions in this machine's package index."""
    try:
        texts, labels = topics.topic_parts()["test"]
    except BadInput as error:
        return _made("Software in five topics, made up", madetexts.SOFTWARE, error.message)
    lines = (f"{label}\t{text}\n" for text, label in zip(texts, labels, strict=True))
    digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
    card = json.loads((RUNS / "text_rnn" / "card.json").read_text(encoding="utf-8"))
    notes: tuple[str, ...] = ()
    if digest != card["data"]["sha256"]["test"]:
        notes = (
            "the package index is not the one that the models learned from: some of these "
            "descriptions may have been among those",
        )
    return _labelled("Software descriptions, held out", texts, labels, topics.CLASSES, notes)


def sentences() -> Dataset:
    """1,000 of the test part of the rated sentences, where they are in the user's cache."""
    path = CACHE / "rated-sentences.tar.gz"
    if not path.is_file() or sha256_of_file(path) != reviews.SHA256:
        why = "The rated sentences are not on this machine: training `sentiment` fetches them."
        return _made("Good and bad words, made up", madetexts.RATED, why)
    texts, labels = reviews.sentence_parts(path.read_bytes())["test"]
    rows = sample(labels, MOST, 0).tolist()
    chosen = [texts[row] for row in rows], [labels[row] for row in rows]
    return _labelled("Rated sentences, held out", *chosen, reviews.CLASSES)


def translations() -> Dataset:
    """The test part of the verses, English with the Spanish that the model should say."""
    pairs = verses.verse_parts()["test"]
    return texts_in_memory(
        "Verses with their translation, held out",
        [f"verse {row + 1}" for row in range(len(pairs))],
        [english for english, _ in pairs],
        outputs=[spanish for _, spanish in pairs],
    )


def openings() -> Dataset:
    """The test part of the English verses: their beginning, with how they go on."""
    cut = []
    for english, _ in verses.verse_parts()["test"]:
        words = english.split(" ")
        place = max(1, round(OPENING * len(words)))
        cut.append((" ".join(words[:place]), " " + " ".join(words[place:])))
    cut = [(opening, rest) for opening, rest in cut if rest.strip()]
    return texts_in_memory(
        "Verses and how they go on, held out",
        [f"verse {row + 1}" for row in range(len(cut))],
        [opening for opening, _ in cut],
        outputs=[rest for _, rest in cut],
    )


def tumours() -> Dataset:
    """The test part of the breast cancer table: 142 tumours."""
    return _table("tumours", "Breast cancer, held out", "tumour")


def points() -> Dataset:
    """100 points of the two half-moons that were not learned from."""
    return _table("points", "Two half-moons, held out", "point")


def _table(stem: str, name: str, each: str) -> Dataset:
    found = rows(TABLES / f"{stem}.csv", "columns", label="class")
    return replace(found, name=name, ids=[f"{each} {row + 1}" for row in range(len(found))])


def _package(name: str) -> Path:
    """The folder of a package, which is not imported."""
    found = util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else Path(name)


def _images(model: str, name: str, classes: tuple[str, ...]) -> Dataset:
    path = WEIGHTS / model / "heldout.npz"
    with np.load(path, allow_pickle=False) as stored:
        images, labels = stored["images"], stored["labels"].astype(np.int64)

    def read(row: int) -> Example:
        from PIL import Image

        buffer = BytesIO()
        Image.fromarray(images[row]).save(buffer, "PNG", compress_level=1)
        return Example(f"{row:04}.png", buffer.getvalue())

    return Dataset(
        name=name,
        ids=[f"{row:04}" for row in range(len(images))],
        read=read,
        fingerprint=sha256_of_file(path),
        labels=labels,
        classes=classes,
    )


def _labelled(
    name: str,
    texts: Sequence[str],
    labels: Sequence[int],
    classes: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> Dataset:
    return texts_in_memory(
        name,
        [f"text {row + 1}" for row in range(len(texts))],
        texts,
        labels=np.array(labels, np.int64),
        classes=classes,
        notes=notes,
    )


def _made(name: str, texts: dict[str, tuple[str, ...]], why: str) -> Dataset:
    """Sentences by class that were written for this purpose, with the reason why they stand in."""
    classes = tuple(texts)
    pairs = [(text, classes.index(name)) for name, each in texts.items() for text in each]
    found, labels = [text for text, _ in pairs], [label for _, label in pairs]
    return _labelled(name, found, labels, classes, (why, "sentences made for this purpose instead"))


def _part(path: Path, part: int) -> bytes:
    from PIL import Image

    left, top, side = _PARTS[part]
    with Image.open(path) as image:
        picture = image.convert("RGB")
    width, height = picture.size
    corner = (round(left * width), round(top * height))
    picture = picture.crop(
        (*corner, corner[0] + round(side * width), corner[1] + round(side * height))
    )
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
