"""Small pictures as the browser takes them, of files that may be decoded in this process: of
packages, and small ones that a worker made anew. One that was taken over may have made anything.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

_MOST_MEAN = 2_000
_LARGEST = 2**24  # pixels
_GREY = ("1", "L", "LA", "I", "I;16")
_NONE = "data:image/gif;base64,R0lGODlhAQABAIAAAMDAwAAAACwAAAAAAQABAAACAkQBADs="  # one grey pixel


def decoded(file: bytes) -> Image.Image | None:
    """A picture in colours or greys; None for no file, a damaged one, and one that is too large."""
    try:
        with Image.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _LARGEST:
                return None
            return image.convert("L" if image.mode in _GREY else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def address(file: bytes, size: int) -> str:
    """A picture as a small ``data:`` address, at most twice ``size`` pixels a side; grey for none
    that can be decoded.
    """
    picture = decoded(file)
    if picture is None:
        return _NONE
    little = max(picture.size) < size
    picture = picture.convert("RGB")
    if little:
        picture = picture.resize((size, size), Image.Resampling.NEAREST)
    picture.thumbnail((2 * size, 2 * size))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if little else "JPEG", quality=85)
    kind = "png" if buffer.getvalue()[:4] == b"\x89PNG" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def mean(rows: Sequence[int], picture: Callable[[int], bytes]) -> npt.NDArray[np.uint8] | None:
    """The mean of pictures, uint8 ``[row, column(, channel)]``; None when they differ in size or
    one is missing. Of many, an even spread of 2,000.
    """
    total: npt.NDArray[np.float64] | None = None
    taken = rows[:: -(-len(rows) // _MOST_MEAN)]
    for row in taken:
        image = decoded(picture(row))
        if image is None:
            return None
        pixels = np.asarray(image, np.float64)
        if total is not None and total.shape != pixels.shape:
            return None
        total = pixels if total is None else total + pixels
    if total is None:
        return None
    whole = np.rint(total / len(taken)).astype(np.uint8)
    times = max(1, 224 // max(whole.shape[:2]))
    return whole.repeat(times, axis=0).repeat(times, axis=1)
