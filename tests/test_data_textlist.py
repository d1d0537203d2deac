"""Many texts in one file, each as an example of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.data import textlist
from core.data.textlist import read_list
from core.errors import BadInput

TEXTS = ["plain", 'a "quoted",\nline', "日本語 👩‍👩‍👧 שלום", "<script>alert(1)</script>", "12"]


def written(path: Path, column: str = "text") -> Path:
    if path.suffix == ".jsonl":
        path.write_text(
            "\n".join(json.dumps({"id": i, column: text}) for i, text in enumerate(TEXTS))
        )
    else:
        rows = [f'{i},"{text.replace(chr(34), chr(34) * 2)}"' for i, text in enumerate(TEXTS)]
        path.write_text("\n".join([f"id,{column}", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("column", ["text", "Review", "Sentence"])
@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_texts_come_out_as_they_stand(tmp_path: Path, name: str, column: str) -> None:
    found, notes = read_list(written(tmp_path / name, column))
    assert [example.data.decode() for example in found] == TEXTS
    assert [example.name for example in found] == [f"list-{row}" for row in range(1, 6)]
    assert notes == ()


def test_a_column_by_name_or_the_only_one(tmp_path: Path) -> None:
    path = written(tmp_path / "list.csv", "words")
    found, _ = read_list(path, "words")
    assert [example.data.decode() for example in found] == TEXTS
    with pytest.raises(BadInput, match=r"no column 'text'.*id.*words"):
        read_list(path)
    with pytest.raises(BadInput, match=r"no column 'text'.*id.*words"):
        read_list(path, "text")
    (tmp_path / "one.csv").write_text("anything\nfirst\nsecond\n")
    assert [example.data for example in read_list(tmp_path / "one.csv")[0]] == [b"first", b"second"]


def test_what_is_assumed_or_left_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes("id,text\n1,café\n2,\n3,  \n4,thé\n".encode("cp1252"))
    found, notes = read_list(tmp_path / "old.csv")
    assert [(each.name, each.data.decode()) for each in found] == [
        ("old-1", "café"),
        ("old-4", "thé"),
    ]
    assert any("Windows-1252" in note for note in notes)
    assert "2 of 4 rows have no text and are left out" in notes


def test_no_text_and_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.csv").write_text("id,text\n1,\n2,\n")
    with pytest.raises(BadInput, match="no row with a text"):
        read_list(tmp_path / "empty.csv")
    monkeypatch.setattr(textlist, "MOST", 4)
    with pytest.raises(BadInput, match="4"):
        read_list(written(tmp_path / "list.csv"))
    with pytest.raises(BadInput, match="no file"):
        read_list(tmp_path / "gone.csv")
