"""Decoding strangers' files, and preparing pictures for networks."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from core.data import image as module
from core.data.image import decode, fault
from core.errors import BadInput
from core.tasks import Example
from tests import images


@pytest.mark.parametrize("name", images.rgb_files())
def test_colours_come_out_upright_and_right(name: str) -> None:
    decoded = decode(Example(name, images.rgb_files()[name]))
    assert decoded.mode == "RGB"
    assert decoded.size == images.picture().size
    difference = np.abs(np.asarray(decoded, int) - np.asarray(images.picture(), int))
    # Lossy formats ring along the edges of the quarters: look at their insides.
    difference = np.concatenate([difference[4:20], difference[28:44]])
    difference = np.concatenate([difference[:, 4:28], difference[:, 36:60]], axis=1)
    assert difference.max() <= 6


@pytest.mark.parametrize("name", images.grey_files())
def test_grey_comes_out_scaled_and_not_clipped(name: str) -> None:
    decoded = decode(Example(name, images.grey_files()[name]))
    grey = np.asarray(decoded.convert("L"), int)
    assert grey.shape == (16, 64)
    tolerance = 3 if name.endswith(".jpg") else 1  # JPEG rounds its coefficients
    assert np.abs(grey - images.ramp()).max() <= tolerance


def test_grey_stays_one_channel() -> None:
    for name, data in images.grey_files().items():
        if not name.endswith(".gif"):  # a GIF has a palette whatever it shows
            assert decode(Example(name, data)).mode == "L", name


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "CMYK"])
def test_one_pixel_is_a_picture(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    data = images.saved(Image.new(mode, (1, 1)), kind)
    assert decode(Example("one", data)).size == (1, 1)


def test_one_bit_is_black_and_white() -> None:
    stored = Image.fromarray(images.ramp() > 127)
    decoded = decode(Example("bits.png", images.png(stored)))
    np.testing.assert_array_equal(np.asarray(decoded), np.where(images.ramp() > 127, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(Example("a", images.saved(images.with_alpha(), kind, **options)))
    left, right = np.split(np.asarray(decoded), 2, axis=1)
    np.testing.assert_array_equal(left, np.asarray(images.picture())[:, :32])
    assert (right == 255).all()


def test_half_transparent_is_half_way_to_white() -> None:
    data = images.png(Image.new("RGBA", (2, 2), (100, 0, 200, 51)))
    expected = [round(255 - (255 - value) * 51 / 255) for value in (100, 0, 200)]
    assert decode(Example("a.png", data)).getpixel((0, 0)) == tuple(expected)


def test_transparent_palette_entry_is_white_and_the_rest_stays() -> None:
    decoded = np.asarray(decode(Example("p.png", images.palette_with_transparency())))
    assert (decoded[24:, 32:] == 255).all()
    np.testing.assert_array_equal(decoded[:24], np.asarray(images.picture())[:24])


def test_sixteen_bit_transparent_grey_is_white() -> None:
    stored = Image.fromarray(images.ramp(0, 65535, np.uint16))
    decoded = np.asarray(decode(Example("t.png", images.png(stored, transparency=0))))
    assert decoded[0, 0] == 255
    assert decoded[0, 1] == images.ramp()[0, 1]


@pytest.mark.parametrize("name", images.HOSTILE)
def test_refuses_with_a_sentence(name: str) -> None:
    make, words = images.HOSTILE[name]
    with pytest.raises(BadInput) as refused:
        decode(Example(name, make()))
    assert f"'{name}'" in refused.value.message
    assert words in refused.value.message
    assert refused.value.next_step
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["plain.png", "plain.jpg", "plain.tiff", "animated.gif"])
def test_every_cut_of_a_file_is_refused_or_read_whole(name: str) -> None:
    data = images.rgb_files()[name]
    whole = decode(Example(name, data))
    for length in range(1, len(data), 7):
        try:
            decoded = decode(Example(name, data[:length]))
        except BadInput:
            continue
        assert decoded == whole, f"cut at {length} of {len(data)} gave another picture"


def test_flipped_bytes_never_escape_as_other_errors() -> None:
    generator = np.random.default_rng(0)
    for name, data in {**images.rgb_files(), **images.grey_files()}.items():
        for _ in range(10):
            bad = bytearray(data)
            for position in generator.integers(0, min(len(data), 400), 4):
                bad[position] ^= int(generator.integers(1, 256))
            try:
                decode(Example(name, bytes(bad)))
            except BadInput as error:
                assert str(error)


def test_size_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    def load(image: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(BadInput, match="megapixels"):
        decode(Example("costly.png", images.costly_png(8_000)))
    with pytest.raises(BadInput, match="decoded"):  # the trap works
        decode(Example("plain.png", images.png()))


def test_large_files_are_refused_unread() -> None:
    data = images.png() + bytes(module.MAX_BYTES)
    with pytest.raises(BadInput, match="64 MiB"):
        decode(Example("large.png", data))


def test_format_list_keeps_pillows_other_readers_out() -> None:
    for kind in ("PPM", "ICO", "TGA", "PCX", "SGI"):
        with pytest.raises(BadInput):
            decode(Example("picture.png", images.saved(images.picture(), kind)))


def test_broken_orientation_does_not_lose_the_picture() -> None:
    for orientation in (0, 9, 65535):
        tag = b"\x01\x12\x00\x03\x00\x00\x00\x01"  # orientation, one short
        upright = images.rotated(1)
        data = upright.replace(tag + b"\0\1", tag + orientation.to_bytes(2, "big"))
        assert data != upright
        assert decode(Example("turned.jpg", data)).size == images.picture().size


def test_threads_decode_side_by_side_and_leave_the_warnings_as_they_were() -> None:
    before = list(warnings.filters)
    inside = threading.Barrier(4, timeout=30)

    def warn() -> None:
        with module._QUIET:
            inside.wait()
            warnings.warn("Pillow says this", stacklevel=1)
            inside.wait()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(warn) for _ in range(4)]:
            done.result()
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning, match="Pillow says this"):
        warnings.warn("Pillow says this", stacklevel=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_whole_and_cut_off_files_are_told_apart_by_their_ends(kind: str) -> None:
    """As a full decoding of every file would say, which ``fault`` mostly saves."""
    data = images.saved(images.picture(300, 200), kind)
    for length in (len(data), len(data) * 2 // 3, len(data) // 3, 20, 3):
        part = data[:length]
        whole = [0]

        def read(part: bytes = part, whole: list[int] = whole) -> bytes:
            whole[0] += 1
            return part

        said = fault("x", part[:4096], part[-4096:], read)
        try:
            decode(Example("x", part))
            truth = ""
        except BadInput as error:
            truth = error.message
        assert said == truth
        if length == len(data) and kind in ("PNG", "JPEG"):
            assert whole == [0]
