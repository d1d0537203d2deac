"""Small pictures as the browser takes them, of files that are safe to decode in this process."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

_MOST_MEAN = 2_000
_NONE = "data:image/gif;base64,R0lGODlhAQABAIAAAMDAwAAAACwAAAAAAQABAAACAkQBADs="  # one grey pixel


def address(file: bytes, size: int) -> str:
    """A picture as a small ``data:`` address, at most twice ``size`` pixels a side; grey for no
    file.
    """
    if not file:
        return _NONE
    with Image.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
        picture = image.convert("RGB")
        if max(picture.size) < size:
            picture = picture.resize((size, size), Image.Resampling.NEAREST)
        picture.thumbnail((2 * size, 2 * size))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG" if max(image.size) < size else "JPEG", quality=85)
    kind = "png" if buffer.getvalue()[:4] == b"\x89PNG" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def mean(rows: Sequence[int], picture: Callable[[int], bytes]) -> npt.NDArray[np.uint8] | None:
    """The mean of pictures, uint8 ``[row, column(, channel)]``; None when they differ in size or
    one is missing. Of many, an even spread of 2,000.
    """
    total: npt.NDArray[np.float64] | None = None
    taken = rows[:: -(-len(rows) // _MOST_MEAN)]
    for row in taken:
        file = picture(row)
        if not file:
            return None
        with Image.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
            pixels = np.asarray(image.convert("RGB" if image.mode == "RGB" else "L"), np.float64)
        if total is not None and total.shape != pixels.shape:
            return None
        total = pixels if total is None else total + pixels
    if total is None:
        return None
    whole = np.rint(total / len(taken)).astype(np.uint8)
    times = max(1, 224 // max(whole.shape[:2]))
    return whole.repeat(times, axis=0).repeat(times, axis=1)
