"""Networks of several inputs: one is looked into, the others are held at values that are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_exported_clean import saved
from test_ways_in import HELD, SIDES, WORDS, Joined, told
from torch import Tensor, nn
from typer.testing import CliRunner

import core
from core.activations.capture import capture
from core.attribution import describe
from core.checkup.check import examined
from core.errors import BadModel
from core.models.exported import choice, held, opening, own
from core.models.exported.description import Description, completed
from core.models.formats import door, factory
from core.models.loader import load
from core.progress import Meter
from dashboard.bringing import findings

SENTENCE = "This network has 2 inputs. 'image' is looked into; 'numbers' (5 values) is held at {}."
NUMBERS = {"name": "numbers", "dtype": "float32", "least": [2, 4], "most": [None, 4]}
IMAGE = {"name": "image", "dtype": "float32", "least": [2, 3, 8, 8], "most": [None, 3, 8, 8]}
IDS = {"name": "ids", "dtype": "int64", "least": [2, 1], "most": [None, 9]}


class Pictures(nn.Module):
    """Two pictures, the second beside the first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return (self.conv(after) - 2 * self.conv(before)).mean((2, 3))


class Story(nn.Module):
    """Numbers and a text."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 8)
        self.embedding = nn.Embedding(11, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.head(torch.tanh(self.embedding(ids)).mean(1) * self.dense(numbers))


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace of its own, and what the confined process does in this one."""
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "place"))
    monkeypatch.setattr(opening, "confine", lambda *limits: None)
    monkeypatch.setattr(opening, "forbid", lambda *deeds: None)
    monkeypatch.setattr(own, "opened", lambda file, to: told(opening.main(file, to, 60, 8)))
    monkeypatch.setattr(describe, "best_batch", lambda forward, device: (2, 0.001))


def joined() -> Joined:
    """The same network each time."""
    torch.manual_seed(0)
    return Joined().eval()


def packed(tmp_path: Path, **more: Any) -> own.Added:
    """The network in one file, with its card."""
    given = (torch.rand(1, 5), torch.rand(1, 3, 16, 16))
    about = {"preprocessing": {"size": 16, "mean": 0.5, "std": 0.25}, "classes": ["a", "b", "c"]}
    return door.add(core.pack(joined(), given, tmp_path / "net.pt2", **about, **more))


def test_a_picture_and_numbers(tmp_path: Path) -> None:
    added = packed(tmp_path)
    assert SENTENCE.format(0)[:-1] in added.notes
    picture = core.open_example("assets/examples/photo-cat.jpg")
    network = joined()
    seen = {}
    for value in (0, HELD):
        said = Description(held={"numbers": value})
        folder = own.card(added.name).folder
        own.settle(own.at(folder), said)
        ref = core.reference(added.name)
        model = load(ref, "cpu")
        (found,) = core.predict(ref, [picture])
        batch = model.adapter.encode([picture], model)
        numbers = torch.tensor([HELD]) if value else torch.zeros(1, 5)
        with torch.no_grad():
            truth = network(numbers, batch.features)[0]
        assert found.logits.tolist() == pytest.approx(truth.tolist(), abs=1e-6)
        words = SENTENCE.format("0.5, -1, 2, 0, 1" if value else 0)
        assert model.card.summary.endswith(words)
        rows = findings.rows(model.card.raw["found"], model.card)
        assert {"": "several inputs", "found": words} in rows
        report = examined(model, 0, Meter())
        assert words in [each.found for each in report.findings if each.name == "inputs"]
        seen[ref.fingerprint] = found.logits.tolist()
    assert len(seen) == 2  # nothing remembered of one is taken for the other


def test_maps_begin_with_a_layer_that_tells_examples_apart(tmp_path: Path) -> None:
    """What follows the held input alone does not."""
    model = load(core.reference(packed(tmp_path).name), "cpu")
    pictures = [core.open_example(f"assets/examples/digit-{digit}.png") for digit in (2, 7)]
    data = core.Dataset("two", ["one", "other"], pictures.__getitem__, "f" * 64)
    found = capture(model, data, tmp_path / "captured")
    assert found.names == ("conv", "relu", "dense", "head")
    assert (found.layer("dense")[0] == found.layer("dense")[1]).all()
    assert found.last == "relu"


def test_a_plain_export_takes_any_number_of_examples(tmp_path: Path) -> None:
    """Exported with two examples, and nothing said of shapes."""
    network = joined()
    path = saved(network, (torch.rand(2, 5), torch.rand(2, 3, 16, 16)), tmp_path / "net.pt2")
    model = load(core.reference(door.add(path, Description(held={"numbers": HELD})).name), "cpu")
    assert model.card.raw["found"]["batch"] == 0
    for count in (1, 3):
        pixels = torch.rand(count, 3, 16, 16)
        with model.exclusive() as module, torch.no_grad():
            truth = network(torch.tensor([HELD] * count), pixels)
            torch.testing.assert_close(module(pixels), truth)


def test_what_it_is_held_at_is_said_on_the_command_line(tmp_path: Path) -> None:
    from dashboard.cli import app

    added = packed(tmp_path, held={"numbers": torch.tensor(HELD)})
    assert own.card(added.name).summary.endswith("held at 0.5, -1, 2, 0, 1.")
    file = str(tmp_path / "net.pt2")
    done = CliRunner().invoke(app, ["add", file, "--hold", "numbers=0,0,0,0,1"])
    assert done.exit_code == 0, done.output
    assert "is held at 0, 0, 0, 0, 1." in " ".join(done.output.split())
    assert own.at(own.card(added.name).folder).said.held == {"numbers": [0, 0, 0, 0, 1]}
    for value, words in (("numbers=1,2", "held at 2 numbers, and takes 5"), ("x=1", "holds 'x'")):
        wrong = CliRunner().invoke(app, ["add", file, "--hold", value])
        assert isinstance(wrong.exception, BadModel)
        assert words in str(wrong.exception)


def test_which_is_looked_into_can_be_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Pictures().eval()
    given = (torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8))
    pictures = {"size": 8, "mean": 0.0, "std": 1.0}
    picture = core.open_example("assets/examples/digit-2.png")
    for number, (name, more) in enumerate((("before", {}), ("after", {"held": {"before": 1}}))):
        path = core.pack(network, given, tmp_path / name, preprocessing=pictures, **more)
        ref = core.reference(door.add(path).name)
        (found,) = core.predict(ref, [picture])
        (values,) = core.attribute(ref, [picture], "saliency", target=1)
        batch = load(ref).adapter.encode([picture], load(ref))
        inputs = [torch.full_like(batch.features, number) for _ in range(2)]
        inputs[number] = batch.features.requires_grad_()
        logits = network(*inputs)[0]
        (gradient,) = torch.autograd.grad(logits[1], inputs[number])
        assert found.logits.tolist() == pytest.approx(logits.tolist(), abs=1e-5)
        assert values.values == pytest.approx(gradient[0].numpy(), abs=1e-5)


def test_a_text_and_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Story().eval()
    given = (torch.rand(2, 4), torch.tensor([[2, 3, 4], [5, 6, 7]]))
    path = core.pack(network, given, tmp_path / "net", tokenizer=WORDS, held={"numbers": 2})
    ref = core.reference(door.add(path).name)
    assert own.card(ref.name).task.axis == "tokens"
    (found,) = core.predict(ref, [core.text("the cat sat on a mat")])
    ids = torch.tensor([[2, 3, 4, 5, 6, 7]])
    with torch.no_grad():
        truth = network(torch.full((1, 4), 2.0), ids)[0]
    assert found.logits.tolist() == pytest.approx(truth.tolist(), abs=1e-6)
    (values,) = core.attribute(ref, [core.text("the cat")], "integrated_gradients", n_steps=4)
    assert values.values.shape == (2,)


def test_ones_own_code_says_what_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        factory, "_typed", {f"{__name__}:{each}" for each in ("silent", "wrong", "right")}
    )
    with pytest.raises(BadModel, match="also takes image, which nothing gives") as caught:
        core.reference(f"{__name__}:silent")
    assert '"held": {"image": torch.zeros(4)}' in caught.value.next_step
    with pytest.raises(BadModel, match="holds more, and its forward takes numbers, image"):
        core.reference(f"{__name__}:wrong")
    about = core.describe(core.reference(f"{__name__}:right"))
    assert about.layers[0].kind == "Joined"
    assert [each.name for each in about.layers[1:]] == ["conv", "relu", "dense", "head"]


def silent() -> Any:
    """Says nothing."""
    return joined(), {"preprocessing": SIDES}


def wrong() -> Any:
    """Holds what there is not."""
    return joined(), {"preprocessing": SIDES, "held": {"more": [1]}}


def right() -> Any:
    """Holds the numbers."""
    return joined(), {"preprocessing": SIDES, "held": {"numbers": HELD}}


@pytest.mark.parametrize(
    ("inputs", "named", "looked"),
    [
        ([NUMBERS, IMAGE], {}, ["image"]),
        ([NUMBERS, IDS, IMAGE], {}, ["image"]),
        ([NUMBERS, IDS], {}, ["ids"]),
        ([IMAGE, {**IMAGE, "name": "other"}], {}, ["image"]),
        ([IMAGE, {**IMAGE, "name": "other"}], {"image": 0}, ["other"]),
        ([NUMBERS, {**NUMBERS, "name": "more"}], {}, ["numbers", "more"]),  # columns of a table
        ([NUMBERS, {**NUMBERS, "name": "more"}], {"numbers": 0}, ["more"]),
    ],
)
def test_what_is_looked_into(inputs: Any, named: Any, looked: list[str]) -> None:
    free, others = choice.chosen(inputs, named)
    assert [each["name"] for each in free] == looked
    assert len(free) + len(others) == len(inputs)


def test_a_list_may_be_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_MOST", 3)
    assert held.values([[0, 1], [2]]) == [0, 1, 2]
    with pytest.raises(BadModel, match="more than 3 numbers"):
        held.values([[0, 1], [2, 3]])


class Places(nn.Module):
    """A picture and which place it is of, one of four."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.places = nn.Embedding(4, 3)

    def forward(self, image: Tensor, house_type: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.conv(image).mean((2, 3)) * self.places(house_type)


def test_a_number_that_is_looked_up(tmp_path: Path) -> None:
    """It is not taken for what a text has beside it, and may not be beyond its table."""
    torch.manual_seed(0)
    network = Places().eval()
    path = saved(network, (torch.rand(2, 1, 8, 8), torch.tensor([1, 2])), tmp_path / "net.pt2")
    ref = core.reference(door.add(path, Description(held={"house_type": 3})).name)
    pixels = torch.rand(3, 1, 8, 8)
    with load(ref, "cpu").exclusive() as module, torch.no_grad():
        torch.testing.assert_close(module(pixels), network(pixels, torch.tensor([3, 3, 3])))
    for value in (4, -1):
        with pytest.raises(BadModel, match=f"takes int64 from 0 to 3, and is held at {value}"):
            door.add(path, Description(held={"house_type": value}))


class Padded(nn.Module):
    """A text, and which of its tokens are none."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, ids: Tensor, src_key_padding_mask: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        hidden = self.encoder(self.embedding(ids), src_key_padding_mask=src_key_padding_mask)
        return self.head(hidden.mean(1))


def test_a_mask_of_torch_says_what_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Padded().eval()
    ids, nothing = torch.tensor([[2, 3, 4]] * 2), torch.zeros(2, 3, dtype=torch.bool)
    about = Description(tokenizer={"words": WORDS})
    ref = core.reference(door.add(saved(network, (ids, nothing), tmp_path / "n.pt2"), about).name)
    with load(ref, "cpu").exclusive() as module, torch.no_grad():
        torch.testing.assert_close(module(ids), network(ids, nothing))


class Captioned(nn.Module):
    """A picture and a text with its mask."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.words = nn.Embedding(9, 3)

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits ``[example, class]``; NaN where nothing of the text is read."""
        mask = attention_mask[..., None].float()
        text = (self.words(input_ids) * mask).sum(1) / mask.sum(1)
        return self.conv(pixels).mean((2, 3)) * text


def test_a_text_that_is_held_is_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Captioned().eval()
    ids, mask = torch.tensor([[2, 3, 4, 5]] * 2), torch.ones(2, 4, dtype=torch.int64)
    path = saved(network, (torch.rand(2, 1, 8, 8), ids, mask), tmp_path / "net.pt2")
    added = door.add(path, Description(held={"input_ids": [5, 4, 3, 2]}))
    assert "'attention_mask' (4 values) is held at 1" in added.notes[-1]
    pixels = torch.rand(3, 1, 8, 8)
    with load(core.reference(added.name), "cpu").exclusive() as module, torch.no_grad():
        truth = network(pixels, torch.tensor([[5, 4, 3, 2]] * 3), torch.ones(3, 4))
        torch.testing.assert_close(module(pixels), truth)


def test_an_output_without_a_text_is_not_held() -> None:
    said = {**IDS, "name": "decoder_input_ids"}
    assert choice.written([IDS, said]) == "decoder_input_ids"
    assert choice.written([IMAGE, said]) == ""
    with pytest.raises(BadModel, match="'decoder_input_ids'") as caught:
        choice.chosen([IMAGE, said], {})
    assert "save_pretrained" in caught.value.next_step
    with pytest.raises(BadModel, match="Every input"):
        choice.chosen([IDS], {"ids": 1})


def found(*others: Any) -> dict[str, Any]:
    """What a trial tells of a picture and others."""
    return {
        "inputs": [IMAGE, *others],
        "answer": [2],
        "widths": [],
        "held": {each["name"]: held.laid_out(each, IMAGE) for each in others},
    }


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ('{"held": [1]}', "'held' is no JSON object"),
        ('{"held": {"numbers": "a"}}', "no numbers"),
        ('{"held": {"numbers": [1, null, 2, 3]}}', "no number"),
        ('{"held": {"numbers": NaN}}', "no numbers"),
        ('{"held": {"numbers": [1, 2, 3]}}', "3 numbers, and takes 4 values"),
        ('{"held": {"ids": [1.5]}}', "whole numbers"),
        ('{"held": {"ids": 1e30}}', "takes int64 from .* to .*, and is held at 1e.30"),
        ('{"held": {"numbers": 1e39}}', "takes float32 from"),
        (f'{{"held": {{"numbers": 1{"0" * 400}}}}}', "no numbers"),
        (f'{{"held": {{"numbers": {"[" * 900}1{"]" * 900}}}}}', "lists in lists|4 values|no JSON"),
        ('{"held": {"image": 1}}', "'image' is the input that is looked into"),
        ('{"held": {"more": 1}}', "Those that are held: numbers, ids"),
    ],
)
def test_values_that_do_not_do(card: str, words: str) -> None:
    with pytest.raises(BadModel, match=words) as caught:
        completed(Description.read(card), found(NUMBERS, IDS))
    assert any(each in caught.value.next_step for each in ("--hold", "--set", "core.pack"))


def test_any_length_is_that_of_the_list(tmp_path: Path) -> None:
    from core.models.exported.holding import Held

    about = found(NUMBERS, IDS)
    said, _ = completed(Description.read('{"held": {"ids": [3, 4, 5]}}'), about)
    assert said.held == {"numbers": 0, "ids": [3, 4, 5]}
    assert Description.read(said.written()) == said
    given = held.arguments(about, said.held)
    like = torch.rand(5, 3, 8, 8)
    assert Held(given["ids"], torch.int64).beside(like).tolist() == [[3, 4, 5]] * 5
    assert Held(given["numbers"], torch.float32).beside(like).shape == (5, 4)
    row = Held({**given["numbers"], "value": [1, 2, 3, 4]}, torch.float32)
    assert row.beside(like).stride() == (0, 1)  # one row, however many examples
    assert row.beside(like).data_ptr() == row.beside(like[:2]).data_ptr()  # made once
    table = Held({"value": [1, 2], "shape": [2], "usual": [2], "batched": False}, torch.float32)
    table.beside(like).add_(1)  # by a network
    assert table.beside(like).tolist() == [1, 2]
    usual = held.arguments(about, {})
    assert Held(usual["ids"], torch.int64).beside(like).shape == (5, 8)
    beside = held.laid_out(IDS, {**IDS, "name": "text"})  # as long as the text beside it
    assert Held({**beside, "value": 0}, torch.int64).beside(torch.zeros(2, 6)).shape == (2, 6)
    assert held.sentence({"inputs": [IMAGE]}, {}) == ""
