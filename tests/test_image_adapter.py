"""Pictures become tensors and back: preprocessing, baselines and segments of image models."""

import io
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.errors import BadInput, BadParameter
from core.models.card import ImagePreprocessing
from core.models.image import BASELINES, ImageAdapter
from core.tasks import Example, PixelGrid

MEAN, STD = (0.2, 0.4, 0.6), (0.5, 0.25, 0.125)
HERE = SimpleNamespace(device=torch.device("cpu"), exclusive=nullcontext)
SETTINGS = {"segments": "grid", "n_segments": 16}


def adapter(height: int = 12, width: int = 16) -> ImageAdapter:
    prepared = ImagePreprocessing(3, height, width, MEAN, STD)
    return ImageAdapter(("a", "b"), prepared)


def picture(colour: tuple[int, int, int] | None = None, seed: int = 0) -> Example:
    shape = (12, 16, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    if colour is not None:
        pixels[:] = colour
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Example(f"{seed}.png", buffer.getvalue())


def unit(features: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return features * std + mean


def test_features_are_normalised_pixels() -> None:
    batch = adapter().encode([picture((51, 102, 153)), picture(seed=1)], HERE)
    assert batch.features.shape == (2, 3, 12, 16)
    assert batch.axes == (PixelGrid(3, 12, 16),) * 2
    expected = (torch.tensor([0.2, 0.4, 0.6]) - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(batch.features[0, :, 5, 7], expected, atol=1e-6, rtol=0)
    restored = (unit(batch.features[1]) * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(restored, batch.pictures[1])
    assert batch[1].names == ("1.png",)
    assert torch.equal(batch[1].features, batch.features[1:])


def test_nan_after_preprocessing_is_refused() -> None:
    broken = ImageAdapter(("a",), ImagePreprocessing(3, 12, 16, MEAN, (0.5, 0.0, 0.5)))
    with pytest.raises(BadInput, match="NaN or infinite"):
        broken.encode([picture((51, 102, 153))], HERE)


def test_grey_models_show_three_equal_channels() -> None:
    grey = ImageAdapter(("a",), ImagePreprocessing(1, 12, 16, (0.5,), (0.5,)))
    batch = grey.encode([picture()], HERE)
    assert batch.features.shape == (1, 1, 12, 16)
    assert batch.pictures[0].shape == (12, 16, 3)
    assert (batch.pictures[0] == batch.pictures[0][..., :1]).all()


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines_have_the_shape_of_the_features_and_are_the_same_for_a_seed(kind: str) -> None:
    batch = adapter().encode([picture(seed=1), picture(seed=2)], HERE)
    other = picture(seed=3)
    first = adapter().baseline(batch, kind, 5, other)
    assert first.shape == batch.features.shape
    assert torch.equal(first, adapter().baseline(batch, kind, 5, other))
    for index in range(2):  # batch equals one by one
        torch.testing.assert_close(
            first[index : index + 1], adapter().baseline(batch[index], kind, 5, other)
        )


def test_baselines_are_what_they_say() -> None:
    batch = adapter().encode([picture(seed=1)], HERE)
    make = adapter().baseline
    assert not make(batch, "zero", 0, None).any()
    torch.testing.assert_close(unit(make(batch, "black", 0, None)), torch.zeros(1, 3, 12, 16))
    torch.testing.assert_close(unit(make(batch, "white", 0, None)), torch.ones(1, 3, 12, 16))
    mean = make(batch, "mean", 0, None)
    torch.testing.assert_close(mean[0, :, 3, 4], batch.features[0].mean(dim=(1, 2)))
    for kind in ("uniform", "gaussian"):
        drawn = unit(make(batch, kind, 0, None))
        assert -1e-6 <= drawn.min() < drawn.max() <= 1 + 1e-6
        assert not torch.equal(make(batch, kind, 0, None), make(batch, kind, 1, None))
    other = adapter().encode([picture(seed=3)], HERE).features
    assert torch.equal(make(batch, "image", 0, picture(seed=3)), other)


def test_blur_keeps_flat_pictures_and_softens_others() -> None:
    flat = adapter().encode([picture((10, 200, 90))], HERE)
    torch.testing.assert_close(adapter().baseline(flat, "blur", 0, None), flat.features)
    noisy = adapter().encode([picture(seed=1)], HERE)
    assert adapter().baseline(noisy, "blur", 0, None).std() < 0.5 * noisy.features.std()


def test_wrong_baselines_are_refused() -> None:
    batch = adapter().encode([picture()], HERE)
    with pytest.raises(BadInput, match="needs another picture"):
        adapter().baseline(batch, "image", 0, None)
    with pytest.raises(BadParameter, match="'grey' is not a baseline"):
        adapter().baseline(batch, "grey", 0, None)
    with pytest.raises(BadParameter, match="not a way to segment"):
        adapter().segments(batch, SETTINGS | {"segments": "hexagons"})


@pytest.mark.parametrize("wanted", [1, 2, 16, 192, 5000])
def test_grid_has_about_as_many_equal_cells(wanted: int) -> None:
    batch = adapter().encode([picture(), picture(seed=1)], HERE)
    ids = adapter().segments(batch, SETTINGS | {"n_segments": wanted})
    assert ids.shape == (2, 1, 12, 16)
    assert ids.dtype == torch.int64
    found, sizes = ids[0].unique(return_counts=True)
    assert found.tolist() == list(range(len(found)))
    assert 0.6 * min(wanted, 192) <= len(found) <= 1.5 * wanted
    assert sizes.max() <= 4 * sizes.min()


def test_superpixels_follow_the_picture() -> None:
    pixels = np.zeros((12, 16, 3), dtype=np.uint8)
    pixels[:, 8:] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    batch = adapter().encode([Example("halves.png", buffer.getvalue())], HERE)
    ids = adapter().segments(batch, {"segments": "superpixels", "n_segments": 8})[0, 0]
    left, right = set(ids[:, :8].flatten().tolist()), set(ids[:, 8:].flatten().tolist())
    assert left.isdisjoint(right)
    assert sorted(left | right) == list(range(len(left | right)))


def test_logits_and_folding() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 2))
    batch = adapter().encode([picture()], HERE)
    assert torch.equal(adapter().logits(module, batch.features), module(batch.features))
    folded = adapter().fold(batch.features[0])
    assert folded.shape == PixelGrid(3, 12, 16).shape
    assert folded.dtype == np.float32
