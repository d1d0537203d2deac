"""Write the example inputs in ``assets/examples/``, with ``index.json`` and ``LICENSES.md``.

    python -m sample_models.examples [--data DIR] [--out DIR]

Digits and clothing are held-out test images, one per class and of each class the one nearest to its
mean; the pen-on-paper digit is drawn here; the photographs come with scikit-image and scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from sample_models import data

DIGITS = (3, 7, 2, 5, 8, 4, 9, 6)
CLOTHING = (9, 3, 8, 0, 5, 1, 4, 7)
CLOTHING_MODELS = ["fashion_cnn", "fashion_vit"]
LONGEST_SIDE = 640
SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"


@dataclass(frozen=True)
class Photograph:
    """A photograph with an ImageNet class, and whose it is."""

    name: str
    path: Path
    title: str
    label: str
    source: str
    author: str
    licence: str


PHOTOGRAPHS = (
    Photograph(
        "cat", SKIMAGE / "chelsea.png", "Cat Chelsea", "Egyptian cat",
        "scikit-image, data.chelsea", "Stéfan van der Walt", "CC0 1.0",
    ),
    Photograph(
        "coffee", SKIMAGE / "coffee.png", "Cup of coffee", "espresso",
        "scikit-image, data.coffee", "Rachel Michetti, Pikolo Espresso Bar", "CC0 1.0",
    ),
    Photograph(
        "camera", SKIMAGE / "camera.png", "Man with a camera", "tripod",
        "scikit-image, data.camera", "Lav Varshney", "CC0 1.0",
    ),
    Photograph(
        "palace", SKLEARN / "china.jpg", "Chinese palace", "palace",
        "scikit-learn, china.jpg; flickr.com/photos/danielbuechele/6061409035",
        "danielbuechele", "CC BY 2.0; resized",
    ),
    Photograph(
        "flower", SKLEARN / "flower.jpg", "Flower", "daisy",
        "scikit-learn, flower.jpg; flickr.com/photos/vultilion/6056698931",
        "vultilion", "CC BY 2.0; resized",
    ),
    Photograph(
        "rocket", SKIMAGE / "rocket.jpg", "Rocket launch", "missile",
        "scikit-image, data.rocket; flickr.com/photos/spacexphotos/16511594820",
        "SpaceX", "CC0 1.0 (public domain)",
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the example inputs.")
    parser.add_argument("--data", type=Path, help="folder that holds the data of both data sets")
    parser.add_argument("--out", type=Path, default=Path("assets/examples"))
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    index: list[dict[str, object]] = []
    rows: list[tuple[str, str, str, str]] = []

    digits = data.digits(options.data)
    for digit in DIGITS:
        file = f"digit-{digit}.png"
        Image.fromarray(typical(digits.test, digit)).save(out / file, optimize=True)
        index.append(entry(file, f"Handwritten {digit}", ["digits_cnn"], str(digit)))
        rows.append((file, digits.source, "LeCun, Cortes, Burges", digits.licence))
    file = "digit-photo-7.jpg"
    pen_on_paper().save(out / file, quality=90)
    index.append(entry(file, "Own digit, pen on paper", ["digits_cnn"], "7"))
    rows.append((file, "drawn by sample_models/examples.py", "Fluoroscope", "Apache-2.0"))

    fashion = data.fashion(options.data)
    for number in CLOTHING:
        title = fashion.classes[number]
        file = f"fashion-{title.lower().replace(' ', '-')}.png"
        Image.fromarray(typical(fashion.test, number)).save(out / file, optimize=True)
        index.append(entry(file, title, CLOTHING_MODELS, title))
        rows.append((file, fashion.source, "Zalando SE", fashion.licence))

    for photograph in PHOTOGRAPHS:
        file = f"photo-{photograph.name}.jpg"
        with Image.open(photograph.path) as image:
            picture = image.convert("RGB")
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        picture.save(out / file, quality=90)
        index.append(entry(file, photograph.title, ["imagenet_efficientnet"], photograph.label))
        rows.append((file, photograph.source, photograph.author, photograph.licence))

    text = json.dumps(index, ensure_ascii=False, indent=2)
    (out / "index.json").write_text(text + "\n", encoding="utf-8")
    table = ["| File | Source | Author | Licence |", "| --- | --- | --- | --- |"]
    table += [f"| {' | '.join(row)} |" for row in rows]
    text = "# Sources and licences of the example inputs\n\n" + "\n".join(table)
    (out / "LICENSES.md").write_text(text + "\n", encoding="utf-8")


def entry(file: str, title: str, models: list[str], label: str) -> dict[str, object]:
    """One line of ``index.json``."""
    return {"file": file, "title": title, "models": models, "label": label}


def typical(images: data.Images, label: int) -> data.Bytes:
    """The image ``[28, 28]`` of this class that is nearest to the mean of its class."""
    of_class = images.images[images.labels == label]
    distance = np.square(of_class - of_class.mean(axis=0)).sum(axis=(1, 2))
    nearest: data.Bytes = of_class[distance.argmin()]
    return nearest


def pen_on_paper(size: int = 480) -> Image.Image:
    """A photograph-like seven: blue pen on cream paper under uneven light, a little off centre."""
    rng = np.random.default_rng(7)
    bar = [(150, 137), (195, 126), (245, 129), (298, 122), (322, 125)]
    stem = [(322, 125), (296, 178), (268, 232), (248, 288), (236, 342), (232, 372)]
    cross = [(215, 252), (262, 246), (306, 249)]
    ink = Image.new("L", (size, size))
    draw = ImageDraw.Draw(ink)
    for stroke in (bar, stem, cross):
        draw.line(stroke, fill=255, width=17, joint="curve")
        for x, y in stroke:
            draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=255)
    ink = ink.filter(ImageFilter.GaussianBlur(2.2))

    row, column = np.mgrid[0:size, 0:size] / size
    light = 1.0 - 0.16 * column - 0.10 * row
    grain = ndimage.gaussian_filter(rng.normal(size=(size, size)), sigma=1.0)
    paper = np.array([238, 234, 222]) * light[..., None] + 9 * grain[..., None]
    pen = np.array([38, 48, 112]) * light[..., None] + 6 * grain[..., None]
    cover = 0.93 * np.asarray(ink)[..., None] / 255
    picture = paper * (1 - cover) + pen * cover
    return Image.fromarray(picture.clip(0, 255).round().astype(np.uint8))


if __name__ == "__main__":
    main()
