"""One file from a live network, and the dashboard on it."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
import torch
from test_exported_clean import Net
from test_exported_module import Recurrent, Two
from torch import Tensor, nn

import core
from core.errors import BadInput, BadModel
from core.models.exported import made, own
from core.models.exported.clean import clean
from core.models.exported.description import Description, completed
from core.models.exported.tokens import WordList, of
from core.models.exported.trial import tried
from core.tasks import Task

WORDS = ["<pad>", "<unk>", "the", "film", "was", "not", "good", ",", "bad"]


class Branching(nn.Module):
    """What it does depends on a value."""

    def forward(self, rows: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return rows if rows.sum() > 0 else -rows


def test_a_file_carries_what_it_is_for(tmp_path: Path) -> None:
    net = Net().train()
    path = core.pack(
        net,
        torch.rand(1, 1, 8, 8),
        tmp_path / "net",
        task="image-classification",
        classes=["round", "square", "long"],
        preprocessing={"size": 8, "mean": 0.5, "std": 0.25},
        title="Shapes",
    )
    assert path == tmp_path / "net.pt2"
    assert net.training
    found = tried(clean(path, tmp_path / "out.pt2"), tmp_path / "out.pt2")
    said = Description.read(found["card"])
    assert said == Description(
        title="Shapes",
        task=Task.IMAGE_CLASSIFICATION,
        classes=("round", "square", "long"),
        preprocessing={"height": 8, "width": 8, "mean": 0.5, "std": 0.25},
    )
    _, notes = completed(said, found)
    assert notes == ()
    assert found["inputs"][0]["most"][0] is None  # any number of examples, though one was shown
    assert found["lengths"] == [1, None]


def test_texts_bring_their_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.tensor([[2, 3, 4, 6, 1], [2, 3, 4, 5, 6]])
    path = core.pack(
        Recurrent(), ids, tmp_path / "net.pt2", classes=["bad", "good"], tokenizer=WORDS
    )
    # Opened here, so that the test needs no process of its own.
    monkeypatch.setattr(own, "opened", lambda source, to: json.loads(
        json.dumps(tried(clean(source, to), to))
    ))  # fmt: skip
    added = own.add(path, name="words")
    about = own.card(added.name)
    assert about.task is Task.TEXT_CLASSIFICATION
    tokenizer = of(about)
    read = tokenizer.encode("The film was not good, honestly!")
    assert read.pieces == ("The", "film", "was", "not", "good", ",", "honestly", "!")
    assert read.ids == (2, 3, 4, 5, 6, 7, 1, 1)
    assert tokenizer.decode(read.ids) == "the film was not good , <unk> <unk>"
    loaded = made.module(**about.arguments)
    with torch.no_grad():
        assert loaded(torch.tensor([read.ids])).shape == (1, 2)
    with pytest.raises(BadModel, match="none for those"):
        WordList(["a"], {}, None)
    rows = about.raw["found"]["embedding"]
    about.raw["tokenizer"]["words"] = [*WORDS, *map(str, range(rows + 1 - len(WORDS)))]
    with pytest.raises(BadModel, match=f"knows {rows + 1} tokens, the model {rows}"):
        of(about)


def test_several_inputs_are_the_columns_of_a_table(tmp_path: Path) -> None:
    columns = ["age", "height", "weight", "pulse", "a", "b", "c"]
    path = core.pack(
        Two(),
        (torch.rand(2, 4), torch.rand(2, 3)),
        tmp_path / "net.pt2",
        preprocessing={"features": columns},
    )
    found = tried(clean(path, tmp_path / "out.pt2"), tmp_path / "out.pt2")
    said, _ = completed(Description.read(found["card"]), found)
    assert said.task is Task.TABULAR_CLASSIFICATION
    assert [each["name"] for each in said.preprocessing["features"]] == columns
    assert found["widths"] == [4, 3]


def test_what_cannot_be_packed_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="'Branching' cannot be exported"):
        core.pack(Branching(), torch.rand(2, 3), tmp_path / "net.pt2")
    with pytest.raises(BadInput, match="no tensor"):
        core.pack(Net(), "picture", tmp_path / "net.pt2")
    with pytest.raises(BadModel, match="2 names of classes, and the network has 3"):
        core.pack(Net(), torch.rand(2, 1, 8, 8), tmp_path / "net.pt2", classes=["a", "b"])


@pytest.mark.browser
def test_the_dashboard_opens_on_a_model() -> None:
    with core.show("digits_cnn", browser=False) as shown:
        assert shown.url.endswith("/?model=digits_cnn")
        address = shown.url.partition("?")[0] + "_stcore/health"
        with build_opener(ProxyHandler({})).open(address, timeout=60) as answer:
            assert answer.read() == b"ok"
