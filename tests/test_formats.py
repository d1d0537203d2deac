"""Weights and folders of one's own are what they were: outputs, layers and an attribution equal
those of the live network. Files are written by PyTorch's, safetensors' and transformers' own tools.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from captum.attr import IntegratedGradients
from safetensors.torch import load_file, save_file
from test_huggingface import tokenizer
from torch import Tensor

import core
from core.errors import BadModel, MissingExtra, UnknownName
from core.models.catalogue import card, whole
from core.models.exported import own
from core.models.exported.description import Description
from core.models.formats import admitted, architecture, door, factory, graphs, taking
from core.models.formats.kind import Kind, kind_of
from core.models.loader import load
from core.tasks import Example, Task
from core.workspace import workspace

DIGITS = Path("sample_models/weights/digits_cnn/model.safetensors")
GPT2: dict[str, Any] = {
    "model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24,
    "vocab_size": 12, "bos_token_id": 0, "eos_token_id": 0, "architectures": ["GPT2LMHeadModel"],
}  # fmt: skip
WORDS = {"words": ["<pad>", "<unk>", "the", "cat", "sat", "on", "a", "mat", "and", "it", "slept"]}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace of its own."""
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "place"))


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the confined process does, in this one: starting it takes seconds."""
    monkeypatch.setattr(taking, "confine", lambda *limits: None)
    for each in (taking, graphs):
        monkeypatch.setattr(each, "forbid", lambda *deeds: None)
    monkeypatch.setattr(
        door, "opened", lambda source, target, worker: taking.main(source, target, 60, 8)
    )


def live(spec: dict[str, Any], task: Task) -> Any:
    """A network of transformers with random weights, called as our adapters do."""
    torch.manual_seed(0)
    return architecture.build(spec, task.value).eval()


def test_lightning_weights_of_a_sample_network(tmp_path: Path) -> None:
    """Through the real door, in its own process."""
    weights = load_file(DIGITS)
    path = tmp_path / "my net.ckpt"
    torch.save({"epoch": 3, "state_dict": {f"model.{k}": v for k, v in weights.items()}}, path)
    path.with_suffix(".json").write_text('{"architecture": "digits_cnn", "title": "Mine"}')
    added = door.add(path)
    assert added.name == "own:my-net"
    assert added.notes == (
        "weights taken from 'state_dict' of the file",
        "'model.' before the names of tensors left out",
    )
    picture = core.open_example("assets/examples/digit-2.png")
    mine, sample = core.reference(added.name), core.reference("digits_cnn")
    for given in (mine, sample):
        assert core.predict(given, [picture])[0].classes[2] == "2"
    (one,), (other,) = (core.predict(each, [picture]) for each in (mine, sample))
    assert one.logits.tolist() == pytest.approx(other.logits.tolist(), abs=1e-6)
    (first,), (second,) = (core.attribute(each, [picture], "saliency") for each in (mine, sample))
    assert first.values == pytest.approx(second.values, abs=1e-6)
    assert core.describe(mine).layers == core.describe(sample).layers
    assert door.add(path).known
    assert (workspace().models / "my-net" / "card.json").is_file()


def test_shared_weights_of_a_language_model_and_half_precision(
    tmp_path: Path, inside: None
) -> None:
    network = live(GPT2, Task.CAUSAL_LANGUAGE_MODEL)
    path = tmp_path / "gpt.safetensors"
    tensors: dict[str, Tensor] = {k: v.bfloat16() for k, v in network.model.state_dict().items()}
    del tensors["lm_head.weight"]  # the same as that of the embedding
    save_file(tensors, path)
    card = {"architecture": GPT2, "tokenizer": WORDS}
    path.with_name("gpt.safetensors.json").write_text(json.dumps(card))
    added = door.add(path)
    assert any("converted from bfloat16 to float32" in note for note in added.notes)
    model = load(core.reference(added.name))
    ids = torch.tensor([[2, 3, 4, 5]])
    rounded = network.bfloat16().float()
    with model.exclusive() as module:
        assert torch.equal(module(ids), rounded(ids))
    assert model.adapter.batches([core.text("the cat sat")], model)[0][1].axes[0].kind == "tokens"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("conv1.bias"), "missing conv1.bias"),
        (lambda w: w.update(more=torch.ones(2)), "unexpected more"),
        (lambda w: w.update({"conv1.bias": torch.ones(3)}), r"conv1.bias has shape \(3,\)"),
        (lambda w: w["conv1.bias"].fill_(float("nan")), "conv1.bias holds NaN"),
        (lambda w: [w.pop(k) for k in list(w)[:5]], "and 2 more"),
    ],
)
def test_weights_that_do_not_fit_are_listed(
    change: Any, words: str, tmp_path: Path, inside: None
) -> None:
    weights = load_file(DIGITS)
    change(weights)
    path = tmp_path / "net.safetensors"
    save_file(weights, path)
    with pytest.raises(BadModel, match=words):
        door.add(path, Description(architecture={"name": "digits_cnn"}))
    assert not (workspace().models / "net").exists()


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("{}", "do not say which network"),
        ('{"architecture": "digits_cn"}', "Did you mean 'digits_cnn'"),
        ('{"architecture": "digits_cnn", "classes": ["a", "b"]}', "2 names of classes.*10 outputs"),
        ('{"architecture": "digits_cnn", "task": "text-classification"}', "not for text"),
        (
            '{"architecture": {"name": "digits_cnn", "arguments": {"path": "x"}}}',
            "no argument 'path'",
        ),
        ('{"architecture": {"timm": "hf-hub:a/b"}}', "no name of a model of timm"),
        ('{"architecture": {"timm": "x", "arguments": {"checkpoint_path": 1}}}', "checkpoint_path"),
        ('{"architecture": {"torchvision": "resnet18"}}', "torchvision, which is not installed"),
        ('{"architecture": {"model_type": "vit"}}', "what the network is for"),
        (
            '{"task": "image-classification", "architecture": '
            '{"model_type": "vit", "auto_map": {}}}',
            "auto_map",
        ),
        (
            '{"architecture": {"model_type": "mine"}, "task": "image-classification"}',
            "cannot build 'mine'",
        ),
    ],
)
def test_cards_that_do_not_do(card: str, words: str, tmp_path: Path, inside: None) -> None:
    path = tmp_path / "net.safetensors"
    save_file(load_file(DIGITS), path)
    path.with_suffix(".json").write_text(card)
    with pytest.raises((BadModel, UnknownName, MissingExtra), match=words) as caught:
        door.add(path)
    assert caught.value.next_step


def test_what_is_no_weights_is_not_asked_for_its_architecture(tmp_path: Path, inside: None) -> None:
    """Who saved the whole network, as most do first, is told that, and not to name what it is."""
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(BadModel, match=r"more than tensors .it names torch.*Linear") as caught:
        door.add(tmp_path / "whole.pt")
    assert "torch.export.save" in caught.value.next_step
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(BadModel, match=r"'weights.pt' holds 2 tensors, .* which network") as caught:
        door.add(tmp_path / "weights.pt")
    assert "Weights alone, or a graph" in caught.value.next_step


def test_what_a_file_is_does_not_go_by_its_name(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "net.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "net.safetensors")
    assert kind_of(tmp_path / "net.pt") is Kind.SAFETENSORS
    assert kind_of(tmp_path / "net.safetensors") is Kind.STATE
    for name, words in (("net.onnx", "graph of ONNX"), ("torn.safetensors", "of safetensors")):
        (tmp_path / name).write_bytes(b"\xff" * 40)
        with pytest.raises(BadModel, match=f"{words} does: it is damaged"):
            kind_of(tmp_path / name)
        (tmp_path / name).unlink()
    with pytest.raises(UnknownName, match="no file"):
        kind_of(tmp_path / "other")
    (tmp_path / "empty").touch()
    with pytest.raises(BadModel, match="empty"):
        kind_of(tmp_path / "empty")
    with pytest.raises(BadModel, match="no config"):
        kind_of(tmp_path)


def bert(folder: Path) -> Any:
    """A tiny classifier of texts with its tokenizer, as the library saves them."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=18, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=32, max_position_embeddings=20, id2label={0: "bad", 1: "so so", 2: "good"}
    )  # fmt: skip
    torch.manual_seed(3)
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer(folder)
    return model


def test_a_folder_and_a_zip_of_it(tmp_path: Path) -> None:
    """Through the real door; what names code is not obeyed, and the model is the same."""
    folder = tmp_path / "my bert"
    network = bert(folder)
    (folder / "modeling.py").write_text("open('ran', 'w')")
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "modeling.Net"}, "_attn_implementation": "some/kernel"}
    (folder / "config.json").write_text(json.dumps(config))
    archive = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "my bert"))
    added = door.add(archive)
    assert added.name == "own:zipped"
    assert [each.partition(":")[0] for each in added.notes] == [
        "'auto_map' of config.json is not obeyed",
        "left out modeling.py",
    ]
    assert door.add(folder).known  # the same files
    ref = core.reference(added.name)
    text = core.text("the film was good")
    (found,) = core.predict(ref, [text])
    ids = load(ref).adapter.encode([text], load(ref)).context[0]
    with torch.no_grad():
        assert found.logits.tolist() == pytest.approx(network(ids).logits[0].tolist(), abs=1e-6)
    (values,) = core.attribute(ref, [text], "integrated_gradients", n_steps=4)
    # Where it lies it comes by the same door: opened once, and not copied.
    (straight,) = core.attribute(
        core.reference(f"hf:{folder}"), [text], "integrated_gradients", n_steps=4
    )
    assert values.values == pytest.approx(straight.values, abs=1e-6)
    assert admitted.notes(folder) == added.notes
    (opened,) = (each for each in (workspace().root / "opened").iterdir())
    assert (opened / "model.safetensors").readlink() == folder / "model.safetensors"
    assert "_attn_implementation" not in json.loads((opened / "config.json").read_text())
    with admitted.at_once():  # a page never waits for it
        core.reference(f"hf:{folder}")
        (folder / "vocab.txt").write_text("[UNK]")
        with pytest.raises(BadModel, match="has changed since"):
            core.reference(f"hf:{folder}")
    assert not (folder / "ran").exists()
    kept = {each.name for each in (workspace().models / "zipped").iterdir()}
    assert "modeling.py" not in kept


def test_folders_that_do_not_do(tmp_path: Path, inside: None) -> None:
    folder = tmp_path / "bert"
    bert(folder)
    with pytest.raises(BadModel, match="not for image"):
        door.add(folder, Description(task=Task.IMAGE_CLASSIFICATION))
    with pytest.raises(BadModel, match=r"2 names of classes.*3 outputs"):
        door.add(folder, Description(classes=("a", "b")))
    named = door.add(folder, Description(classes=("a", "b", "c"), title="Mine"))
    about = own.card(named.name)
    assert (about.title, about.classes) == ("Mine", ("a", "b", "c"))
    config = json.loads((folder / "config.json").read_text())
    for change, words in (
        ({"id2label": {"0": "a", "1": "b"}}, "another shape"),
        ({"architectures": ["BertForQuestionAnswering"]}, "cannot be asked"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(BadModel, match=words):
            door.add(folder)
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    extra = {f"cls.{name}": torch.ones(2) for name in "abcd"}
    save_file(weights | extra, folder / "model.safetensors", {"format": "pt"})
    same = config | {"id2label": {"0": "a", "1": "b", "2": "a"}}
    (folder / "config.json").write_text(json.dumps(same))
    added = door.add(folder, name="more")
    assert own.card(added.name).classes == ("a (0)", "b", "a (2)")
    notes = "; ".join(added.notes)
    assert "no part of the network: cls.a, cls.b, cls.c and 1 more" in notes
    assert "told apart by their numbers: a" in notes
    (folder / "config.json").write_text(json.dumps(config))
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadModel, match=r"missing classifier\.weight"):
        door.add(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadModel, match="no tokenizer"):
        door.add(folder)


NETS = """
import torch
from torch import nn
class Sorter(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(11, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)
    def forward(self, ids):
        return self.fc(self.lstm(self.embedding(ids))[0].mean(1))
def sorter():
    words = "<pad> <unk> the cat sat on a mat and it slept".split()
    return Sorter(), {"classes": ["no", "yes"], "tokenizer": words}
def tuple_of_one():
    return (1,)
def broken():
    raise ValueError("no data here")
"""


def test_ones_own_code_runs_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(factory, "_typed", set())
    name = "my_own_nets:sorter"
    assert own.knows(name)
    with pytest.raises(BadModel, match="only where you wrote its name"):
        core.reference(name)
    assert "my_own_nets" not in sys.modules
    factory.permit("my_own_nets:broken", "my_own_nets_too:sorter")
    with pytest.raises(BadModel, match="only where you wrote its name"):  # others are not it
        core.reference(name)
    assert "my_own_nets" not in sys.modules
    factory.permit(name)
    ref = core.reference(name)
    text = core.text("the cat slept")
    (found,) = core.predict(ref, [text])
    assert found.classes == ("no", "yes")
    network = sys.modules["my_own_nets"].Sorter().eval()
    ids = torch.tensor([[2, 3, 10]])
    with torch.no_grad():
        assert found.logits.tolist() == pytest.approx(network(ids)[0].tolist(), abs=1e-6)
    kinds = [layer.kind for layer in core.describe(ref).layers]
    assert kinds == ["Sorter", "Embedding", "LSTM", "Linear"]
    (values,) = core.attribute(ref, [text], "integrated_gradients", n_steps=8)
    assert values.values.shape == (3,)
    for wrong, words in (
        ("my_own_nets:tuple_of_one", "returns tuple"),
        ("my_own_nets:broken", "no data here"),
        ("my_own_nets:sorted", "no function"),
        ("my_other_nets:sorter", "no module 'my_other_nets'"),
    ):
        factory.permit(wrong)
        with pytest.raises((BadModel, UnknownName), match=words):
            core.reference(wrong)
    assert not any(own.factory.knows(each) for each in ("own:net", "run:digits", "hf:a/b"))


class Residual(torch.nn.Module):
    """A residual add and an activation in place that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.body = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.relu = torch.nn.ReLU(inplace=True)
        self.head = torch.nn.Linear(4, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        """``[example, class]``."""
        hidden = self.relu(self.stem(pixels))
        hidden = self.relu(self.body(hidden) + hidden)
        return self.head(hidden.mean((2, 3)))


def graph(path: Path, elsewhere: bool = False) -> Residual:
    """The network as an ONNX graph, made of ONNX's own helpers."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    torch.manual_seed(0)
    network = Residual().eval()
    weights = [
        numpy_helper.from_array(tensor.numpy(), name)
        for name, tensor in network.state_dict().items()
    ]
    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "stem.weight", "stem.bias"], ["a"], "stem", **conv),
        helper.make_node("Relu", ["a"], ["b"], "first"),
        helper.make_node("Conv", ["b", "body.weight", "body.bias"], ["c"], "body", **conv),
        helper.make_node("Add", ["c", "b"], ["d"], "add"),
        helper.make_node("Relu", ["d"], ["e"], "second"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
        helper.make_node("Flatten", ["f"], ["g"], "flatten"),
        helper.make_node("Gemm", ["g", "head.weight", "head.bias"], ["y"], "head", transB=1),
    ]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if elsewhere:
        onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights")
    else:
        onnx.save(model, path)
    return network


def test_an_onnx_graph_over_pictures(tmp_path: Path, inside: None) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    network = graph(path)
    said = {"classes": ["a", "b", "c"], "preprocessing": {"mean": [0.5], "std": [0.25]}}
    ref = core.reference(door.add(path, Description.read(json.dumps(said))).name)
    picture = core.open_example("assets/examples/digit-2.png")
    (found,) = core.predict(ref, [picture])
    model = load(ref)
    batch = model.adapter.encode([picture], model)
    with torch.no_grad():
        logits = network(batch.features)[0]
    assert found.logits.tolist() == pytest.approx(logits.tolist(), abs=1e-5)
    (values,) = core.attribute(ref, [picture], "feature_ablation", target="b")
    assert values.values.shape == (1, 8, 8)
    beside = tmp_path / "beside"
    beside.mkdir()
    graph(beside / "more.onnx", elsewhere=True)
    archive = shutil.make_archive(str(tmp_path / "more"), "zip", beside)
    for way in (beside / "more.onnx", beside, Path(archive)):
        other = door.add(way, Description.read(json.dumps(said)), name=f"more-{way.suffix[1:]}")
        (again,) = core.predict(core.reference(other.name), [picture])
        assert again.logits.tolist() == found.logits.tolist()
    weights = beside / "weights"
    weights.write_bytes(bytes(weights.stat().st_size))  # the same graph of other weights
    assert not door.add(beside, Description.read(json.dumps(said)), name="none").known
    weights.rename(tmp_path / "weights")
    with pytest.raises(BadModel, match="which is not beside it"):
        door.add(beside / "more.onnx")
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:-50])
    with pytest.raises(BadModel, match="no ONNX graph"):
        door.add(tmp_path / "cut.onnx")


def test_an_onnx_graph_becomes_layers(tmp_path: Path, inside: None) -> None:
    pytest.importorskip("onnxruntime")
    network = graph(tmp_path / "net.onnx")
    made = load(core.reference(door.add(tmp_path / "net.onnx").name))._module
    pixels = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(made(pixels), network(pixels), rtol=0, atol=1e-6)
    kinds = {name: type(part).__name__ for name, part in made.named_modules() if name}
    assert kinds == {
        "stem": "Conv2d", "first": "ReLU", "body": "Conv2d", "second": "ReLU",
        "pool": "AdaptiveAvgPool2d", "head": "Linear",
    }  # fmt: skip
    one, other = (IntegratedGradients(e).attribute(pixels, target=1) for e in (made, network))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_an_estimator_is_kept_too(tmp_path: Path, inside: None) -> None:
    skops = pytest.importorskip("skops.io")
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame({"age": [20.0, 30, 40, 50], "size": [1.0, 3, 2, 5]})
    live = LogisticRegression().fit(rows, ["no", "no", "yes", "yes"])
    path = tmp_path / "line.skops"
    skops.dump(live, path)
    ref = core.reference(door.add(path, Description(title="Line")).name)
    example = Example("row.json", b'{"age": 45, "size": 4}')
    (found,) = core.predict(ref, [example])
    assert found.classes == ("no", "yes")
    theirs = live.predict_proba(pd.DataFrame({"age": [45.0], "size": [4.0]}))[0]
    assert found.probabilities.tolist() == pytest.approx(theirs.tolist(), abs=1e-5)
    assert own.card(ref.name).title == "Line"


def test_only_whole_paths_are_taken_for_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net", "run:net"):  # a folder that is called as a model could be
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "net.skops").touch()
    for name in ("net", "run:net", "net.skops"):
        with pytest.raises(UnknownName):
            card(name)
    assert whole("net") == str(tmp_path / "net")
    assert whole("./net.skops") == str(tmp_path / "net.skops")
    assert whole("~") == str(Path.home())
    known = ("digits_cnn", "run:net", "own:net", "compressed:net", "my.code:net", "x" * 5000)
    assert [whole(each) for each in known] == list(known)
    (tmp_path / "digits_cnn").mkdir()
    assert whole("digits_cnn") == "digits_cnn"
