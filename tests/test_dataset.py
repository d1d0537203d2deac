"""Data sets: those that ship with models, and a person's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.dataset import Dataset, dataset, open_dataset
from core.data.image import decode
from core.data.text import decode as decode_text
from core.errors import BadInput, BadParameter
from core.models.card import ModelCard
from core.models.catalogue import card, catalogue
from core.results.activations import DataRef
from core.tasks import Example, Task
from sample_models import held_out, heldout, topics, verses
from tests.images import picture, png

CLASSES = ("games", "science", "sound", "graphics", "network")


@pytest.mark.parametrize("name", list(held_out()))
def test_every_sample_model_brings_data(name: str) -> None:
    about = card(name)
    found = dataset(about)
    assert 100 <= len(found) <= 1_000
    assert len(set(found.ids)) == len(found)
    rows = [0, len(found) // 2, len(found) - 1]
    for row, example in zip(rows, found.examples(rows), strict=True):
        assert example == found[row]
        if about.task.axis == "pixels":
            assert min(decode(example).size) >= 28
        elif about.task.axis == "columns":
            assert isinstance(json.loads(example.data), dict)
        else:
            assert decode_text(example)
    assert found.classes == about.classes
    if about.classes:
        assert found.labels is not None
        assert set(found.labels.tolist()) <= {-1, *range(len(about.classes))}
    else:
        assert all(example.outputs for example in found.examples(range(20)))
    again = dataset(about)
    assert (again.fingerprint, again.ids) == (found.fingerprint, found.ids)


def test_all_models_are_covered() -> None:
    assert set(catalogue()) == set(held_out())


def test_opening_data_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from core.data.dataset import dataset\n"
        "from core.models.catalogue import card, catalogue\n"
        "found = [dataset(card(name))[0] for name in catalogue()]\n"
        "print([name for name in ('torch', 'sklearn', 'skimage', 'captum') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_verses_are_held_out() -> None:
    """The translator's and the language model's: no whole verse of them is one to learn from."""
    parts = verses.verse_parts()
    learned = {english for english, _ in parts["train"]}
    translated = dataset(card("translator"))
    assert (
        not {each.data.decode() for each in translated.examples(range(len(translated)))} & learned
    )
    assert translated[0].outputs == (parts["test"][0][1],)
    openings = dataset(card("tiny_lm"))
    whole = [each.data.decode() + each.outputs[0] for each in openings.examples(range(50))]
    assert whole == [english for english, _ in parts["test"] if " " in english][:50]


def test_without_the_real_texts_made_ones_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> str:
        raise BadInput("There is no apt-cache here.")

    monkeypatch.setattr(heldout, "CACHE", tmp_path)
    monkeypatch.setattr(topics, "package_index", nothing)
    for name in ("sentiment", "text_rnn"):
        found = dataset(card(name))
        assert "made for this purpose" in found.notes[1]
        assert "made up" in found.name
        assert found.labels is not None
        assert len(set(np.bincount(found.labels).tolist())) == 1
        assert len(found) == 180
        assert len({each.data for each in found.examples(range(180))}) == 180


def test_an_index_of_another_release_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    index = "\n\n".join(
        f"Package: p{number}\nSection: {section}\nDescription: words about {section} {number}"
        for section in topics.TOPICS
        for number in range(40)
    )
    monkeypatch.setattr(topics, "package_index", lambda: index)
    assert "may have been among those" in dataset(card("text_rnn")).notes[0]


def text_model(
    classes: tuple[str, ...] = CLASSES, task: Task = Task.TEXT_CLASSIFICATION
) -> ModelCard:
    return ModelCard("toy", "toy", task, "", "", classes, None, Path(), None, None, None, (), {})


def write_pictures(root: Path, parts: tuple[str, ...] = ("",)) -> None:
    for part in parts:
        for number, name in enumerate(("7", "3", "thumb")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(number + 1):
                (folder / f"{i}.png").write_bytes(png(picture(40 + i, 40)))
    (root / "notes.txt").write_text("not a picture")


def test_class_folders(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    found = dataset(card("digits_cnn"), tmp_path)
    assert list(found.ids) == [
        "3/0.png",
        "3/1.png",
        "7/0.png",
        *(f"thumb/{i}.png" for i in range(3)),
    ]
    assert found.labels is not None
    assert found.labels.tolist() == [3, 3, 7, -1, -1, -1]
    assert found.classes == tuple("0123456789")
    assert found.columns["label"].tolist() == ["3", "3", "7", "thumb", "thumb", "thumb"]
    assert any("classes that the model does not have: thumb" in note for note in found.notes)
    assert found[1].data == (tmp_path / "3" / "1.png").read_bytes()
    (tmp_path / "3" / "1.png").unlink()  # read when it is asked for, not before
    with pytest.raises(BadInput, match=r"3/1\.png"):
        found[1]


def test_folders_with_parts_and_without_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "parts", ("train", "val"))
    found = dataset(card("digits_cnn"), tmp_path / "parts")
    assert len(found) == 12
    assert set(found.columns["part"].tolist()) == {"train", "val"}
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in (10, 9):
        (flat / f"{number}.png").write_bytes(png(picture()))
    found = dataset(card("digits_cnn"), flat)
    assert (list(found.ids), found.labels) == (["9.png", "10.png"], None)
    with pytest.raises(BadInput, match="does not exist"):
        dataset(card("digits_cnn"), tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_of_texts(kind: str, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "Description": ["a game", " ", "a synthesizer", "a web server"],
            "category": ["Games", "games", "Sound", "elsewhere"],
            "stars": [1.5, 2, 3, 4],
            "author": ["Ann", "Bob", "Cleo", "Dee"],
        }
    )
    path = tmp_path / f"table.{kind}"
    if kind == "jsonl":
        path.write_text(frame.to_json(orient="records", lines=True))
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    found = dataset(text_model(), path)
    assert [each.data.decode() for each in found.examples(range(3))] == [
        "a game",
        "a synthesizer",
        "a web server",
    ]
    assert list(found.ids) == ["row 1", "row 3", "row 4"]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 2, -1]
    assert [str(each) for each in found.columns["author"]] == ["Ann", "Cleo", "Dee"]
    assert [float(each) for each in found.columns["stars"]] == [1.5, 3, 4]
    assert any("1 row without a text" in note for note in found.notes)
    other = dataset(text_model(), path, text="author", label="Description")
    assert other[1].data == b"Bob"
    with pytest.raises(BadInput, match=r"no column 'body'.*Its columns are"):
        dataset(text_model(), path, text="body")


def test_what_a_model_that_writes_should_say(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("source,target\nin the beginning,en el principio\nand so on,\n")
    found = dataset(text_model((), Task.TRANSLATION), path)
    assert found.labels is None
    assert [each.outputs for each in found.examples(range(2))] == [("en el principio",), ()]
    assert found[0].data == b"in the beginning"


def test_lines_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "verses.txt"
    path.write_text("one\n\n  \ntwo, three\n")
    found = dataset(text_model(), path)
    assert list(found.ids) == ["line 1", "line 4"]
    assert [each.data for each in found.examples(range(2))] == [b"one", b"two, three"]
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(BadInput, match="no line with a text"):
        dataset(text_model(), tmp_path / "blank.txt")
    table = tmp_path / "table.csv"
    table.write_text("size,shape,class\n1.5,round,games\n2,,sound\n")
    found = dataset(text_model(task=Task.TABULAR_CLASSIFICATION), table)
    assert [json.loads(each.data) for each in found.examples(range(2))] == [
        {"size": "1.5", "shape": "round"}, {"size": "2", "shape": ""}
    ]  # fmt: skip
    assert found.labels is not None
    assert found.labels.tolist() == [0, 2]


def toys(count: int = 10) -> Dataset:
    return Dataset(
        "toys",
        [f"toy {row}" for row in range(count)],
        lambda row: Example(f"toy {row}", bytes([row + 1])),
        "1" * 64,
        labels=np.arange(count) % 3,
        classes=("ant", "bee", "cat"),
        columns={"size": np.arange(count) / 2},
        source={"model": "toy", "path": ""},
    )


def test_a_limit_spreads_evenly() -> None:
    found = toys().limited(4)
    assert list(found.ids) == ["toy 0", "toy 2", "toy 5", "toy 7"]
    assert [each.data[0] for each in found.examples(range(4))] == [1, 3, 6, 8]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 2, 2, 1]
    assert found.columns["size"].tolist() == [0, 1, 2.5, 3.5]
    assert found.fingerprint != toys().limited(5).fingerprint != toys().fingerprint
    assert toys().limited(0) is not None
    assert len(toys().limited(99)) == 10
    with pytest.raises(BadParameter):
        toys().limited(-1)


def test_batches_read_no_more_than_they_need() -> None:
    read: list[int] = []

    def reading(row: int) -> Example:
        read.append(row)
        return Example(str(row), b"x")

    found = Dataset("toys", [str(row) for row in range(10)], reading, "1" * 64)
    batches = found.batches(4, start=3)
    rows, examples = next(batches)
    assert (rows, [each.name for each in examples]) == (range(3, 7), ["3", "4", "5", "6"])
    assert read == [3, 4, 5, 6]
    assert [rows for rows, _ in batches] == [range(7, 10)]


def test_labels_of_another_model() -> None:
    found = toys().labelled_as(("Cat", "dog", "ANT"))
    assert found.labels is not None
    assert found.labels.tolist()[:3] == [2, -1, 0]
    assert found.columns["label"].tolist()[:3] == ["ant", "bee", "cat"]
    assert toys().labelled_as(("x", "y")).labels is None


def test_data_that_changed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\nthree\n")
    found = dataset(card("text_rnn"), path, limit=2)
    ref = DataRef(
        **json.loads(
            json.dumps(
                {"name": found.name, "fingerprint": found.fingerprint, "source": dict(found.source)}
            )
        )
    )
    assert open_dataset(ref).ids == found.ids
    path.write_text("one\ntwo\nfour\n")
    with pytest.raises(BadInput, match="are not what they were"):
        open_dataset(ref)


def test_a_data_set_is_never_empty_or_uneven() -> None:
    with pytest.raises(BadInput, match="holds no example"):
        Dataset("none", [], lambda row: Example("", b"x"), "")
    with pytest.raises(ValueError, match="labels has shape"):
        Dataset("odd", ["a"], lambda row: Example("", b"x"), "", labels=np.zeros(2, np.int64))
    with pytest.raises(BadInput, match="No data come with 'toy'"):
        dataset(text_model())
