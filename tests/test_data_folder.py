"""Image folders: read as they lie on disk, with what is wrong in them said in a sentence."""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from core.data.folder import ImageFolder, read_images
from core.data.image import decode
from core.data.picture import prepare
from core.data.pixelcache import PixelCache
from core.errors import BadInput, Cancelled
from core.models.card import ImagePreprocessing
from core.progress import Meter
from core.tasks import Example

SMALL = ImagePreprocessing(3, 8, 12, (0.5,) * 3, (0.5,) * 3)


def picture(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (10, 15, 3), np.uint8)
    return Image.fromarray(values)


def fill(folder: Path, count: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(first + number).save(folder / f"{number}.png")


@pytest.fixture
def cache(tmp_path: Path) -> PixelCache:
    return PixelCache(tmp_path / "cache")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Class folders alone."""
    for number, name in enumerate(("cat", "dog", "emu")):
        fill(tmp_path / "flat" / name, 20, 100 * number)
    return tmp_path / "flat"


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """train, val and test of class folders."""
    for first, (part, count) in enumerate((("train", 6), ("val", 3), ("test", 2))):
        for number, name in enumerate(("10", "9")):
            fill(tmp_path / "parted" / part / name, count, 1000 * first + 100 * number)
    return tmp_path / "parted"


def sizes(data: ImageFolder) -> dict[str, int]:
    return {name: len(part) for name, part in data.splits.items()}


def test_batches_are_the_pictures_of_the_folder(parted: Path, cache: PixelCache) -> None:
    data = read_images(parted, SMALL, cache=cache)
    assert data.classes == ("9", "10")
    assert data.skipped == data.notes == ()
    assert sizes(data) == {"train": 12, "val": 6, "test": 4}
    for part in data.splits.values():
        pixels, labels = part.__getitems__(list(range(len(part))))
        assert pixels.shape == (len(part), 3, 8, 12)
        assert pixels.dtype == torch.uint8
        assert labels.dtype == torch.int64
        for file, shown, label in zip(part.files, pixels, labels, strict=True):
            expected = prepare(decode(Example("x", (parted / file.name).read_bytes())), SMALL)
            assert np.array_equal(shown.permute(1, 2, 0).numpy(), expected)
            assert data.classes[int(label)] == Path(file.name).parent.name


def test_one_level_of_class_folders_is_split_by_the_seed(flat: Path, cache: PixelCache) -> None:
    def names(seed: int) -> dict[str, list[str]]:
        data = read_images(flat, SMALL, seed=seed, cache=cache)
        return {part: [file.name for file in each.files] for part, each in data.splits.items()}

    first, again, other = names(1), names(1), names(2)
    assert {part: len(each) for part, each in first.items()} == {"train": 48, "val": 6, "test": 6}
    assert len({name for each in first.values() for name in each}) == 60
    assert first == again
    assert first != other


def test_missing_val_is_drawn_from_train(parted: Path, cache: PixelCache) -> None:
    shutil.rmtree(parted / "val")
    (parted / "train").rename(parted / "Training")
    assert sizes(read_images(parted, SMALL, cache=cache)) == {"train": 11, "val": 1, "test": 4}


def test_second_reading_decodes_nothing(
    flat: Path, cache: PixelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (flat / "cat" / "0.png").write_bytes(b"no picture")
    first = read_images(flat, SMALL, cache=cache)
    monkeypatch.setattr("core.data.folder.decode", None)
    again = read_images(flat, SMALL, seed=5, cache=cache)
    assert again.skipped == first.skipped
    everything = np.concatenate([p.pixels(range(len(p))) for p in first.splits.values()])
    again_all = np.concatenate([p.pixels(range(len(p))) for p in again.splits.values()])
    assert len(everything) == len(again_all) == 59
    assert sorted(map(bytes, everything)) == sorted(map(bytes, again_all))


@pytest.mark.parametrize("limit", [0, 2**30])
def test_data_loader_workers_give_the_same_batches(flat: Path, tmp_path: Path, limit: int) -> None:
    data = read_images(flat, SMALL, cache=PixelCache(tmp_path / "cache", limit))
    assert (data.splits["train"]._stored is None) == (limit == 0)
    order = [[5, 0, 3], [1, 47, 2]]
    wanted = [data.splits["train"].__getitems__(batch) for batch in order]
    loader: Any = DataLoader(
        data.splits["train"], batch_sampler=order, num_workers=1, collate_fn=_as_is
    )
    for (pixels, labels), (expected, expected_labels) in zip(loader, wanted, strict=True):
        assert torch.equal(pixels, expected)
        assert torch.equal(labels, expected_labels)


def _as_is(batch: Any) -> Any:
    return batch


def test_a_split_is_sent_to_a_process_without_its_pixels(flat: Path, cache: PixelCache) -> None:
    part = read_images(flat, SMALL, cache=cache).splits["train"]
    before = part.pixels([3, 1])
    sent = pickle.dumps(part)
    assert part._stored is not None
    assert len(sent) < part._stored.path.stat().st_size
    assert np.array_equal(pickle.loads(sent).pixels([3, 1]), before)  # noqa: S301 - made above


def test_fingerprint_follows_content_and_framing_alone(
    flat: Path, cache: PixelCache, tmp_path: Path
) -> None:
    def fingerprints(path: Path, framing: ImagePreprocessing = SMALL) -> list[str]:
        data = read_images(path, framing, cache=cache)
        return [part.fingerprint() for part in data.splits.values()]

    first = fingerprints(flat)
    assert len(set(first)) == 3
    copy = tmp_path / "copy"  # made in another order, elsewhere, at another time
    for path in sorted(flat.rglob("*.png"), reverse=True):
        (copy / path.relative_to(flat)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(flat))
    assert fingerprints(copy) == first
    larger = ImagePreprocessing(3, 9, 12, (0.5,) * 3, (0.5,) * 3)
    assert not set(fingerprints(flat, larger)) & set(first)
    picture(999).save(flat / "cat" / "7.png")
    assert fingerprints(flat) != first


def test_corrupt_pictures_are_skipped_up_to_a_share(flat: Path, cache: PixelCache) -> None:
    bad = [flat / "cat" / "3.png", flat / "dog" / "4.png", flat / "emu" / "5.png"]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(bad[1].read_bytes()[:60])
    bad[2].write_bytes(b"not a picture")
    data = read_images(flat, SMALL, cache=cache)
    assert sum(sizes(data).values()) == 57
    assert [line.split(":")[0] for line in data.skipped] == ["cat/3.png", "dog/4.png", "emu/5.png"]
    assert "is empty (0 bytes)" in data.skipped[0]
    assert "cut off" in data.skipped[1]
    assert "not a picture" in data.skipped[2]
    sentence = "3 of 60 pictures of 'flat' cannot be read, at most 4% are skipped. The first: 'cat"
    with pytest.raises(BadInput, match=re.escape(sentence)):
        read_images(flat, SMALL, cache=cache, max_skipped=0.04)


def test_share_of_corrupt_pictures_counts_in_each_part(parted: Path, cache: PixelCache) -> None:
    (parted / "val" / "9" / "0.png").write_bytes(b"not a picture")
    with pytest.raises(BadInput, match="1 of 6 pictures in val of 'parted' cannot be read"):
        read_images(parted, SMALL, cache=cache)


def test_other_files_and_hidden_ones_are_left_out(parted: Path, cache: PixelCache) -> None:
    (parted / "train" / "9" / "notes.txt").write_text("hello")
    (parted / "train" / "9" / ".hidden.png").write_bytes(b"x")
    (parted / ".git").mkdir()
    fill(parted / "extra", 1)
    data = read_images(parted, SMALL, cache=cache)
    assert sizes(data)["train"] == 12
    assert data.notes == (
        "1 file not named as a picture left out",
        "the folder extra left out",
    )


def test_a_class_may_be_called_train(tmp_path: Path, cache: PixelCache) -> None:
    for name in ("bus", "train", "tram"):
        fill(tmp_path / "vehicles" / name, 5)
    data = read_images(tmp_path / "vehicles", SMALL, cache=cache)
    assert data.classes == ("bus", "train", "tram")


def emptied(path: Path) -> None:
    path.mkdir()


def without_classes(path: Path) -> None:
    fill(path, 3)


def without_pictures(path: Path) -> None:
    (path / "a").mkdir(parents=True)
    (path / "b").mkdir()
    (path / "b" / "notes.txt").write_text("hello")


def one_class(path: Path) -> None:
    fill(path / "cat", 10)


def unseen(path: Path) -> None:
    for name in ("train/a", "train/b", "val/a", "val/c"):
        fill(path / name, 3)


def no_train(path: Path) -> None:
    fill(path / "val" / "a", 3)


def empty_val(path: Path) -> None:
    fill(path / "train" / "a", 3)
    fill(path / "train" / "b", 3)
    (path / "val").mkdir()


def twice(path: Path) -> None:
    for name in ("train/a", "train/b", "val/a", "validation/b"):
        fill(path / name, 3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "does not exist, expected a folder of class folders"),
        (lambda path: path.write_text("x"), "is a file, expected a folder of class folders"),
        (emptied, r"The folder '.*data' is empty\. Expected train/ and val/"),
        (without_classes, r"The folder '.*data' has no class folders\. Expected train/"),
        (without_pictures, "no pictures in the class folders of '.*data', only 1 other file"),
        (one_class, r"'data' has only one class \('cat'\), at least two are needed"),
        (unseen, "'data': the label 'c' occurs in val and not in train"),
        (no_train, "has val and no folder train"),
        (empty_val, r"The folder '.*val' is empty"),
        (twice, "more than one folder for the same part: train, val, validation"),
    ],
)
def test_bad_folders_get_a_sentence(
    tmp_path: Path, cache: PixelCache, make: Any, sentence: str
) -> None:
    make(tmp_path / "data")
    with pytest.raises(BadInput, match=sentence):
        read_images(tmp_path / "data", SMALL, cache=cache)


def test_a_picture_that_changes_while_it_is_used_without_a_cache(
    flat: Path, tmp_path: Path
) -> None:
    part = read_images(flat, SMALL, cache=PixelCache(tmp_path / "cache", 0)).splits["train"]
    picture(7777).save(flat / part.files[2].name)
    with pytest.raises(BadInput, match="has changed since training began"):
        part.pixels([2])


def test_damaged_cache_is_made_anew(flat: Path, cache: PixelCache) -> None:
    first = read_images(flat, SMALL, cache=cache).splits["train"]
    wanted = first.pixels([0, 1, 2]).copy()
    (stored,) = cache.folder.glob("*.pixels")
    stored.write_bytes(stored.read_bytes()[:-1])
    assert np.array_equal(
        read_images(flat, SMALL, cache=cache).splits["train"].pixels([0, 1, 2]), wanted
    )
    next(cache.folder.glob("*.json")).write_text("{")
    assert np.array_equal(
        read_images(flat, SMALL, cache=cache).splits["train"].pixels([0, 1, 2]), wanted
    )


def test_full_disk_means_no_cache_and_no_litter(
    flat: Path, cache: PixelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.data.pixelcache.os.fsync", full)
    data = read_images(flat, SMALL, cache=cache)
    assert list(cache.folder.iterdir()) == []
    assert data.splits["train"].pixels([0]).shape == (1, 8, 12, 3)


def test_sets_used_longest_ago_leave_the_cache(flat: Path, tmp_path: Path) -> None:
    import os

    cache = PixelCache(tmp_path / "cache", 2 * 60 * 8 * 12 * 3)
    for height in (8, 7):
        read_images(flat, ImagePreprocessing(3, height, 12, (0.5,), (0.5,)), cache=cache)
    tall = max(cache.folder.glob("*.pixels"), key=lambda path: path.stat().st_size)
    os.utime(tall.with_suffix(".json"), (1, 1))
    read_images(flat, ImagePreprocessing(3, 6, 12, (0.5,), (0.5,)), cache=cache)
    sizes = sorted(path.stat().st_size for path in cache.folder.glob("*.pixels"))
    assert sizes == [60 * 6 * 12 * 3, 60 * 7 * 12 * 3]
    assert len(list(cache.folder.iterdir())) == 4


def test_cancelling_leaves_nothing_behind(flat: Path, cache: PixelCache) -> None:
    looks = iter([False, True])
    with pytest.raises(Cancelled):
        read_images(flat, SMALL, cache=cache, meter=Meter(cancelled=lambda: next(looks)))
    assert not cache.folder.exists() or list(cache.folder.iterdir()) == []
