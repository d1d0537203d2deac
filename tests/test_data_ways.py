"""Ways in for a person's own data: whichever way the same pictures or texts come, they and their
labels are the same; what lies or would run something is refused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.dataset import Dataset, dataset, open_dataset
from core.data.image import decode
from core.errors import BadInput
from core.models.catalogue import card
from tests.images import picture, png

DIGITS = ("3", "7", "1", "3")
CLASSES = tuple("0123456789")


def images() -> np.ndarray:
    """uint8 ``[4, 12, 10]``, all different."""
    return np.random.default_rng(0).integers(0, 256, (4, 12, 10), dtype=np.uint8)


def folder(place: Path) -> Path:
    for row, (pixels, label) in enumerate(zip(images(), DIGITS, strict=True)):
        path = place / "pictures" / label / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_of(pixels))
    return place / "pictures"


def file_of(pixels: np.ndarray) -> bytes:
    from PIL import Image

    return png(Image.fromarray(pixels))


def zipped(place: Path, top: str = "") -> Path:
    root = folder(place)
    with zipfile.ZipFile(place / "pictures.zip", "w") as file:
        for path in sorted(root.rglob("*.png")):
            file.write(path, f"{top}{path.relative_to(root).as_posix()}")
        if top:
            file.writestr(f"{top}README.md", "# Pictures")
    return place / "pictures.zip"


def table(names: tuple[str, ...] | None = CLASSES) -> pa.Table:
    """As Hugging Face writes pictures: bytes beside a path, labels as numbers with names."""
    told = {"image": {"_type": "Image"}, "label": {"_type": "Value", "dtype": "int64"}}
    if names is not None:
        told["label"] = {"_type": "ClassLabel", "names": list(names)}  # type: ignore[dict-item]
    rows = [{"bytes": file_of(pixels), "path": f"{n}.png"} for n, pixels in enumerate(images())]
    made = pa.table(
        {"image": rows, "label": [int(each) for each in DIGITS]},
        schema=pa.schema(
            {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()}
        ),
    )
    about = json.dumps({"info": {"features": told}})
    return made.replace_schema_metadata({"huggingface": about})


def saved(place: Path, rows: pa.Table | None = None, name: str = "saved") -> Path:
    root = place / name
    root.mkdir()
    rows = table() if rows is None else rows
    path = str(root / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)
    features = json.loads(rows.schema.metadata[b"huggingface"])["info"]["features"]
    (root / "dataset_info.json").write_text(json.dumps({"features": features}))
    (root / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})
    )
    return root


def saved_zip(place: Path) -> Path:
    root = saved(place)
    with zipfile.ZipFile(place / "saved.zip", "w") as file:
        for path in root.iterdir():
            file.write(path, f"mine/{path.name}")
    return place / "saved.zip"


def parquet(place: Path) -> Path:
    pq.write_table(table(), place / "rows.parquet", row_group_size=3)
    return place / "rows.parquet"


def npz(place: Path, **arrays: np.ndarray) -> Path:
    given = arrays or {"images": images(), "labels": np.array(DIGITS, np.int64)}
    np.savez_compressed(place / "arrays.npz", **given)
    return place / "arrays.npz"


WAYS: dict[str, Callable[[Path], Path]] = {
    "folder": folder,
    "zip": zipped,
    "zip of a folder": lambda place: zipped(place, "mine/"),
    "arrow": saved,
    "zip of arrow": saved_zip,
    "parquet": parquet,
    "npz": npz,
    "npz of floats": lambda place: npz(
        place, x_train=images() / 255, y_train=np.array(DIGITS, np.float64)[:, None]
    ),
}


def seen(found: Dataset) -> dict[bytes, int]:
    """The label of each picture by its pixels."""
    assert found.labels is not None
    return {
        decode(found[row]).tobytes(): int(label) for row, label in enumerate(found.labels.tolist())
    }


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_gives_the_same_pictures_and_labels(way: str, tmp_path: Path) -> None:
    found = dataset(card("digits_cnn"), WAYS[way](tmp_path))
    expected = {
        pixels.tobytes(): int(label) for pixels, label in zip(images(), DIGITS, strict=True)
    }
    assert seen(found) == expected
    assert found.classes == CLASSES
    assert len(set(found.ids)) == 4
    again = open_dataset(found.ref)
    assert again[3] == found[3]
    assert decode(found.examples([2])[0]).size == (10, 12)


def test_an_npy_streams_and_has_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.stack([images()] * 3, axis=1))  # [n, 3, height, width]
    found = dataset(card("digits_cnn"), path)
    assert found.labels is None
    assert np.array_equal(np.asarray(decode(found[1]))[:, :, 0], images()[1])


def test_parts_and_names_of_classes(tmp_path: Path) -> None:
    more = {
        "train_images": images(),
        "train_labels": np.array([0, 1, 1, 2]),
        "test_images": images()[:2],
        "test_labels": np.array([2, -1]),
        "classes": np.array(["Bag", "coat", "hat"]),
        "extra": np.zeros(3),
    }
    found = dataset(card("fashion_cnn"), npz(tmp_path, **more))
    assert found.columns["part"].tolist() == ["train"] * 4 + ["test"] * 2
    assert found.columns["label"].tolist() == ["Bag", "coat", "coat", "hat", "hat", ""]
    assert found.labels is not None
    names = [card("fashion_cnn").classes[label] if label >= 0 else "" for label in found.labels]
    assert [each.lower() for each in names] == ["bag", "coat", "coat", "", "", ""]
    assert ("extra", "neither examples nor labels") in found.skipped


def test_numbers_of_classes(tmp_path: Path) -> None:
    """Labels 3, 7 … where the model's classes are words: their numbers."""
    found = dataset(card("fashion_cnn"), saved(tmp_path, table(None)))
    assert found.labels is not None
    assert found.labels.tolist() == [int(each) for each in DIGITS]
    assert any("numbers of classes" in note for note in found.notes)


def test_a_data_set_with_parts(tmp_path: Path) -> None:
    for part in ("test", "train"):
        saved(tmp_path, name=part)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = dataset(card("digits_cnn"), tmp_path)
    assert found.columns["part"].tolist() == ["train"] * 4 + ["test"] * 4
    assert decode(found[5]).tobytes() == images()[1].tobytes()


def test_texts_saved_to_disk_are_those_of_a_table(tmp_path: Path) -> None:
    texts, labels = ["a game", " ", "a synthesizer"], [0, 1, 2]
    told = {
        "text": {"_type": "Value", "dtype": "string"},
        "topic": {"_type": "ClassLabel", "names": ["games", "science", "sound"]},
    }
    rows = pa.table({"text": texts, "topic": labels, "stars": [1.0, 2.0, 3.0]})
    rows = rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": told}})})
    model = card("text_rnn")
    from_disk = dataset(model, saved(tmp_path, rows))
    (tmp_path / "texts.csv").write_text(
        "text,topic,stars\na game,games,1\n ,science,2\na synthesizer,sound,3\n"
    )
    from_csv = dataset(model, tmp_path / "texts.csv", label="topic")
    assert from_disk.examples([0, 1]) == from_csv.examples([0, 1])
    assert from_disk.labels is not None
    assert from_csv.labels is not None
    assert from_disk.labels.tolist() == from_csv.labels.tolist()
    assert from_disk.skipped == from_csv.skipped == (("row 2", "without a text"),)
    assert from_disk.columns["stars"].tolist() == [1.0, 3.0]


def test_texts_in_files_and_zips_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "texts.zip"
    with zipfile.ZipFile(path, "w") as file:
        for label, text in (("games", "a game"), ("sound", "a synthesizer")):
            file.writestr(f"texts/{label}/1.txt", text)
    found = dataset(card("text_rnn"), path)
    assert [each.data for each in found.examples([0, 1])] == [b"a game", b"a synthesizer"]
    assert found.columns["label"].tolist() == ["games", "sound"]
    assert found.labels is not None
    with zipfile.ZipFile(path, "w") as file:
        for part, text in (("train", "a game"), ("test", "a synthesizer")):
            file.writestr(f"{part}.csv", f"text,label\n{text},games\n")
    found = dataset(card("text_rnn"), path)
    assert found.columns["part"].tolist() == ["train", "test"]
    assert found[1].data == b"a synthesizer"


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    raw = BytesIO()
    np.lib.format.write_array_header_1_0(
        raw, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return raw.getvalue() + bytes(900)


def test_a_header_that_lies(tmp_path: Path) -> None:
    """20 GB claimed in 1 kB."""
    lie = header((5_000_000, 32, 32))
    (tmp_path / "lie.npy").write_bytes(lie)
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as file:
        file.writestr("images.npy", lie)
    with pytest.raises(BadInput, match="claims more than the file has"):
        dataset(card("digits_cnn"), tmp_path / "lie.npy")
    with pytest.raises(BadInput, match=r"claims 20,480,000,000 bytes, 900 are there"):
        dataset(card("digits_cnn"), tmp_path / "lie.npz")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_a_pickle_never_runs(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    evil = np.array([Bomb(trace), None], dtype=object)
    path = tmp_path / f"evil.{kind}"
    if kind == "npy":
        np.save(path, evil, allow_pickle=True)
    else:
        np.savez(path, images=images()[:2], labels=evil)
    with pytest.raises(BadInput, match=r"Python objects \(a pickle\), which are never opened"):
        dataset(card("digits_cnn"), path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": images(), "labels": np.arange(3)}, r"labels of shape \(3,\)"),
        ({"images": np.full((4, 9, 9), np.nan)}, "NaN or infinite"),
        ({"images": np.zeros((4, 9))}, r"images of shape \(4, 9\)"),
        ({"a": images(), "b": images()}, "which are the examples"),
        ({"images": images()[:0]}, "no example"),
        ({"images": images(), "labels": np.zeros(4, complex)}, "labels are complex"),
    ],
)
def test_arrays_that_do_not_fit(
    arrays: dict[str, np.ndarray], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence):
        dataset(card("digits_cnn"), npz(tmp_path, **arrays))


def test_rows_without_a_picture_are_listed(tmp_path: Path) -> None:
    rows = [
        {"bytes": file_of(images()[0]), "path": None},
        {"bytes": None, "path": "/etc/passwd"},
        {"bytes": b"GIF89a nothing", "path": None},
    ]
    pq.write_table(pa.table({"image": rows, "label": ["3", "7", "1"]}), tmp_path / "rows.parquet")
    found = dataset(card("digits_cnn"), tmp_path / "rows.parquet")
    assert len(found) == 1
    assert [each.name for each in found.skipped] == ["row 2", "row 3"]
    assert "which is not followed" in found.skipped[0].reason


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_arrow_files_that_are_cut_off(share: float, tmp_path: Path) -> None:
    path = saved(tmp_path) / "data-00000-of-00001.arrow"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(BadInput, match=r"damaged or cut off|no row"):
        dataset(card("digits_cnn"), path.parent)


def test_rows_of_arrays_for_a_model_of_tables(tmp_path: Path) -> None:
    model = card("two_features")
    features = [each["name"] for each in model.raw["preprocessing"]["features"]]
    values = np.arange(2 * len(features), dtype=np.float64).reshape(2, -1)
    found = dataset(model, npz(tmp_path, x=values, y=np.array([0, 1])))
    assert json.loads(found[1].data) == dict(zip(features, values[1].tolist(), strict=True))
    with pytest.raises(BadInput, match="the model reads"):
        dataset(model, npz(tmp_path, x=values[:, 1:]))


def test_a_picture_alone_is_no_data_set(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    path.write_bytes(png(picture()))
    with pytest.raises(BadInput, match="no data set of pictures"):
        dataset(card("digits_cnn"), path)


@pytest.mark.parametrize("way", ["arrow", "parquet", "npz", "zip"])
def test_damage_anywhere_ends_in_a_sentence(way: str, tmp_path: Path) -> None:
    """Bytes changed at random: the data are read, or refused, and nothing else."""
    place = WAYS[way](tmp_path)
    file = next(place.glob("*.arrow")) if place.is_dir() else place
    raw = file.read_bytes()
    random = np.random.default_rng(5)
    refused = 0
    for _ in range(40):
        damaged = bytearray(raw)
        for at in random.integers(0, len(raw), 2).tolist():
            damaged[at] = random.integers(256)
        file.write_bytes(damaged)
        try:
            found = dataset(card("digits_cnn"), place)
            found.examples(range(len(found)))
        except BadInput:
            refused += 1
    assert refused


def test_what_streams(tmp_path: Path) -> None:
    """Pictures and rows with pictures are read from disk when asked for; an npz is in memory."""
    held = {}
    for number, (way, make) in enumerate(WAYS.items()):
        place = tmp_path / str(number)
        place.mkdir()
        held[way] = dataset(card("digits_cnn"), make(place)).held
    np.save(tmp_path / "images.npy", images())
    held["npy"] = dataset(card("digits_cnn"), tmp_path / "images.npy").held
    assert [way for way, inside in held.items() if inside] == ["npz", "npz of floats"]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint8, np.uint16])
def test_values_that_stay_far_below_the_usual_are_stretched(
    kind: type[np.generic], tmp_path: Path
) -> None:
    """The digits of scikit-learn are numbers from 0 to 16, in whatever type."""
    few = np.rint(images() / 255 * 16)
    few[0, 0, 0] = 16
    found = dataset(card("digits_cnn"), npz(tmp_path, images=few.astype(kind)))
    for row in range(len(few)):
        assert np.array_equal(decode(found[row]), np.rint(few[row] * 255 / 16))
    assert found.notes == ("values from 0 (black) to 16 (white)",)


@pytest.mark.parametrize(("kind", "most"), [(np.float32, 1), (np.uint8, 255), (np.uint16, 65535)])
def test_usual_values_are_not(kind: type[np.generic], most: int, tmp_path: Path) -> None:
    dark = np.full((3, 4, 4), most * 0.6).astype(kind)
    found = dataset(card("digits_cnn"), npz(tmp_path, images=dark))
    assert np.array_equal(decode(found[0]), np.rint(dark[0].astype(np.float64) * (255 / most)))
    assert not found.notes


def test_a_column_of_the_models_classes_is_found_by_what_it_holds(tmp_path: Path) -> None:
    rows = ["review,stars,about", "a game,1,Games", "a mixer,0,sound ", "a physics game,1,games"]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    model = card("text_rnn")
    found = dataset(model, tmp_path / "rows.csv")
    assert found.taken["label"] == "about"
    assert found.labels is not None
    assert [model.classes[each] for each in found.labels] == ["games", "sound", "games"]
    assert any("'about' holds names of classes" in note for note in found.notes)
    (tmp_path / "two.csv").write_text("\n".join(f"{each},{each.split(',')[2]}" for each in rows))
    (tmp_path / "odd.csv").write_text("\n".join([*rows, "something,0,elsewhere"]))
    for name in ("two.csv", "odd.csv"):
        assert dataset(model, tmp_path / name).labels is None
