"""The truth of every way in: a network saved by its format's own tool and taken in through the door
is the live one. One table: ways are rows, networks are columns.

Compared are answers, layers that can be captured with what they answer, reasons (integrated
gradients, and Grad-CAM where there are convolutions) and attention. A network whose kernels and
layout in memory are the same has to answer the same to the last bit.
"""

from __future__ import annotations

import copy
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from test_exported_module import Cnn, Residual, Vision
from test_huggingface import tokenizer
from torch import Tensor, nn

import core
from core.activations.capture import capture
from core.attention.compute import attention
from core.attribution import describe
from core.attribution.compute import attribute
from core.errors import BadModel, NotValid
from core.models import transformer
from core.models.adapter import Batch
from core.models.exported import opening, operators, own
from core.models.exported.description import Description
from core.models.formats import architecture, arrival, door, factory, graphs, taking
from core.models.formats.onnxbytes import whole
from core.models.loaded import LoadedModel
from core.models.loader import adapter, load, placed
from core.models.predict import predict
from core.progress import Meter
from core.tasks import Example, Task
from core.workspace import workspace

AUTO = torch.export.Dim.AUTO
WORDS = ["<pad>", "<unk>", "the", "cat", "sat", "on", "a", "mat", "and", "it", "slept"]
SIDES = {"height": 16, "width": 16, "mean": [0.5], "std": [0.25], "fit": "cover"}
CLASSES = {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
TEXT: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
LIBRARY: dict[str, dict[str, Any]] = {
    "cnn": {
        "model_type": "mobilenet_v1", "image_size": 32, "depth_multiplier": 0.01, "min_depth": 16,
        "initializer_range": 0.6,
        "architectures": ["MobileNetV1ForImageClassification"], **CLASSES,
    },
    "resnet": {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1],
        "layer_type": "basic", "architectures": ["ResNetForImageClassification"], **CLASSES,
    },
    "vit": {
        "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "image_size": 16, "patch_size": 8,
        "architectures": ["ViTForImageClassification"], **CLASSES,
    },
    "bert": {
        "model_type": "bert", "vocab_size": 18, "hidden_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32,
        "architectures": ["BertForSequenceClassification"], **CLASSES,
    },
    "gpt": {
        "model_type": "gpt2", "vocab_size": 18, "n_embd": 8, "n_layer": 2, "n_head": 2,
        "n_positions": 48, "architectures": ["GPT2LMHeadModel"], **TEXT,
    },
}  # fmt: skip
LSTM = {
    "name": "text_rnn",
    "arguments": {"vocabulary": 11, "classes": 2, "cell": "lstm", "width": 8, "hidden": 6},
}
TASKS = {
    "bert": Task.TEXT_CLASSIFICATION,
    "lstm": Task.TEXT_CLASSIFICATION,
    "gpt": Task.CAUSAL_LANGUAGE_MODEL,
}


class Recurrent(nn.Module):
    """Word embeddings and a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.fc(self.lstm(self.embedding(ids))[0].mean(1))


class Joined(nn.Module):
    """A row of numbers and a picture that meet in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.dense = nn.Linear(5, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, numbers: Tensor, image: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        seen = self.relu(self.conv(image)).mean((2, 3))
        return self.head(seen * torch.sigmoid(self.dense(numbers)))


HELD = [0.5, -1.0, 2.0, 0.0, 1.0]
OWN: dict[str, Callable[[], nn.Module]] = {
    "cnn": Cnn, "resnet": Residual, "vit": Vision, "lstm": Recurrent, "several": Joined,
}  # fmt: skip
NETWORKS = ("cnn", "resnet", "vit", "bert", "gpt", "lstm", "several")
CONVOLUTIONS = ("cnn", "resnet", "several")
ATTENTION = ("vit", "bert", "gpt")


@cache
def authors(name: str) -> nn.Module:
    """A network as its author has it: of plain PyTorch, or of the transformers library."""
    torch.manual_seed(0)
    made = OWN[name]() if name in OWN else libraries(name)
    return made.eval().requires_grad_(False)


@cache
def libraries(name: str) -> nn.Module:
    """A network of the transformers library with random weights."""
    import transformers

    torch.manual_seed(2)
    spec = dict(LIBRARY[name])
    config = transformers.AutoConfig.for_model(spec.pop("model_type"), **spec)
    made: nn.Module = getattr(transformers, spec["architectures"][0])(config)
    return made.eval().requires_grad_(False)


@cache
def samples(name: str) -> nn.Module:
    """A network of an architecture that comes with the program."""
    torch.manual_seed(1)
    return architecture.build(SPECS[name]).eval().requires_grad_(False)


def asked(network: nn.Module) -> nn.Module:
    """The network as an adapter calls it, by another way than the one under test."""
    for ending, wrapper in (
        ("ForSequenceClassification", transformer.Classifier),
        ("ForImageClassification", transformer.ImageClassifier),
        ("LMHeadModel", transformer.Causal),
    ):
        if type(network).__name__.endswith(ending):
            return wrapper(network)
    return Half(network) if type(network) is Joined else network


class Half(nn.Module):
    """The network of two inputs with one of them fixed, by hand."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.model = network

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        return self.model(torch.tensor(HELD).expand(len(image), -1), image)


def answers(network: nn.Module, batch: Batch) -> Tensor:
    """What the network says, called as its author calls it; of a language model the
    log-probabilities of each token of an output, and of the whole.
    """
    given = batch.context[0] if batch.context else batch.features
    if type(network) is Joined:
        return network(torch.tensor([HELD] * len(given)), given)
    if len(batch.context) == 2:
        output = batch.context[1]
        scores = network(torch.cat([given, output], dim=1)).logits[:, given.shape[1] - 1 : -1]
        chances = scores.log_softmax(-1).gather(-1, output[..., None])[..., 0]
        return torch.cat([chances, chances.sum(1, keepdim=True)], dim=1)
    answer = network(given)
    return getattr(answer, "logits", answer)


def said(name: str, **more: Any) -> Description:
    """What a person says of a network."""
    about: dict[str, Any] = {"task": TASKS.get(name, Task.IMAGE_CLASSIFICATION).value}
    if name in TASKS:
        about["tokenizer"] = {"words": WORDS}
    else:
        about["preprocessing"] = SIDES
    return Description.read(json.dumps(about | more))


@dataclass(frozen=True)
class Saved:
    """A file, what is said of it, and the network that it is of."""

    path: Path
    said: Description | None
    live: nn.Module


# Ways in: each saves a network with the format's own tool.


def program(name: str, folder: Path) -> Saved:
    """``torch.export.save``."""
    network, path = authors(name), folder / f"{name}.pt2"
    ids = torch.arange(14).reshape(2, 7) * 5 % 11
    given: dict[str, Tensor] = {
        "cnn": {"pixels": torch.rand(2, 1, 16, 16)},
        "resnet": {"pixels": torch.rand(2, 3, 16, 16)},
        "vit": {"pixels": torch.rand(2, 3, 12, 12)},
        "several": {"numbers": torch.rand(2, 5), "image": torch.rand(2, 3, 16, 16)},
        "lstm": {"ids": ids},
    }.get(name, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    free = {
        key: {0: AUTO} if value.is_floating_point() else {0: AUTO, 1: AUTO}
        for key, value in given.items()
    }
    more = {"use_cache": False} if name == "gpt" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        shapes = {**free, **dict.fromkeys(more)}
        exported = torch.export.export(network, (), {**given, **more}, dynamic_shapes=shapes)
        torch.export.save(exported, path)
    return Saved(path, description(name), network)


def description(name: str) -> Description:
    """What is said of an author's own network."""
    about = said(name)
    if name == "several":
        about = replace(about, held={"numbers": HELD})
    if name == "vit":
        about = replace(about, preprocessing={**SIDES, "height": 12, "width": 12})
    return about


SPECS: dict[str, dict[str, Any]] = {
    **LIBRARY,
    "cnn": {"name": "digits_cnn"},
    "lstm": LSTM,
}


def weighed(name: str) -> tuple[nn.Module, Description]:
    """A network of a known architecture, and what is said of its weights."""
    network = samples(name) if "name" in SPECS[name] else libraries(name)
    about = said(name, architecture=SPECS[name])
    return network, about if name != "cnn" else Description(architecture=SPECS[name])


def safetensors(name: str, folder: Path) -> Saved:
    """``safetensors.torch.save_file``, and ``save_model`` where weights are shared."""
    network, about = weighed(name)
    path = folder / f"{name}.safetensors"
    if name == "gpt":
        from safetensors.torch import save_model

        save_model(network, str(path))
    else:
        save_file(network.state_dict(), path)
    return Saved(path, about, network)


def state(name: str, folder: Path) -> Saved:
    """``torch.save`` of a state dictionary."""
    network, about = weighed(name)
    torch.save(network.state_dict(), folder / f"{name}.pt")
    return Saved(folder / f"{name}.pt", about, network)


def lightning(name: str, folder: Path) -> Saved:
    """``torch.save`` of what Lightning's trainer keeps: names begin with that of an attribute."""
    network, about = weighed(name)
    made = nn.ModuleDict({"net": network})
    optimiser = torch.optim.AdamW([nn.Parameter(torch.ones(2))])
    whole = {
        "epoch": 3,
        "global_step": 12,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": made.state_dict(),
        "optimizer_states": [optimiser.state_dict()],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 1e-3, "name": "net"},
    }
    torch.save(whole, folder / f"{name}.ckpt")
    return Saved(folder / f"{name}.ckpt", about, network)


def pretrained(name: str, folder: Path) -> Saved:
    """``save_pretrained`` of the model and of its tokenizer or processor."""
    network, place = libraries(name), folder / f"{name} folder"
    network.save_pretrained(place)
    if name in TASKS:
        tokenizer(place, cls=name != "gpt")
    else:
        from transformers import ViTImageProcessor

        side = LIBRARY[name].get("image_size", 16)
        size = {"height": side, "width": side}
        ViTImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(
            place
        )
    return Saved(place, None, network)


def zipped(name: str, folder: Path) -> Saved:
    """The same folder in a zip."""
    made = pretrained(name, folder)
    path = shutil.make_archive(str(folder / name), "zip", folder, made.path.name)
    return replace(made, path=Path(path))


def onnx(name: str, folder: Path) -> Saved:
    """``torch.onnx.export``, which writes the weights to a file beside the graph."""
    network, path = authors(name), folder / f"{name}.onnx"
    exported = copy.deepcopy(network)
    if name == "gpt":
        exported.config.use_cache = False
    given: tuple[Tensor, ...] = {
        "cnn": (torch.rand(2, 1, 16, 16),),
        "resnet": (torch.rand(2, 3, 16, 16),),
        "vit": (torch.rand(2, 3, 12, 12),),
        "several": (torch.rand(2, 5), torch.rand(2, 3, 16, 16)),
    }.get(name, (torch.arange(14).reshape(2, 7) % 11,))
    dynamic = torch.export.Dim.DYNAMIC
    free = ({0: dynamic, 1: dynamic} if name in TASKS else {0: dynamic},) * len(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.onnx.export(exported, given, path, dynamic_shapes=free, verbose=False)
    return Saved(path, description(name), network)


def made(name: str) -> Any:
    """What a person's own function returns."""
    about: dict[str, Any] = {"task": TASKS.get(name, Task.IMAGE_CLASSIFICATION)}
    if name in TASKS:
        about["tokenizer"] = WORDS
    else:
        about["preprocessing"] = dict(description(name).preprocessing)
    if name == "several":
        about["held"] = {"numbers": torch.tensor(HELD)}
    return copy.deepcopy(authors(name)), about


# The functions that ``package.module:function`` names.
globals().update({name: partial(made, name) for name in NETWORKS})


def code(name: str, folder: Path) -> Saved:
    """``package.module:function``, here of this module."""
    return Saved(Path(f"{__name__}:{name}"), None, authors(name))


WAYS = {
    "program": program,
    "safetensors": safetensors,
    "state": state,
    "lightning": lightning,
    "folder": pretrained,
    "zip": zipped,
    "onnx": onnx,
    "code": code,
}
NO_ARCHITECTURE = "weights need a known architecture, and none of those takes several inputs"
NO_FOLDER = "transformers has no such network"
NOT = {
    **{(way, "several"): NO_ARCHITECTURE for way in ("safetensors", "state", "lightning")},
    **{(way, name): NO_FOLDER for way in ("folder", "zip") for name in ("lstm", "several")},
}
"""Pairs that cannot be, with the reason; what a person is told is tested below."""
FOLDED = {"cnn": {"features.0"}, "resnet": {"body"}}
"""Convolutions that the exporter of ONNX makes one with the batch norm behind them, whose name the
two have then; and dropout, which does nothing at rest, is no node of a graph."""
PAIRS = [(way, name) for way in WAYS for name in NETWORKS if (way, name) not in NOT]


@dataclass(frozen=True)
class Pair:
    """A network that came in, and the live one behind the same adapter."""

    way: str
    name: str
    taken: LoadedModel
    twin: LoadedModel
    live: nn.Module
    examples: tuple[Example, ...]
    path: Path

    @property
    def exact(self) -> bool:
        """Whether the same kernels run: an exporter of ONNX writes some of them anew."""
        return self.way != "onnx"

    def same(self, one: Any, other: Any) -> None:
        """Equal to the last bit, or nearly where other kernels run."""
        if self.exact:
            np.testing.assert_array_equal(one, other)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Pairs by way and network, each made once; what the confined process does is done here:
    starting it takes seconds, and it has tests of its own.
    """
    root = tmp_path_factory.mktemp("ways")
    with pytest.MonkeyPatch.context() as patch:
        for each in (opening, taking):
            patch.setattr(each, "confine", lambda *limits: None)
        for each in (opening, taking, graphs):
            patch.setattr(each, "forbid", lambda *deeds: None)
        patch.setattr(
            own,
            "opened",
            lambda source, to: json.loads(json.dumps(opening.main(source, to, 60, 8))),
        )
        patch.setattr(
            door, "opened", lambda source, to, _, meter=None: taking.main(source, to, 60, 8)
        )
        patch.setattr(factory, "permitted", lambda name: True)
        # How many examples are fastest at once is not asked here: finding it out takes longest.
        patch.setattr(describe, "best_batch", lambda forward, device: (2, 0.001))

        @cache
        def pair(way: str, name: str) -> Pair:
            folder = root / way
            folder.mkdir(exist_ok=True)
            patch.setenv("FLUOROSCOPE_WORKSPACE", str(folder / "place"))
            saved = WAYS[way](name, folder)
            known = str(saved.path)
            if way != "code":
                known = door.add(saved.path, saved.said).name
            taken = load(core.reference(known), "cpu")
            live = placed(asked(copy.deepcopy(saved.live)), torch.device("cpu"))
            twin = LoadedModel(taken.ref, taken.card, adapter(taken.card, live), taken.device, live)
            return Pair(way, name, taken, twin, saved.live, given(name), saved.path)

        yield pair


def told(found: dict[str, Any]) -> Any:
    """What a process tells another."""
    return json.loads(json.dumps(found))


def given(name: str) -> tuple[Example, ...]:
    """Two examples of what a network takes."""
    if name == "gpt":
        return (core.text("the cat sat", "on a mat"), core.text("it slept", "and the cat sat"))
    if name in TASKS:
        return (core.text("the cat sat on a mat"), core.text("and it slept"))
    return tuple(core.open_example(f"assets/examples/digit-{digit}.png") for digit in (2, 7))


def run(verb: Any, model: LoadedModel, examples: tuple[Example, ...], **parameters: Any) -> Any:
    """A verb of the engine."""
    return verb(model, examples, parameters, 0, Meter())


@pytest.mark.parametrize(("way", "name"), PAIRS)
def test_answers(way: str, name: str, pairs: Any) -> None:
    pair = pairs(way, name)
    one, other = (run(predict, each, pair.examples) for each in (pair.taken, pair.twin))
    for mine, theirs in zip(one, other, strict=True):
        pair.same(mine.logits, theirs.logits)
        assert mine.classes == theirs.classes
    for places, batch in pair.taken.adapter.batches(pair.examples, pair.taken):
        with torch.no_grad():
            truth = answers(pair.live, batch)
        for place, row in zip(places, truth, strict=True):
            # Laid out otherwise in memory than its author has it, channels last.
            np.testing.assert_allclose(one[place].logits, row, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("way", "name"), PAIRS)
def test_inputs(way: str, name: str, pairs: Any, tmp_path: Path) -> None:
    """What the network is given of a file, worked out without what takes it in."""
    pair = pairs(way, name)
    ((places, batch),) = pair.taken.adapter.batches(pair.examples[:1], pair.taken)
    assert list(places) == [0]
    if name in TASKS:
        first = pair.examples[0]
        texts, seen = (
            [first.data.decode()],
            [batch.features if not batch.context else batch.context[0]],
        )
        if first.outputs:
            texts, seen = [*texts, first.outputs[0]], list(batch.context)
        for text, ids in zip(texts, seen, strict=True):
            assert ids[0].tolist() == numbered(way, name, text, tmp_path)
        return
    mean, std = (0.5, 0.25)
    if way in ("safetensors", "state", "lightning") and name == "cnn":
        about = samples_preprocessing("digits_cnn")
        (mean,), (std,) = about["mean"], about["std"]
    pixels = batch.features.double()
    black, white = (0 - mean) / std, (1 - mean) / std
    corner = pixels[0, :, 0, 0]
    assert corner.tolist() == pytest.approx([black] * len(corner), abs=1e-6)  # around a digit
    assert white >= pixels.max() > white - (white - black) / 4
    side = LIBRARY[name].get("image_size", 16) if way in ("folder", "zip") else None
    side = side or (
        12 if name == "vit" and way in ("program", "onnx", "code") else pixels.shape[-1]
    )
    assert tuple(pixels.shape[-2:]) == (side, side)


def numbered(way: str, name: str, text: str, folder: Path) -> list[int]:
    """The tokens of a text: places in the list, or what the library says of its own folder."""
    if way not in ("folder", "zip"):
        return [WORDS.index(word) for word in text.split()]
    from transformers import AutoTokenizer

    tokenizer(folder / "spelt", cls=name != "gpt")
    (folder / "spelt" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    spelt = AutoTokenizer.from_pretrained(folder / "spelt", trust_remote_code=False)
    return list(spelt(text)["input_ids"])


def samples_preprocessing(name: str) -> dict[str, Any]:
    """What the card that ships with a sample network says of its pictures."""
    path = Path(__file__).parents[1] / "sample_models" / "weights" / name / "card.json"
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["preprocessing"]
    return about


@pytest.mark.parametrize(("way", "name"), PAIRS)
def test_layers(way: str, name: str, pairs: Any, tmp_path: Path) -> None:
    pair = pairs(way, name)
    data = core.Dataset("two", ["one", "other"], pair.examples.__getitem__, "f" * 64)
    mine, theirs = (
        capture(each, data, tmp_path / str(number), pool="whole", dtype="float32")
        for number, each in enumerate((pair.taken, pair.twin))
    )
    plain = {each.removeprefix("model."): each for each in theirs.names}
    names = {each.removeprefix("model."): each for each in mine.names}
    if pair.exact:
        assert list(names) == list(plain)
    else:
        lacking = plain.keys() - names.keys()
        assert {each for each in lacking if "drop" not in each} == FOLDED.get(name, set())
        assert names.keys() <= plain.keys()
    assert len(names) > 2
    for layer in names.keys() & plain.keys():
        pair.same(mine.rows(names[layer], [0, 1]), theirs.rows(plain[layer], [0, 1]))


@pytest.mark.parametrize(("way", "name"), PAIRS)
def test_reasons(way: str, name: str, pairs: Any) -> None:
    pair = pairs(way, name)
    methods: dict[str, dict[str, Any]] = {"integrated_gradients": {"n_steps": 8}}
    if name in CONVOLUTIONS:
        methods["grad_cam"] = {}
    for method, settings in methods.items():
        one, other = (
            run(attribute, each, pair.examples, method=method, settings=settings)
            for each in (pair.taken, pair.twin)
        )
        assert any(np.abs(each.values).max() > 0 for each in one)
        for mine, theirs in zip(one, other, strict=True):
            pair.same(mine.values, theirs.values)


@pytest.mark.parametrize(("way", "name"), [each for each in PAIRS if each[1] in ATTENTION])
def test_attention(way: str, name: str, pairs: Any) -> None:
    pair = pairs(way, name)
    one, other = (run(attention, each, pair.examples) for each in (pair.taken, pair.twin))
    for mine, theirs in zip(one, other, strict=True):
        assert len(mine.maps) == len(theirs.maps) == 2
        for first, second in zip(mine.maps, theirs.maps, strict=True):
            pair.same(first, second)
        assert [each.name.removeprefix("model.") for each in mine.layers] == [
            each.name.removeprefix("model.") for each in theirs.layers
        ]


def test_a_graph_without_layers_is_only_asked(pairs: Any, tmp_path: Path) -> None:
    """Its operators are run by the library that knows them, and no gradient goes through."""
    pairs("onnx", "cnn")  # in whose workspace it comes
    from onnx import TensorProto, helper, numpy_helper, save

    weight = torch.linspace(-1, 1, 9).reshape(3, 3, 1, 1)
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("LRN", ["x"], ["a"], size=3),
        helper.make_node("Conv", ["a", "w"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    taken = info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    graph = helper.make_graph(
        nodes, "net", [taken], [info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight.numpy(), "w")],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "n.onnx")
    added = door.add(tmp_path / "n.onnx")
    assert "LRN is an operator that is not known" in added.notes[-1]
    model = load(core.reference(added.name), "cpu")
    pixels = torch.rand(2, 3, 8, 8)
    with model.exclusive() as ready:
        found = ready(pixels)
    near = F.local_response_norm(pixels, 3)
    torch.testing.assert_close(found, F.conv2d(near, weight).mean((2, 3)))
    examples = given("cnn")[:1]
    with pytest.raises(NotValid, match="No gradient of the output reaches the input"):
        run(attribute, model, examples, method="integrated_gradients")
    with pytest.raises(NotValid, match="no attention"):
        run(attention, model, examples)


def test_a_graph_whose_program_is_refused_is_only_asked(
    pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that is known here, and that no program may call."""
    pairs("onnx", "cnn")  # in whose workspace it comes
    from onnx import TensorProto, helper, save

    monkeypatch.setattr(operators, "ATEN", operators.ATEN - {"erf"})
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Erf", ["x"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "net", [info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [info("y", TensorProto.FLOAT, ["n", 3])],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "erf.onnx")
    added = door.add(tmp_path / "erf.onnx")
    assert "aten.erf.default', which is not on the list of operators" in added.notes[-1]
    pixels = torch.rand(2, 3, 8, 8)
    with load(core.reference(added.name), "cpu").exclusive() as ready:
        torch.testing.assert_close(ready(pixels), torch.erf(pixels).mean((2, 3)))


def test_a_graph_that_fills_the_memory(pairs: Any, tmp_path: Path) -> None:
    """A table of 20 GB made of nothing: a sentence, and no other way is tried."""
    pairs("onnx", "cnn")
    from onnx import TensorProto, helper, numpy_helper, save

    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Expand", ["one", "sizes"], ["a"]),
        helper.make_node("MatMul", ["x", "a"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "net", [info("x", TensorProto.FLOAT, ["n", 50_000])],
        [info("y", TensorProto.FLOAT, ["n", 100_000])],
        [
            numpy_helper.from_array(np.float32([[1]]), "one"),
            numpy_helper.from_array(np.int64([50_000, 100_000]), "sizes"),
        ],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "n.onnx")
    with pytest.raises(BadModel, match=r"Expand makes a tensor of 37 GiB, of 50,000 × 100,000"):
        door.add(tmp_path / "n.onnx")


def test_what_is_said_of_a_graph_changes_its_fingerprint(pairs: Any) -> None:
    """So that nothing remembered of one is taken for the other."""
    pair = pairs("onnx", "several")
    folder = pair.taken.card.folder
    own.settle(own.at(folder), Description(held={"numbers": 0}))
    ref = core.reference(f"{own.PREFIX}{folder}")
    assert ref.fingerprint != pair.taken.ref.fingerprint
    one, other = (run(predict, each, pair.examples) for each in (load(ref, "cpu"), pair.taken))
    assert not np.allclose(one[0].logits, other[0].logits)


@pytest.mark.parametrize("kind", ["onnx", "zip"])
def test_a_graph_over_texts_waits_for_its_tokenizer(
    kind: str, pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asks for it, and need not open the file again."""
    pair = pairs("onnx", "lstm")
    monkeypatch.setenv("FLUOROSCOPE_WORKSPACE", str(tmp_path / "place"))
    path = tmp_path / f"words.{kind}"
    if kind == "zip":  # as the exporter writes it, the weights in a file beside it
        with zipfile.ZipFile(path, "w") as archive:
            for part in (pair.path, pair.path.with_name(f"{pair.path.name}.data")):
                archive.write(part, part.name)
    else:
        path.write_bytes(whole(pair.path))  # in one file
    place = workspace()
    digest = arrival.keep(place, path.name, path.read_bytes())
    waits = arrival.waiting(place, digest)
    assert waits is not None
    asked_for = {"path": str(waits.path), "root": str(place.root)}
    arrived = arrival.bring(None, None, asked_for, 0, Meter())
    assert arrived.added is None and "tokenizer" in arrived.missing
    staged = own.at(place.models / f".new-{digest[:32]}")
    assert not staged.known
    added = own.settle(staged, said("lstm"))
    (found,) = run(predict, load(core.reference(added.name), "cpu"), pair.examples[:1])
    (truth,) = run(predict, pair.twin, pair.examples[:1])
    np.testing.assert_allclose(found.logits, truth.logits, rtol=1e-5, atol=1e-5)
    assert door.add(path).known


def test_weights_of_ones_own_architecture(pairs: Any, tmp_path: Path) -> None:
    """What is left of a network of several inputs: its weights belong to nothing known."""
    for path, save in (
        (tmp_path / "net.safetensors", save_file),
        (tmp_path / "net.pt", torch.save),
        (tmp_path / "net.ckpt", lambda tensors, to: torch.save({"state_dict": tensors}, to)),
    ):
        save(authors("several").state_dict(), path)
        with pytest.raises(BadModel, match="do not say which network") as caught:
            door.add(path)
        assert "torch.export.save" in caught.value.next_step
        with pytest.raises(BadModel, match=r"missing conv1\.weight.* and \d+ more"):
            door.add(path, Description(architecture={"name": "digits_cnn"}))


def test_a_folder_of_ones_own_architecture(pairs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    about = {"model_type": "my_lstm", "architectures": ["MyLstmForSequenceClassification"]}
    (folder / "config.json").write_text(json.dumps(about))
    save_file(authors("lstm").state_dict(), folder / "model.safetensors")
    tokenizer(folder)
    path = shutil.make_archive(str(tmp_path / "net"), "zip", tmp_path, "net")
    for each in (folder, Path(path)):
        with pytest.raises(BadModel, match=r"'my_lstm', which transformers .* does not know"):
            door.add(each)


class Fitted(nn.Module):
    """Word embeddings by a determinant, an operator that does not become layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.fc = nn.Linear(1, 2)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits ``[example, class]``."""
        found = self.embedding(ids)
        return self.fc(torch.linalg.det(found.mT @ found)[:, None])


def test_a_graph_over_texts(pairs: Any, tmp_path: Path) -> None:
    """One that does not become layers has no embeddings to look into."""
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch.onnx.export(
            Fitted().eval(), (torch.tensor([[1, 2, 3]]),), path, external_data=False, verbose=False
        )
    with pytest.raises(BadModel, match=r"numbers of tokens.*Det is an operator") as caught:
        door.add(path, said("bert"))
    assert "torch.export.save" in caught.value.next_step
