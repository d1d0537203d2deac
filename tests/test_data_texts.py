"""Labelled texts and sentence pairs: encodings, quotation marks, empty lines and parallel files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.data.texts import TextData, read_pairs, read_texts
from core.errors import BadInput


def rows(count: int = 60, text: str = "this is café number {}") -> list[str]:
    return [f"{text.format(i)}\t{'ab'[i % 2]}" for i in range(count)]


def tsv(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding=encoding, newline="")
    return path


def everything(data: TextData) -> list[tuple[str, str]]:
    return sorted(
        (text, data.classes[label])
        for part in data.parts.values()
        for text, label in zip(part.texts, part.labels.tolist(), strict=True)
    )


EXPECTED = sorted((f"this is café number {i}", "ab"[i % 2]) for i in range(60))


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ()),
        ("utf-8-sig", ()),
        ("utf-16", ("'texts.tsv' is read as UTF-16",)),
        ("utf-16-le", ("'texts.tsv' is read as UTF-16-LE",)),
        ("utf-16-be", ("'texts.tsv' is read as UTF-16-BE",)),
        ("utf-32", ("'texts.tsv' is read as UTF-32",)),
        (
            "cp1252",
            ("'texts.tsv' is not UTF-8 (byte 22), it is read as Windows-1252 (Western European)",),
        ),
    ],
)
def test_encodings_are_found_out_and_said(
    tmp_path: Path, encoding: str, said: tuple[str, ...]
) -> None:
    data = read_texts(tsv(tmp_path / "texts.tsv", rows(), encoding))
    assert everything(data) == EXPECTED
    assert data.notes == said
    assert {name: len(part) for name, part in data.parts.items()} == {
        "train": 48,
        "val": 6,
        "test": 6,
    }


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl", "texts.parquet"])
def test_other_formats_give_the_same_texts(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"label": [b for _, b in EXPECTED], "review": [a for a, _ in EXPECTED]})
    frame.insert(0, "stars", 3)
    path = tmp_path / name
    if name.endswith("csv"):
        frame.to_csv(path, index=False)
    elif name.endswith("jsonl"):
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    assert everything(read_texts(path)) == EXPECTED


def test_quotation_marks_that_enclose_and_those_that_do_not(tmp_path: Path) -> None:
    enclosing = "text,label\n" + "".join(
        f'"line {i}, with\nan ""end"" within",{"ab"[i % 2]}\n' for i in range(40)
    )
    (tmp_path / "texts.csv").write_text(enclosing)
    data = read_texts(tmp_path / "texts.csv")
    assert everything(data)[0][0] == 'line 0, with\nan "end" within'
    assert len(everything(data)) == 40
    loose = [f'"quoted at the beginning {i}\t{"ab"[i % 2]}' for i in range(40)]
    data = read_texts(tsv(tmp_path / "texts.tsv", loose))
    assert everything(data)[0][0] == '"quoted at the beginning 0'
    assert len(everything(data)) == 40
    assert data.notes == ("quotation marks in 'texts.tsv' are taken as text",)


def test_empty_and_repeated_texts_are_said(tmp_path: Path) -> None:
    lines = rows()
    lines[3] = "\ta"
    lines[4] = "no label\t"
    data = read_texts(tsv(tmp_path / "texts.tsv", lines))
    assert len(everything(data)) == 58
    assert data.notes == ("2 rows without a text or label skipped",)
    same = read_texts(tsv(tmp_path / "same.tsv", rows(60, "the same")))
    assert same.notes == (
        "6 of 6 texts in val also in train",
        "6 of 6 texts in test also in train",
    )


def test_texts_are_split_by_seed_or_column(tmp_path: Path) -> None:
    path = tsv(tmp_path / "texts.tsv", rows())

    def prints(seed: int) -> list[str]:
        return [part.fingerprint() for part in read_texts(path, seed=seed).parts.values()]

    assert prints(1) == prints(1)
    assert prints(1) != prints(2)
    tsv(path, [line.replace("number 7", "number seven") for line in rows()])
    assert prints(1) != prints(2)
    named = ["text\tlabel\tsplit"] + [
        f"{line}\t{('train', 'dev')[i > 39]}" for i, line in enumerate(rows())
    ]
    (tmp_path / "named.tsv").write_text("\n".join(named), encoding="utf-8")
    parts = read_texts(tmp_path / "named.tsv").parts
    assert parts["train"].texts == tuple(f"this is café number {i}" for i in range(40))
    assert len(parts["val"]) == 20


def test_fingerprint_keeps_texts_apart(tmp_path: Path) -> None:
    first, second = ("ab", "c"), ("a", "bc")
    prints = set()
    for words in (first, second):
        for side in ("en", "es"):
            (tmp_path / f"train.{side}").write_text("\n".join([*words, "x", "y"]))
            (tmp_path / f"val.{side}").write_text("z")
        prints.add(read_pairs(tmp_path).parts["train"].fingerprint())
    assert len(prints) == 2


def test_bad_texts_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    tsv(path, [f"{i}\ta" for i in range(9)])
    with pytest.raises(BadInput, match=r"'texts.tsv' has only one class \('a'\)"):
        read_texts(path)
    with pytest.raises(BadInput, match=r"no column 'topic'. Its columns are 'text', 'label'"):
        read_texts(path, label="topic")
    with pytest.raises(BadInput, match=r"no column 'body'. Its columns are 'text'"):
        read_texts(path, text="body")
    tsv(path, [f"text {i}\t{i}" for i in range(50)])
    with pytest.raises(BadInput, match="50 different values in 50 rows: these are no classes"):
        read_texts(path)
    tsv(path, ["\ta", "\tb"])
    with pytest.raises(BadInput, match="has no row with a text and a label"):
        read_texts(path)
    path.write_bytes(b"text\tlabel\nna\xc3\x8fve\x81 \xff\ta\n")
    with pytest.raises(BadInput, match=r"neither UTF-8 \(wrong at byte 17\) nor UTF-16 nor Windo"):
        read_texts(path)
    path.write_bytes("\ufefftext\tlabel\nx\ta\n".encode("utf-16-le")[:-1])
    with pytest.raises(BadInput, match="begins as UTF-16 and is not valid UTF-16"):
        read_texts(path)


def parallel(folder: Path, english: list[str], spanish: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "en.txt").write_bytes("\n".join(english).encode())
    (folder / "es.txt").write_bytes("\r\n".join(spanish).encode("cp1252"))
    return folder


def test_parallel_files_stay_parallel(tmp_path: Path) -> None:
    english = [f"hello\u2028again\x0b {i}" for i in range(40)]
    spanish = [f"¡buenos días {i}!" for i in range(40)]
    english[7] = spanish[9] = " "
    data = read_pairs(parallel(tmp_path / "pairs", english, spanish))
    assert data.names == ("en", "es")
    pairs = {
        pair
        for part in data.parts.values()
        for pair in zip(part.sources, part.targets, strict=True)
    }
    assert pairs == {(f"hello\u2028again\x0b {i}", f"¡buenos días {i}!") for i in range(40)} - {
        (f"hello\u2028again\x0b {i}", f"¡buenos días {i}!") for i in (7, 9)
    }
    assert data.notes == (
        "'es.txt' is not UTF-8 (byte 0), it is read as Windows-1252 (Western European)",
        "2 pairs of which one side is empty skipped",
    )
    two = read_pairs(tmp_path / "pairs" / "en.txt", tmp_path / "pairs" / "es.txt")
    assert two == data


def test_parallel_files_per_part_and_tables_of_pairs(tmp_path: Path) -> None:
    for part, count in (("train", 20), ("val", 4), ("test", 3)):
        for side in ("de", "fr"):
            lines = [f"{side} {part} {i}" for i in range(count)]
            (tmp_path / f"{part}.{side}").write_text("\n".join(lines) + "\n")
    data = read_pairs(tmp_path)
    assert data.names == ("de", "fr")
    assert {name: len(part) for name, part in data.parts.items()} == {
        "train": 20,
        "val": 4,
        "test": 3,
    }
    assert data.parts["val"].targets == tuple(f"fr val {i}" for i in range(4))
    table = tmp_path / "pairs.tsv"
    table.write_text("english\tspanish\n" + "".join(f"yes {i}\tsí {i}\n" for i in range(30)))
    data = read_pairs(table)
    assert data.names == ("english", "spanish")
    assert data.notes == ("columns 'english' and 'spanish' are taken as source and target",)
    assert sum(map(len, data.parts.values())) == 30


def test_bad_pairs_get_a_sentence(tmp_path: Path) -> None:
    folder = parallel(tmp_path / "pairs", ["a", "b", "c"], ["a", "b"])
    with pytest.raises(BadInput, match=r"'en.txt' has 3 lines and 'es.txt' 2 lines: they are not"):
        read_pairs(folder)
    with pytest.raises(BadInput, match=r"'en.txt' is one text file, two are needed"):
        read_pairs(folder / "en.txt")
    (folder / "fr.txt").write_text("a\n")
    with pytest.raises(BadInput, match=r"has 3 text files \('en.txt', 'es.txt', 'fr.txt'\)"):
        read_pairs(folder)
    table = tmp_path / "pairs.csv"
    table.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(BadInput, match=r"no column 'source'. Its columns are 'a', 'b', 'c'"):
        read_pairs(table)
    (folder / "fr.txt").unlink()
    parallel(folder, ["", "a"], ["b", "", ""])
    with pytest.raises(BadInput, match=r"There is no pair of sentences in 'en.txt' and 'es.txt'"):
        read_pairs(folder)
    with pytest.raises(BadInput, match="There is no file"):
        read_pairs(tmp_path / "nowhere")
