"""Makes the bytes of odd and hostile pictures; nothing here is read from disk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

# What a person sees in each well-formed file below: a corner of each colour, upright.
RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 160, 60), (40, 60, 200), (120, 120, 120)


def picture(height: int = 48, width: int = 64) -> Image.Image:
    """Four flat quarters: red, green above; blue, grey below. Neither symmetric nor square."""
    pixels = np.empty((height, width, 3), np.uint8)
    half, middle = height // 2, width // 2
    pixels[:half, :middle], pixels[:half, middle:] = RED, GREEN
    pixels[half:, :middle], pixels[half:, middle:] = BLUE, GREY
    return Image.fromarray(pixels)


def ramp(low: float = 0, high: float = 255, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    """``[16, 64]`` values that rise from left to right."""
    return np.broadcast_to(np.linspace(low, high, 64), (16, 64)).astype(dtype)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of ``image`` in a format."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(image: Image.Image | None = None, **options: Any) -> bytes:
    """A PNG of ``image``, by default of ``picture()``."""
    return saved(image or picture(), "PNG", **options)


def rotated(orientation: int) -> bytes:
    """A JPEG stored turned or mirrored, with the EXIF tag that makes it upright again."""
    stored = picture()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(stored, "JPEG", quality=95, subsampling=0, exif=exif)


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png_of(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header claims a size, followed by any chunks and an end."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def dimension_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few kilobytes that would unpack to ``width × height`` bytes."""
    return png_of(width, height, chunk(b"IDAT", zlib.compress(bytes(2**20), 9)))


def costly_png(side: int = 17_000) -> bytes:
    """A well-formed one-bit PNG of some 40 kB and ``side²`` pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png_of(side, side, chunk(b"IDAT", packed), bits=1)


def text_bomb(chunks: int = 200) -> bytes:
    """A 4 × 4 PNG with many compressed comments of a megabyte each."""
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20 - 8), 9))
    pixels = chunk(b"IDAT", zlib.compress(bytes(4 * 5)))
    return png_of(4, 4, *([comment] * chunks), pixels)


def growing_gif(side: int = 9_000) -> bytes:
    """A GIF of 35 bytes: the screen is 10 × 10, its first frame ``side × side``."""
    screen = struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return b"GIF89a" + screen + frame + b"\x02\x02\x4c\x01\x00;"


def animation(kind: str) -> bytes:
    """Two frames: the picture, then black."""
    black = Image.new("RGB", picture().size)
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(picture(), kind, save_all=True, append_images=[black], duration=50, **options)


def with_alpha() -> Image.Image:
    """The picture, its right half fully transparent."""
    image = picture().convert("RGBA")
    alpha = np.full((image.height, image.width), 255, np.uint8)
    alpha[:, image.width // 2 :] = 0
    image.putalpha(Image.fromarray(alpha))
    return image


def palette_with_transparency() -> bytes:
    """The picture in a palette whose grey is fully transparent."""
    image = picture().quantize(colors=4)
    return png(image, transparency=image.getpixel((image.width - 1, image.height - 1)))


def rgb_files() -> dict[str, bytes]:
    """File name to bytes: the same picture in every way to store colours."""
    image = picture()
    return {
        "plain.png": png(),
        "named-wrongly.jpg": png(),
        "no-suffix": png(),
        "palette.png": png(image.quantize(colors=4)),
        "sixteen-bit-colour.png": png_of(
            image.width, image.height, chunk(b"IDAT", _sixteen_bit_rows(image)), bits=16, colour=2
        ),
        "opaque-alpha.png": png(image.convert("RGBA")),
        "plain.jpg": saved(image, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": saved(image, "JPEG", quality=95, subsampling=0, progressive=True),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG", quality=95, subsampling=0),
        "multi-picture.jpg": saved(
            image, "MPO", save_all=True, append_images=[image], quality=95, subsampling=0
        ),
        "lossless.webp": saved(image, "WEBP", lossless=True),
        "lossy.webp": saved(image, "WEBP", quality=100),
        "animated.webp": animation("WEBP"),
        "plain.gif": saved(image, "GIF"),
        "animated.gif": animation("GIF"),
        "plain.bmp": saved(image, "BMP"),
        "plain.tiff": saved(image, "TIFF"),
        "deflated.tiff": saved(image, "TIFF", compression="tiff_deflate"),
        "jpeg.tiff": saved(image, "TIFF", compression="jpeg", quality=95),
        "cmyk.tiff": saved(image.convert("CMYK"), "TIFF"),
        "pages.tiff": saved(
            image, "TIFF", save_all=True, append_images=[Image.new("RGB", image.size)]
        ),
        **{f"orientation-{turn}.jpg": rotated(turn) for turn in range(1, 9)},
        "orientation-6.tiff": _turned_tiff(),
    }


def _sixteen_bit_rows(image: Image.Image) -> bytes:
    values = np.asarray(image).astype(">u2") * np.uint16(257)
    rows = values.astype(">u2").reshape(image.height, -1)
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))


def _turned_tiff() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(picture().transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif)


def grey_files() -> dict[str, bytes]:
    """File name to bytes: the ramp from black to white in every way to store grey."""
    grey = Image.fromarray(ramp())
    opaque = grey.convert("LA")
    wide = ramp(0, 65535, np.uint16)
    return {
        "eight-bit.png": png(grey),
        "eight-bit.jpg": saved(grey, "JPEG", quality=100),
        "eight-bit.gif": saved(grey, "GIF"),
        "eight-bit.tiff": saved(grey, "TIFF"),
        "alpha.png": png(opaque),
        "sixteen-bit.png": png(Image.fromarray(wide)),
        "sixteen-bit.tiff": saved(Image.fromarray(wide), "TIFF"),
        "big-endian.tiff": saved(Image.fromarray(wide), "TIFF", big_endian=True),
        "thirty-two-bit.tiff": saved(Image.fromarray(ramp(0, 65535, np.int32)), "TIFF"),
        "huge-integers.tiff": saved(Image.fromarray(ramp(-(10**6), 10**6, np.int32)), "TIFF"),
        "float-0-to-1.tiff": saved(Image.fromarray(ramp(0, 1, np.float32)), "TIFF"),
        "float-0-to-255.tiff": saved(Image.fromarray(ramp(0, 255, np.float32)), "TIFF"),
        "float-any.tiff": saved(Image.fromarray(ramp(-3, 40, np.float32)), "TIFF"),
        "white-is-zero.tiff": _white_is_zero(),
    }


def _white_is_zero() -> bytes:
    data = bytearray(saved(Image.fromarray(255 - ramp()), "TIFF"))
    little = data[:2] == b"II"
    order = "<" if little else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", data, entry) == (262,):
            struct.pack_into(order + "H", data, entry + 8, 0)
    return bytes(data)


def _not_finite() -> bytes:
    values = ramp(0, 1, np.float32).copy()
    values[3, 3] = np.nan
    return saved(Image.fromarray(values), "TIFF")


# File name to a maker of bytes that must be refused, and a word of the sentence that says why.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "truncated.png": (lambda: png()[:90], "cut off"),
    "truncated.jpg": (lambda: rotated(1)[:400], "cut off"),
    "truncated.gif": (lambda: animation("GIF")[:60], "cut off"),
    "truncated.webp": (lambda: saved(picture(), "WEBP")[:40], "cut off"),
    "truncated.bmp": (lambda: saved(picture(), "BMP")[:200], "cut off"),
    "truncated.tiff": (lambda: saved(picture(), "TIFF")[:200], "cut off"),
    "header-only.png": (lambda: png()[:20], "cut off"),
    "one-byte.png": (lambda: b"\x89", "not a picture"),
    "wrong-check.png": (lambda: png().replace(b"IDAT", b"IDAX", 1), "damaged"),
    "program.png": (lambda: b"MZ\x90\0" + bytes(400), "a program"),
    "document.jpg": (lambda: b"%PDF-1.7\n" + bytes(400), "a PDF document"),
    "phone.heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(400), "a HEIC picture"),
    "postscript.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    "drawing.svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "text.png": (lambda: b"Not a picture at all.\n" * 9, "not a picture"),
    "zeros.png": (lambda: bytes(1000), "not a picture"),
    "strip.png": (lambda: png(Image.new("L", (1, 20_000))), "200 times"),
    "huge-header.png": (dimension_bomb, "megapixels"),
    "huge-side.png": (lambda: dimension_bomb(20_001, 200), "20,000 pixels a side"),
    "costly.png": (lambda: costly_png(8_000), "megapixels"),
    "growing.gif": (growing_gif, "megapixels"),
    "comments.png": (text_bomb, "damaged"),
    "not-finite.tiff": (_not_finite, "NaN"),
}


def photographed(
    glyph: np.ndarray[Any, Any], seed: int = 0, *, dark_on_light: bool = True, pen: float = 0.0
) -> bytes:
    """A JPEG as a telephone takes it: a light-on-dark ``glyph [28, 28]`` written on plain paper.

    The size and place on the sheet, the fall-off of the light and the sensor's noise follow from
    ``seed``. ``pen`` draws the middle line of the strokes that many pixels wide on 280, instead of
    the strokes as they are.
    """
    from scipy import ndimage
    from skimage.morphology import skeletonize

    generator = np.random.default_rng(seed)
    large = Image.fromarray(glyph).resize((280, 280), Image.Resampling.BICUBIC)
    ink = np.asarray(large, np.float32) / 255
    if pen:
        distance = ndimage.distance_transform_edt(~skeletonize(ink > 0.5))
        ink = np.clip(pen / 2 - distance + 0.5, 0, 1).astype(np.float32)
    side = int(generator.integers(220, 440))
    written = Image.fromarray(ink).resize((side, side), Image.Resampling.BILINEAR)
    height, width = 600, 720
    top, left = generator.integers(0, height - side), generator.integers(0, width - side)
    sheet = np.zeros((height, width))
    sheet[top : top + side, left : left + side] = np.asarray(written)
    row, column = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    slope = generator.uniform(-0.35, 0.35, 2)
    light = 1 + slope[0] * row + slope[1] * column - 0.15 * (row**2 + column**2)
    paper, stroke = (215, 70) if dark_on_light else (40, 210)
    scene = (paper + (stroke - paper) * sheet) * light + generator.normal(0, 5, sheet.shape)
    colours = scene[:, :, None] * np.array([1.0, 0.98, 0.92])
    return saved(Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)), "JPEG", quality=60)
