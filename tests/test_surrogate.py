"""A tree in place of a model: that of a tree is that tree, and its words say what it does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from core.activations.capture import capture
from core.codec import decode, encode
from core.data.dataset import dataset
from core.data.table import Feature
from core.errors import BadInput, BadParameter, NotValid, UnknownName
from core.models.catalogue import card, reference
from core.models.loaded import LoadedModel
from core.models.loader import load
from core.models.reference import ModelRef
from core.models.tabular import TabularAdapter
from core.progress import Meter
from core.results import Surrogate
from core.surrogate.features import regions
from core.surrogate.fit import surrogate
from core.surrogate.rules import rules, way
from core.tasks import Example
from dashboard.figures.surrogate import surrogate_tree

TREE = "sklearn.tree._tree.Tree"
COLUMNS = (
    Feature("worst area", mean=880.0, std=570.0, indicator=True),
    Feature("colour", ("blue", "red"), frequencies=(0.5, 0.5)),
    Feature("texture", mean=20.0, std=4.0),
)
AREA, TEXTURE = (880.9 - 880) / 570, (22 - 20) / 4


CLASSES = ("small", "red", "smooth", "rough")


class Thresholds(nn.Module):
    """``small`` up to an area of 880.9, else ``red`` if it is, else ``smooth`` up to a texture of
    22, else ``rough``; inputs are area, area missing, blue, red, texture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        values = self.inside(values)
        rest = torch.where(values[:, 4] > TEXTURE, 3, 2)
        rest = torch.where(values[:, 3] > 0.5, 1, rest)
        place = torch.where(values[:, 0] > AREA, rest, 0)
        return 6.0 * nn.functional.one_hot(place, 4)


class Always(Thresholds):
    """``small``, whatever comes."""

    def forward(self, values: Tensor) -> Tensor:
        values = self.inside(values)
        return torch.eye(4)[torch.zeros(len(values), dtype=torch.int64)]


def toy(module: nn.Module) -> LoadedModel:
    adapter = TabularAdapter(CLASSES, COLUMNS)
    about = replace(card("tabular_mlp"), classes=CLASSES)
    return LoadedModel(
        ModelRef("toy", "0" * 64), about, adapter, torch.device("cpu"), module.eval()
    )


def table(path: Path, count: int = 300, gaps: bool = False) -> pd.DataFrame:
    """Rows that no threshold of the model passes closely."""
    random = np.random.default_rng(3)
    area = np.where(random.random(count) < 0.5, random.uniform(100, 870, count), 0)
    area = np.where(area == 0, random.uniform(892, 2000, count), area)
    texture = np.where(random.random(count) < 0.5, random.uniform(9, 21.5, count), 0)
    texture = np.where(texture == 0, random.uniform(22.5, 40, count), texture)
    frame = pd.DataFrame(
        {
            "worst area": area.round(2),
            "colour": np.where(random.random(count) < 0.5, "red", "blue"),
            "texture": texture.round(2),
        }
    )
    if gaps:
        frame.loc[::9, "worst area"] = np.nan
    frame.to_csv(path, index=False)
    return frame


def made(
    folder: Path, module: nn.Module, count: int = 300, gaps: bool = False, **asked: Any
) -> tuple[Surrogate, pd.DataFrame]:
    folder.mkdir(exist_ok=True)
    frame = table(folder / "table.csv", count, gaps)
    model = toy(module)
    data = dataset(card("tabular_mlp"), folder / "table.csv")
    found = capture(model, data, folder / "capture")
    one = asked.pop("one", ())
    parameters = {"capture": str(found.folder), **asked}
    return surrogate(model, one, parameters, 0, Meter()), frame


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Surrogate, pd.DataFrame]:
    row = Example("mine", json.dumps({"worst area": 990, "colour": "blue", "texture": 3}).encode())
    return made(tmp_path_factory.mktemp("tree"), Thresholds(), depth=3, one=(row,))


def truth(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """What the model says, from the raw columns."""
    rest = np.where(frame["texture"] > 22, "rough", "smooth")
    rest = np.where(frame["colour"] == "red", "red", rest)
    return np.where(frame["worst area"].fillna(880.0) > 880.9, rest, "small")


def by_hand(text: str, row: pd.Series[Any]) -> str:
    """The answer that the rules give to a row, read as a person reads them."""
    depth = 0
    for line in text.splitlines():
        indent = (len(line) - len(line.lstrip())) // 4
        if indent != depth:
            continue
        words = line.strip()
        if words.startswith("→"):
            return words.removeprefix("→ ").partition(" ·")[0]
        match = re.fullmatch(r"(.+) ([≤>=≠]) (.+?)( or missing)?", words)
        assert match is not None, words
        name, sign, value, missing = match.groups()
        if pd.isna(row[name]):
            depth += missing is not None
        elif sign in "=≠":
            depth += (str(row[name]) == value) == (sign == "=")
        else:
            depth += (np.float32(row[name]) <= float(value)) == (sign == "≤")
    raise AssertionError("the rules do not end")


def test_the_surrogate_of_a_tree_is_that_tree(tree: tuple[Surrogate, pd.DataFrame]) -> None:
    found, frame = tree
    assert found.measure("fidelity").value == 1 and found.depth == 3
    assert len(found.leaves) == 4
    assert found.condition(0).startswith("worst area ≤ ") and 870 < found.threshold[0] < 892
    small, large = found.branches(0)
    assert found.classes[found.answer[small]] == "small" and found.feature[small] == -1
    assert found.condition(large) in ("colour = red", "colour = blue")
    blue = found.branches(large)[found.condition(large) == "colour = red"]
    assert found.condition(blue).startswith("texture ≤ ") and 20 < found.threshold[blue] < 24
    smooth, rough = found.branches(blue)
    assert [found.classes[found.answer[node]] for node in (smooth, rough)] == ["smooth", "rough"]
    answers = np.array(found.classes)[found.answer[found.leaf]]
    assert answers.tolist() == truth(frame).tolist()


def test_words_of_the_rules_do_what_the_tree_does(
    tree: tuple[Surrogate, pd.DataFrame], tmp_path: Path
) -> None:
    pairs = [tree, made(tmp_path, Thresholds(), 120, gaps=True, depth=2, min_leaf=2)]
    for found, frame in pairs:
        text = rules(found)
        answers = np.array(found.classes)[found.answer[found.leaf]]
        assert [by_hand(text, row) for _, row in frame.iterrows()] == answers.tolist()
    assert "or missing" in text


def test_fidelity_is_scikit_learns_accuracy_and_the_file_predicts_the_same(
    tmp_path: Path,
) -> None:
    from sklearn.metrics import accuracy_score, f1_score
    from skops.io import get_untrusted_types, loads

    found, frame = made(tmp_path, Thresholds(), depth=1)
    assert get_untrusted_types(data=found.file) == [TREE]
    loaded = loads(found.file, trusted=[TREE])
    inputs = pd.DataFrame(
        {
            "worst area": frame["worst area"],
            "colour = blue": frame["colour"] == "blue",
            "colour = red": frame["colour"] == "red",
            "texture": frame["texture"],
        }
    )
    assert list(loaded.feature_names_in_) == list(inputs.columns) == list(found.features)
    said = loaded.predict(inputs)
    assert said.tolist() == np.array(found.classes)[found.answer[found.leaf]].tolist()
    model, ours = truth(frame)[found.tested], said[found.tested]
    assert found.measure("fidelity").value == accuracy_score(model, ours) < 1
    expected = f1_score(model, ours, average="macro")
    assert found.measure("fidelity_f1").value == pytest.approx(expected)
    for node in found.leaves:
        here = found.tested & (found.leaf == node)
        same = truth(frame)[here] == found.classes[found.answer[node]]
        assert found.agreement[node, 0] == pytest.approx(same.mean())
        assert found.held_out[node].sum() == here.sum()


def test_the_way_of_the_example_in_hand(tree: tuple[Surrogate, pd.DataFrame]) -> None:
    found, _ = tree
    assert found.example == "mine" and found.classes[found.said] == "smooth"
    assert found.values.tolist() == [990, 1, 0, 3]
    told = way(found)
    steps = r"worst area > 8\d\d(\.\d+)? and colour (≠ red|= blue) and texture ≤ 2\d(\.\d+)?"
    assert re.match(steps + " → smooth · the model agrees on", told)
    assert decode(encode(found)).path.tolist() == found.path.tolist()


def test_counts_of_a_node_are_those_of_its_branches(tree: tuple[Surrogate, pd.DataFrame]) -> None:
    found, frame = tree
    assert found.fitted[0].sum() == (~found.tested).sum() and len(frame) == len(found.rows)
    for node in np.flatnonzero(found.feature >= 0):
        yes, no = found.branches(node)
        for counted in (found.fitted, found.held_out):
            assert (counted[yes] + counted[no] == counted[node]).all()


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"answers 'small' to all 60 examples"):
        made(tmp_path / "a", Always(), 60)
    with pytest.raises(BadInput, match=r"has 12 examples, a tree needs at least 20"):
        made(tmp_path / "b", Thresholds(), 12)
    model = toy(Thresholds())
    found = {"capture": str(tmp_path / "a" / "capture")}
    with pytest.raises(BadParameter, match=r"'depth' is 9, expected a whole number from 1 to 8"):
        surrogate(model, (), {**found, "depth": 9}, 0, Meter())
    with pytest.raises(BadParameter, match=r"'words', expected columns or layer:NAME"):
        surrogate(model, (), {**found, "on": "words"}, 0, Meter())


def test_a_layer_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="captured layer 'nothing'"):
        made(tmp_path, Thresholds(), 60, on="layer:nothing")


def test_brightness_of_regions_is_their_mean() -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, shape, np.uint8) for shape in [(9, 7, 3), (28, 28), (2, 3)]]
    for picture, found in zip(pictures, regions(pictures, 4), strict=True):
        grey = picture.mean(axis=2) if picture.ndim == 3 else picture
        height, width = grey.shape
        for row in range(4):
            for column in range(4):
                part = grey[
                    row * height // 4 : max((row + 1) * height // 4, row * height // 4 + 1),
                    column * width // 4 : max((column + 1) * width // 4, column * width // 4 + 1),
                ]
                assert found[4 * row + column] == pytest.approx(part.mean() / 255)


def test_words_and_a_layer_of_a_text_model(tmp_path: Path) -> None:
    from skops.io import loads

    model = load(reference("text_rnn"), "cpu")
    texts = [f"a game of {word}" for word in ("chess", "cards", "war")] * 5
    texts += [f"plot {word} of physics" for word in ("charts", "tables", "data")] * 5
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    data = dataset(model.card, tmp_path / "texts.txt")
    found = capture(model, data, tmp_path / "capture")
    asked = {"capture": str(found.folder), "depth": 1}
    tree = surrogate(model, (data[0],), asked, 0, Meter())
    assert tree.on == "words" and tree.measure("fidelity").value == 1
    assert tree.condition(0) in [f"has “{word}”" for word in ("game", "plot", "physics")]
    loaded = loads(tree.file, trusted=[TREE])
    assert loaded.predict(texts).tolist() == np.array(found.classes)[found.predictions].tolist()
    layer = found.names[-1]
    inside = surrogate(model, (data[0],), {**asked, "on": f"layer:{layer}"}, 0, Meter())
    assert inside.measure("fidelity").value == 1
    assert inside.path[-1] == inside.leaf[0]
    assert inside.values == pytest.approx(found.rows(layer, [0])[0])


def test_models_that_write_have_no_tree() -> None:
    model = toy(Thresholds())
    writes = replace(model, card=replace(model.card, classes=()))
    with pytest.raises(NotValid, match="has no classes"):
        surrogate(writes, (), {"capture": ""}, 0, Meter())


def test_the_figure_shows_every_share_and_escapes_names(
    tree: tuple[Surrogate, pd.DataFrame],
) -> None:
    found = replace(tree[0], classes=("<b>no</b>", *CLASSES[1:]))
    figure = surrogate_tree(found, dark=True)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.name for trace in bars] == ["&lt;b&gt;no&lt;/b&gt;", *CLASSES[1:]]
    total = sum(trace.x.sum() for trace in bars)
    assert total == pytest.approx(max(bars[0].x) * len(found.feature))
    assert len(figure.layout.shapes) == len(found.path)
    texts = [each.text for each in figure.layout.annotations]
    assert sum("agree" in text or "tested" in text for text in texts) == len(found.leaves)
    assert not any("<b>no" in text.replace("&lt;b&gt;no", "") for text in texts)
