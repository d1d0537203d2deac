"""From the bytes of a stranger's picture file to pixels, without trusting a single one of them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from core import settings
from core.errors import BadInput
from core.tasks import Example

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES: Final = 64 * 2**20
MAX_SIDE: Final = 20_000
MAX_RATIO: Final = 200

ACCEPTED: Final = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_ANOTHER: Final = f"Choose a picture in {ACCEPTED} format."
_SAVE_AGAIN: Final = f"Open it in an image program and save it again as {ACCEPTED}."

_TRANSPOSE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OURS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_LAST: Final = 1024  # bytes in which a file that is whole ends
_ENDS: Final = {b"\x89PNG": b"IEND\xaeB`\x82", b"\xff\xd8\xff": b"\xff\xd9"}  # how files end
_OTHERS: Final = (  # offset, first bytes, what it is
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"MZ", "a program"),
    (0, b"\x7fELF", "a program"),
)


class _Quiet:
    """No warnings while at least one thread is inside.

    Pillow warns about metadata that does not matter here, and warning filters belong to the whole
    process: the first thread in changes them, the last one out puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


def decode(example: Example) -> Image.Image:
    """The picture in a file, upright, as 8-bit ``RGB`` or ``L`` (greyscale).

    The format is read from the content, whatever the name says; of animations and multi-page files
    the first frame is taken. Size is read from the header and checked before anything is decoded.
    EXIF orientation is applied; transparency is laid on white; 16-bit values are divided by 257;
    floats and 32-bit integers keep their scale when they fit 0..1 (floats), 0..255 or 0..65535 and
    are stretched from their lowest to their highest value otherwise. Colours are taken as sRGB:
    embedded profiles are not applied, as in the training of nearly every network.

    Raises ``BadInput`` for anything else: not a picture, another format, cut off, damaged, more
    than 64 MiB, 50 megapixels or 20,000 pixels a side, more than 200 times as long as wide, or NaN.
    """
    name = example.name
    if len(example.data) > MAX_BYTES:
        raise BadInput(
            f"'{name}' has {len(example.data) / 2**20:.0f} MiB, "
            f"at most {MAX_BYTES // 2**20} MiB are read.",
            "Make it smaller and try again.",
        )
    try:
        with _QUIET:
            return _decoded(name, example.data)
    except BadInput:
        raise
    except UnidentifiedImageError:
        raise _unknown(name, example.data) from None
    except Image.DecompressionBombError:
        raise BadInput(
            f"'{name}' claims far more than {settings.value('megapixels'):g} megapixels.",
            "Make it smaller.",
        ) from None
    except MemoryError:
        raise BadInput(
            f"There is not enough memory to read '{name}'.", "Make it smaller."
        ) from None
    except Exception as error:  # a damaged file can end in any exception of Pillow's decoders
        raise BadInput(
            f"'{name}' is damaged or cut off ({_reason(error)}).", _SAVE_AGAIN
        ) from error


def fault(name: str, head: bytes, tail: bytes, whole: Callable[[], bytes]) -> str:
    """Why a picture file cannot be read, as far as its first and last bytes tell; empty when they
    look well. Where they leave a doubt it is read as a ``whole`` and decoded.

    So that the pictures of a large data set are known to be pictures without decoding all of them.
    """
    known = next((first for first in _ENDS if head.startswith(first)), None)
    if known is not None and _ENDS[known] in tail[-_LAST:]:
        with suppress(Exception):  # the header may be longer than the first bytes
            with _QUIET, Image.open(BytesIO(head), formats=FORMATS) as image:
                size = image.size
            return _size_fault(name, *size)
    try:
        decode(Example(name, whole()))
    except BadInput as error:
        return error.message
    return ""


def _decoded(name: str, data: bytes) -> Image.Image:
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(name, *image.size)
        image.load()
        picture = _eight_bit(name, image)
        turn = _TRANSPOSE.get(_orientation(image))
        return picture if turn is None else picture.transpose(turn)


def _size_fault(name: str, width: int, height: int) -> str:
    try:
        _check_size(name, width, height)
    except BadInput as error:
        return error.message
    return ""


def _check_size(name: str, width: int, height: int) -> None:
    size = f"'{name}' is {width:,} × {height:,} pixels"
    most = settings.value("megapixels")
    if width * height > most * 1e6 or max(width, height) > MAX_SIDE:
        raise BadInput(
            f"{size}, at most {most:g} megapixels and {MAX_SIDE:,} pixels a side are read.",
            "Make it smaller and try again.",
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadInput(
            f"{size}: one side is more than {MAX_RATIO} times the other.",
            "Crop it to the part that matters.",
        )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a broken EXIF block does not make the pixels worse
        return 1


def _eight_bit(name: str, image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scaled(name, image))
    if image.has_transparency_data:
        full = image if image.mode == "RGBA" else image.convert("RGBA")
        picture = Image.new("RGB", image.size, "white")
        picture.paste(full, mask=full.getchannel("A"))
        return picture.convert("L") if image.mode in ("1", "L", "LA") else picture
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def _scaled(name: str, image: Image.Image) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[Any] = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput(f"'{name}' holds NaN or infinite values.", "Replace them and save it again.")
    full = 65535.0
    if not image.mode.startswith("I;16"):
        limits = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        full = next((limit for limit in limits if low >= 0 and high <= limit), high - low)
        if low < 0 or high > limits[-1]:
            values = values - values.dtype.type(low)
    scaled = values.astype(np.float32) * np.float32(255 / (full or 1))
    grey: npt.NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    if image.mode.startswith("I;16") and "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return grey


def _unknown(name: str, data: bytes) -> BadInput:
    if data.startswith(_OURS):
        return BadInput(
            f"'{name}' begins like a picture, but it is damaged or cut off.", _SAVE_AGAIN
        )
    for offset, first, what in _OTHERS:
        if data[offset:].startswith(first):
            return BadInput(f"'{name}' is {what}, which is not read here.", _ANOTHER)
    return BadInput(f"'{name}' is not a picture in a known format.", _ANOTHER)


def _reason(error: Exception) -> str:
    text = str(error).strip().split("\n")[0].rstrip(".")
    return text[:120] or type(error).__name__
