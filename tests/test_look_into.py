"""Which of several inputs is looked into: chosen by a person, and changed afterwards."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from test_exported_clean import saved
from test_held_inputs import NUMBERS, Pictures, inside  # noqa: F401 - a fixture
from test_ways_in import SIDES, WORDS, Joined
from torch import Tensor, nn
from typer.testing import CliRunner

import core
from core.checkup.check import examined
from core.engine.call import Call
from core.errors import BadModel
from core.models.exported import choice, own, trial
from core.models.exported.description import Description
from core.models.formats import door, factory
from core.models.loader import load
from core.progress import Meter
from core.tasks import Example, Task

A, B = [1.0, -2.0, 0.5], [2.0, 4.0, -1.0, 0.25]
W = [[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]]
V = [[0.5, -1.0, 2.0, 4.0], [3.0, 0.0, 1.0, -2.0]]


class Sum(nn.Module):
    """``y = W·a + V·b``: integrated gradients from 0 are ``W_i·a_i`` and ``V_j·b_j``."""

    def __init__(self) -> None:
        super().__init__()
        self.of_a = nn.Linear(3, 2, bias=False)
        self.of_b = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.of_a.weight.copy_(torch.tensor(W))
            self.of_b.weight.copy_(torch.tensor(V))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.of_a(a) + self.of_b(b)


def plain(tmp_path: Path) -> Path:
    """As plain PyTorch exports it."""
    return saved(Sum().eval(), (torch.rand(2, 3), torch.rand(2, 4)), tmp_path / "sum.pt2")


def row(values: list[float]) -> Example:
    """A row of a table whose columns have no names."""
    cells = {f"input {number}": value for number, value in enumerate(values, 1)}
    return Example("row", json.dumps(cells).encode())


def reasons(name: str, values: list[float], target: int = 1) -> tuple[list[float], list[float]]:
    """The answer to a row, and integrated gradients from 0."""
    ref = core.reference(name)
    (found,) = core.predict(ref, [row(values)])
    (why,) = core.attribute(
        ref, [row(values)], "integrated_gradients", target=target, baseline="zero", n_steps=2
    )
    assert why.provenance.weights == ref.fingerprint
    return found.logits.tolist(), why.values.tolist()


def test_each_input_in_turn(tmp_path: Path) -> None:
    name = door.add(plain(tmp_path)).name
    first = core.reference(name)
    weights, others = torch.tensor(W), torch.tensor(V)
    found = own.card(name).raw["found"]
    assert [choice.told(found, each) for each in choice.offered(found)] == [
        "a and b, together as the columns of a table", "a: 3 numbers", "b: 4 numbers",
    ]  # fmt: skip
    logits, values = reasons(name, [*A, *B])  # the columns of a table, where nothing is said
    whole = weights @ torch.tensor(A) + others @ torch.tensor(B)
    assert logits == pytest.approx(whole.tolist())
    assert values == pytest.approx([w * x for w, x in zip(W[1] + V[1], A + B, strict=True)])
    seen = {first.fingerprint}
    for looked, other, said, held, of in (("a", "b", A, B, W), ("b", "a", B, A, V)):
        own.settle(own.at(own.card(name).folder), Description(look_into=(looked,)))
        about = own.card(name)
        assert about.raw["held"] == {other: 0}
        own.settle(own.at(about.folder), Description(held={other: held}))
        logits, values = reasons(name, said)
        assert logits == pytest.approx(whole.tolist())
        assert values == pytest.approx([w * x for w, x in zip(of[1], said, strict=True)])
        model = load(core.reference(name), "cpu")
        words = f"'{looked}' is looked into; '{other}' ({len(held)} values) is held at"
        assert words in model.card.summary
        report = examined(model, 0, Meter())
        assert any(words in each.found for each in report.findings if each.name == "inputs")
        assert report.input_shape == (len(said), 1)
        assert {"of_a", "of_b"} <= {*report.layers}
        with model.exclusive() as module:
            inner: list[Tensor] = []
            module.get_submodule(f"of_{other}").register_forward_hook(
                lambda part, given, answer, inner=inner: inner.append(given[0])
            )
            module(torch.tensor([said, said]))
        assert inner[0].tolist() == [held, held]
        seen.add(model.ref.fingerprint)
    assert len(seen) == 3
    asked = {Call("predict", each, ()).key for each in (first, core.reference(name))}
    assert len(asked) == 2  # nothing remembered of one is taken for the other
    own.settle(own.at(own.card(name).folder), Description(look_into=("b", "a")))
    assert core.reference(name).fingerprint == first.fingerprint
    assert reasons(name, [*A, *B])[0] == pytest.approx(whole.tolist())


def test_what_was_said_of_one_input_is_not_said_of_another(tmp_path: Path) -> None:
    """A picture and numbers: the task follows, and classes stay."""
    torch.manual_seed(0)
    network = Joined().eval()
    given = (torch.rand(2, 5), torch.rand(2, 3, 16, 16))
    about = {"preprocessing": {"size": 16, "mean": 0.5, "std": 0.25}, "classes": ["a", "b", "c"]}
    name = door.add(core.pack(network, given, tmp_path / "net", **about)).name
    folder = own.card(name).folder
    added = own.settle(own.at(folder), Description(look_into=("numbers",), held={"image": 0.5}))
    assert any("'image' (3 × 16 × 16 values) is held at 0.5" in each for each in added.notes)
    card = own.card(name)
    assert (card.task, card.classes) == (Task.TABULAR_CLASSIFICATION, ("a", "b", "c"))
    values = [0.5, -1.0, 2.0, 0.0, 1.0]
    (found,) = core.predict(core.reference(name), [row(values)])
    with torch.no_grad():
        truth = network(torch.tensor([values]), torch.full((1, 3, 16, 16), 0.5))[0]
    assert found.logits.tolist() == pytest.approx(truth.tolist(), abs=1e-6)
    own.settle(own.at(folder), Description(look_into=("image",)))
    card = own.card(name)
    assert (card.task, card.raw["held"]) == (Task.IMAGE_CLASSIFICATION, {"numbers": 0})
    assert card.preprocessing is not None
    assert card.preprocessing.height == 16
    for wrong, words in (("numbers,image", "together"), ("depth", "What can: 'numbers'; 'image'")):
        with pytest.raises(BadModel, match="cannot be looked into") as caught:
            own.settle(own.at(folder), Description(look_into=choice.names(wrong)))
        assert words in str(caught.value) or "What can" in str(caught.value)
    with pytest.raises(BadModel, match="'image' is the input that is looked into"):
        own.settle(own.at(folder), Description(look_into=("image",), held={"image": 1}))


def test_it_is_said_in_the_card_and_on_the_command_line(tmp_path: Path) -> None:
    from dashboard.cli import app

    torch.manual_seed(0)
    network = Pictures().eval()
    given = (torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8))
    sides = {"size": 8, "mean": 0.5, "std": 0.25}
    path = core.pack(network, given, tmp_path / "net.pt2", preprocessing=sides, look_into="after")
    name = door.add(path).name
    assert own.card(name).raw["held"] == {"before": 0}
    done = CliRunner().invoke(
        app, ["add", str(path), "--look-into", "before", "--hold", "after=1", "--json"]
    )
    assert done.exit_code == 0, done.output
    words = "'before' is looked into; 'after' (1 × 8 × 8 values) is held at 1."
    assert any(words in each["found"] for each in json.loads(done.stdout)["rows"])
    assert own.card(name).preprocessing.mean == (0.5,)  # type: ignore[union-attr]  # of one shape
    picture = core.open_example("assets/examples/digit-2.png")
    (found,) = core.predict(core.reference(name), [picture])
    pixels = load(core.reference(name)).adapter.encode([picture], load(core.reference(name)))
    with torch.no_grad():
        truth = network(pixels.features, torch.ones(1, 1, 8, 8))[0]
    assert found.logits.tolist() == pytest.approx(truth.tolist(), abs=1e-5)
    wrong = CliRunner().invoke(app, ["add", str(path), "--look-into", "aftr"])
    assert "'aftr' cannot be looked into. What can: 'before'; 'after'" in str(wrong.exception)
    with pytest.raises(BadModel, match="'after' is held and looked into"):
        core.pack(network, given, tmp_path / "no", look_into="after", held={"after": 0})


class Pair(nn.Module):
    """Two texts in one table: the mean of one by that of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 4)
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, premise: Tensor, hypothesis: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.head(self.embedding(hypothesis).mean(1) * self.embedding(premise).mean(1))


@pytest.mark.parametrize("held", [[3, 4, 5], [7, 6, 8, 9]])
def test_two_texts_in_one_table(held: list[int], tmp_path: Path) -> None:
    """Only the one that is looked into is explained, though the other be the same: the network is
    linear in each, so integrated gradients from 0 are the parts of the sum.
    """
    torch.manual_seed(0)
    network = Pair().eval()
    table, head = network.embedding.weight.detach(), network.head.weight.detach()
    ids = [3, 4, 5]
    path = core.pack(
        network, (torch.ones(2, 5).long(), torch.ones(2, 6).long()), tmp_path / "n", tokenizer=WORDS
    )
    name = door.add(path).name
    for looked, other in (("premise", "hypothesis"), ("hypothesis", "premise")):
        said = Description(look_into=(looked,), held={other: held})
        own.settle(own.at(own.card(name).folder), said)
        ref = core.reference(name)
        words = core.text(" ".join(WORDS[each] for each in ids))
        (found,) = core.predict(ref, [words])
        beside = table[held].mean(0)
        truth = head @ (table[ids].mean(0) * beside)
        assert found.logits.tolist() == pytest.approx(truth.tolist(), abs=1e-6)
        (why,) = core.attribute(
            ref, [words], "integrated_gradients", target=0, baseline="zero", n_steps=2
        )
        parts = (table[ids] * beside * head[0]).sum(1) / len(ids)
        assert why.values == pytest.approx(parts.numpy(), abs=1e-6)


def test_a_graph_is_opened_again(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network, path = Pictures().eval(), tmp_path / "net.onnx"
    given = (torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.onnx.export(
            network, given, path, input_names=["before", "after"], dynamo=False, verbose=False
        )
    sides = {"height": 8, "width": 8, "channels": 1}
    name = door.add(path, Description(preprocessing=sides)).name
    first = core.reference(name)
    assert own.card(name).raw["found"]["inputs"][0]["name"] == "before"
    again = door.add(path, Description(look_into=("after",)))
    assert (again.name, again.known) == (name, True)
    assert own.card(name).raw["found"]["inputs"][0]["name"] == "after"
    assert core.reference(name).fingerprint != first.fingerprint
    pixels = torch.rand(2, 1, 8, 8)
    with load(core.reference(name), "cpu").exclusive() as module, torch.no_grad():
        torch.testing.assert_close(module(pixels), network(torch.zeros_like(pixels), pixels))


def test_ones_own_code_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"{__name__}:{each}" for each in ("second", "nothing")}
    monkeypatch.setattr(factory, "_typed", names)
    assert core.describe(core.reference(f"{__name__}:second")).layers[0].kind == "Joined"
    with pytest.raises(BadModel, match="looks into x, and its forward takes image"):
        core.reference(f"{__name__}:nothing")


def second() -> Any:
    """Names what is looked into."""
    return Joined().eval(), {"preprocessing": SIDES, "held": {"numbers": [0] * 5},
                             "look_into": "image"}  # fmt: skip


def nothing() -> Any:
    """Names what there is not."""
    return Joined().eval(), {"held": {"numbers": [0] * 5}, "look_into": "x"}


def test_a_slow_network_is_not_tried_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_PATIENCE", -1.0)
    name = door.add(plain(tmp_path)).name
    assert choice.offered(own.card(name).raw["found"]) == []
    with pytest.raises(BadModel, match="'a' cannot be looked into: there was no time"):
        own.settle(own.at(own.card(name).folder), Description(look_into=("a",)))


def test_what_cannot_be_looked_into_says_why() -> None:
    found = {
        "inputs": [NUMBERS, {**NUMBERS, "name": "more"}],
        "held": {"more": {}},
        "ways": [
            {"looked": ["numbers"], "order": ["numbers", "more"]},
            {"looked": ["more"], "refused": "The program cannot be run: no."},
        ],
    }
    assert choice.offered(found) == []
    with pytest.raises(BadModel, match="'more' cannot be looked into: The program cannot be run"):
        choice.arranged(found, ["more"])
    with pytest.raises(BadModel, match="no name of an input"):
        Description.read('{"look_into": [1]}')
    many = [{**NUMBERS, "name": f"n{number}"} for number in range(20)]
    assert len(choice.choices(many)) == 9  # a table, and eight of its parts
