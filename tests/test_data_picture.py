"""Framing pictures as the networks were trained: cover for photographs, glyph for one object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from core.data.image import decode
from core.data.picture import prepare
from core.models.card import ImagePreprocessing
from core.models.catalogue import card, reference
from core.tasks import Example
from tests import images

Array = np.ndarray[Any, Any]
PHOTOGRAPH = ImagePreprocessing(3, 24, 32, (0.5,) * 3, (0.5,) * 3)
DIGIT = ImagePreprocessing(1, 28, 28, (0.0,), (1.0,), "glyph", 20)
GARMENT = ImagePreprocessing(1, 28, 28, (0.0,), (1.0,), "glyph", 28)


def smooth(height: int, width: int) -> Image.Image:
    row, column = np.mgrid[0 : 3 : height * 1j, 0 : 3 : width * 1j]
    planes = [np.sin(row + k) * np.cos(column * (k + 1)) for k in range(3)]
    return Image.fromarray(np.uint8(127 + 120 * np.stack(planes, axis=-1)))


def heldout(count: int) -> tuple[Array, Array]:
    """Digits ``[digit, 28, 28]`` that the sample model never saw, and their labels."""
    with np.load(card("digits_cnn").folder / "heldout.npz") as stored:
        arrays = [stored[name] for name in stored.files]
    pictures = next(array for array in arrays if array.ndim == 3)
    labels = next(array for array in arrays if array.ndim == 1)
    return pictures[:count], labels[:count]


def centre_of_mass(plane: Array) -> tuple[float, float]:
    row, column = np.indices(plane.shape) + 0.5
    return float(np.average(row, weights=plane)), float(np.average(column, weights=plane))


@pytest.mark.parametrize("size", [(48, 64), (100, 300), (301, 90), (24, 32), (12, 9)])
def test_cover_is_shorter_side_resized_and_centre_cropped(size: tuple[int, int]) -> None:
    height, width = size
    source = smooth(height, width)
    scale = max(24 / height, 32 / width)
    tensor = torch.from_numpy(np.asarray(source).copy()).permute(2, 0, 1)[None].float()
    whole = (max(24, round(height * scale)), max(32, round(width * scale)))
    resized = F.interpolate(tensor, whole, mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    top, left = (whole[0] - 24) // 2, (whole[1] - 32) // 2
    expected = resized[top : top + 24, left : left + 32].clamp(0, 255).numpy()
    inner = (slice(2, -2), slice(2, -2))  # a crop before resizing cannot look beyond its edge
    difference = np.abs(prepare(source, PHOTOGRAPH)[inner] - expected[inner])
    assert difference.max() <= 8  # the crop may lie half a pixel beside
    assert difference.mean() <= 3


def test_cover_averages_fine_detail_away() -> None:
    stripes = np.zeros((240, 320), np.uint8)
    stripes[:, ::2] = 255
    prepared = prepare(Image.fromarray(stripes), PHOTOGRAPH)
    assert np.abs(prepared[:, 1:-1].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("fit", ["cover", "glyph"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (7, 5), (28, 28), (640, 480)])
def test_shape_and_type(fit: Any, channels: int, mode: str, size: tuple[int, int]) -> None:
    wanted = ImagePreprocessing(channels, 28, 28, (0.0,) * channels, (1.0,) * channels, fit, 20)
    prepared = prepare(Image.new(mode, size, "grey"), wanted)
    assert prepared.shape == (28, 28, channels)
    assert prepared.dtype == np.uint8
    assert prepared.flags.writeable


def test_a_prepared_glyph_passes_unchanged() -> None:
    for digit in heldout(20)[0]:
        np.testing.assert_array_equal(prepare(Image.fromarray(digit), DIGIT)[..., 0], digit)
        np.testing.assert_array_equal(prepare(Image.fromarray(255 - digit), DIGIT)[..., 0], digit)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_paper_gives_zeros(level: int) -> None:
    assert not prepare(Image.new("L", (300, 200), level), DIGIT).any()


@pytest.mark.parametrize("seed", range(5))
def test_blank_paper_under_uneven_light_gives_zeros(seed: int) -> None:
    data = images.photographed(np.zeros((28, 28), np.uint8), seed)
    assert not prepare(decode(Example("blank.jpg", data)), DIGIT).any()


def test_glyph_has_the_size_and_place_of_mnist() -> None:
    for seed, digit in enumerate(heldout(12)[0]):
        sheet = images.photographed(digit, seed)
        plane = prepare(decode(Example("sheet.jpg", sheet)), DIGIT)[..., 0]
        rows, columns = np.nonzero(plane.max(axis=1))[0], np.nonzero(plane.max(axis=0))[0]
        longest = max(np.ptp(rows), np.ptp(columns)) + 1
        assert 19 <= longest <= 20
        assert centre_of_mass(plane) == pytest.approx((14, 14), abs=0.55)
        assert plane.max() == 255
        assert np.median(plane) == 0


def test_polarity_does_not_matter() -> None:
    for seed, digit in enumerate(heldout(4)[0]):
        sheet = decode(Example("sheet.jpg", images.photographed(digit, seed))).convert("L")
        sheet = sheet.resize((300, 250))  # small enough to be taken as it is, without rounding
        inverted = Image.fromarray(255 - np.asarray(sheet))
        difference = prepare(sheet, DIGIT).astype(int) - prepare(inverted, DIGIT)
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(("pen", "at_least"), [(0.0, 0.98), (4.0, 0.94)])
@pytest.mark.parametrize("dark_on_light", [True, False])
def test_photographed_digits_are_still_recognised(
    pen: float, at_least: float, dark_on_light: bool
) -> None:
    from core.models.loader import load

    model = load(reference("digits_cnn"), "cpu")
    pictures, labels = heldout(50)
    examples = [
        Example(f"{seed}.jpg", images.photographed(p, seed, dark_on_light=dark_on_light, pen=pen))
        for seed, p in enumerate(pictures)
    ]
    batch = model.adapter.encode(examples, model)
    with model.exclusive() as module, torch.no_grad():
        answers = model.adapter.logits(module, batch.features).argmax(dim=1).numpy()
    assert (answers == labels).mean() >= at_least


def test_specks_do_not_move_the_frame() -> None:
    sheet = np.full((300, 300), 230, np.uint8)
    sheet[120:180, 140:160] = 20
    clean = prepare(Image.fromarray(sheet), DIGIT)
    sheet[20:23, 20:23] = 20
    sheet[270:274, 250:253] = 20
    np.testing.assert_allclose(prepare(Image.fromarray(sheet), DIGIT), clean, atol=2)


def test_a_garment_fills_the_frame_and_keeps_its_texture() -> None:
    row, column = np.mgrid[0:200, 0:120]
    texture = np.uint8(110 + 60 * np.sin(row / 30) * np.cos(column / 20))
    sheet = np.full((400, 400), 250, np.uint8)
    sheet[50:250, 30:150] = texture
    plane = prepare(Image.fromarray(sheet), GARMENT)[..., 0]
    rows, columns = np.nonzero(plane.max(axis=1))[0], np.nonzero(plane.max(axis=0))[0]
    assert (rows[0], rows[-1]) == (0, 27)
    assert (columns[0] + 27 - columns[-1]) == 28 - len(columns)
    assert abs(int(columns[0]) - (27 - int(columns[-1]))) <= 1
    expected = Image.fromarray(250 - texture).resize((len(columns), 28), Image.Resampling.BOX)
    inside = plane[:, columns[0] : columns[-1] + 1]
    correlation = np.corrcoef(inside[2:-2, 2:-2].ravel(), np.asarray(expected)[2:-2, 2:-2].ravel())
    assert correlation[0, 1] > 0.97
