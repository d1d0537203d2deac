"""From a decoded picture to the pixels a network was trained on: size, framing, polarity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.models.card import ImagePreprocessing

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

_WORKING_SIDE = 320  # a glyph ends on a few dozen pixels: more than this only costs time
_NOISE = 5.0  # standard deviations of the background that ink has to exceed
_FAINTEST = 20.0  # grey levels that ink has to differ from the paper
_SPECK = 0.05  # parts smaller than this share of the largest part do not move the frame


def prepare(image: Image.Image, preprocessing: ImagePreprocessing) -> Pixels:
    """``image`` as the model wants to see it: uint8 ``[row, column, channel]``, not yet normalised.

    ``cover``: the largest centred part with the wanted proportions, resized with antialiasing
    (bicubic), which is what resizing the shorter side and cropping the centre gives.

    ``glyph``: one object on a plain background. A picture that already has the wanted size is taken
    as it is, inverted when its border is light. Any other is brought to a dark background: the
    paper, with its uneven light, is estimated and subtracted; what stands out of its noise is ink,
    stretched to full contrast; its bounding box is scaled to ``box`` pixels on the longer side and
    placed with its centre of mass in the centre (as in MNIST: LeCun et al. 1998,
    doi 10.1109/5.726791), or, when ``box`` fills the frame, by its middle. A blank picture gives
    zeros.
    """
    if preprocessing.fit == "glyph":
        plane = _glyph(image.convert("L"), preprocessing)
        return np.repeat(plane[:, :, None], preprocessing.channels, axis=2)
    resized = _cover(image, preprocessing.width, preprocessing.height)
    pixels = np.asarray(resized.convert("L" if preprocessing.channels == 1 else "RGB"))
    return np.array(pixels.reshape(preprocessing.height, preprocessing.width, -1))


def _cover(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(image.width / width, image.height / height)
    left = max(0.0, (image.width - width * scale) / 2)  # rounding can make it less than nothing
    top = max(0.0, (image.height - height * scale) / 2)
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _glyph(grey: Image.Image, preprocessing: ImagePreprocessing) -> Pixels:
    height, width = preprocessing.height, preprocessing.width
    if grey.size == (width, height):
        pixels = np.array(grey)
        return 255 - pixels if np.median(pixels[_border(pixels.shape)]) > 127 else pixels
    grey.thumbnail((_WORKING_SIDE, _WORKING_SIDE), Image.Resampling.BOX)
    ink = _ink(np.asarray(grey, dtype=np.float32))
    if not ink.any():
        return np.zeros((height, width), np.uint8)
    box = min(preprocessing.box or height, height, width)
    return _placed(_shrunk(ink[_frame(ink)], box), height, width, by_mass=box < min(height, width))


def _ink(grey: Plane) -> Plane:
    """How much ink lies on each pixel, 0..1; all zeros when nothing stands out of the noise."""
    from skimage.filters import threshold_otsu

    difference, noise = _above_paper(grey)
    light, dark = np.clip(difference, 0, None), np.clip(-difference, 0, None)
    ink = light if np.square(light).sum() > np.square(dark).sum() else dark
    faintest = max(_FAINTEST, _NOISE * noise)
    if np.count_nonzero(ink > faintest) < 3:
        return np.zeros_like(grey)
    sure = ink[ink > max(float(threshold_otsu(ink)), faintest)]
    full = float(np.quantile(sure, 0.98))
    floor = min(max(0.05 * full, 2.5 * noise), 0.5 * full)
    stretched: Plane = np.clip((ink - floor) / (full - floor), 0, 1)
    return stretched


def _above_paper(grey: Plane) -> tuple[Plane, float]:
    """What is left when the paper is subtracted, and the standard deviation of the paper's noise.

    The paper is a quadratic surface, fitted first to the border, then to every pixel that agrees
    with the last fit: the light may fall off and the object may be large.
    """
    row, column = np.meshgrid(
        *(np.linspace(-1, 1, n, dtype=np.float32) for n in grey.shape), indexing="ij"
    )
    terms = np.stack([np.ones_like(row), row, column, row**2, column**2, row * column], axis=-1)
    region = _border(grey.shape)
    difference = grey - np.median(grey[region])
    noise = _deviation(difference[region])
    for _ in range(5):
        paper = region & (np.abs(difference) <= max(3 * noise, 3.0))
        weights = np.linalg.lstsq(terms[paper], grey[paper], rcond=None)[0]
        difference = grey - terms @ weights
        noise = _deviation(difference[paper])
        region = np.ones(grey.shape, bool)
    return difference, noise


def _border(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    thick = max(1, round(min(shape) / 20))
    border = np.ones(shape, bool)
    border[thick:-thick, thick:-thick] = False
    return border


def _deviation(values: Plane) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _frame(ink: Plane) -> tuple[slice, slice]:
    """The bounding box of the ink, specks left out."""
    from skimage.measure import label, regionprops

    parts = regionprops(label(ink > 0.15, connectivity=2))
    largest = max(part.area for part in parts)
    boxes = np.array([part.bbox for part in parts if part.area >= _SPECK * largest])
    (top, left), (bottom, right) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return slice(top, bottom), slice(left, right)


def _shrunk(ink: Plane, box: int) -> Plane:
    height, width = (max(1, round(n * box / max(ink.shape))) for n in ink.shape)
    resized = Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC)
    plane = np.clip(np.asarray(resized), 0, None)
    stretched: Plane = np.clip(plane / np.quantile(plane[plane > 0.5 * plane.max()], 0.98), 0, 1)
    return stretched


def _placed(glyph: Plane, height: int, width: int, by_mass: bool) -> Pixels:
    canvas = np.zeros((height, width), np.uint8)
    corner = []
    for axis, room in enumerate((height, width)):
        extent = glyph.shape[axis]
        centre = extent / 2
        if by_mass:
            centre = float(np.average(np.arange(extent) + 0.5, weights=glyph.sum(axis=1 - axis)))
        corner.append(int(np.clip(round(room / 2 - centre), 0, room - extent)))
    top, left = corner
    canvas[top : top + glyph.shape[0], left : left + glyph.shape[1]] = np.rint(glyph * 255)
    return canvas
