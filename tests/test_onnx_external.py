"""Weights of an ONNX graph in other files: those beside it are taken in, no others are opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import BadModel
from core.models.converted.graph import read
from core.models.formats import onnxbytes
from core.models.formats.onnxbytes import beside, digest, size, whole

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)
OPENED: list[str] = []
_LISTENING: list[bool] = []


def _listen(event: str, given: tuple[Any, ...]) -> None:
    if _LISTENING and event == "open":
        OPENED.append(str(given[0]))


sys.addaudithook(_listen)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The files that are opened from now on."""
    OPENED.clear()
    _LISTENING.append(True)
    yield OPENED
    _LISTENING.clear()


def outside(name: str, entries: dict[str, str]) -> Any:
    """A tensor whose values are in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=WEIGHTS.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph(path: Path, where: str = "initializer", **entries: str) -> Path:
    """``x @ weights``, with the weights in another file."""
    tensor = outside("w", entries)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    starts = [tensor] if where == "initializer" else []
    if where == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    made = helper.make_graph(nodes, "net", [x], [y], starts)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if where == "function":
        node = helper.make_node("Constant", [], ["w"], value=tensor)
        made = helper.make_function("own", "f", [], ["w"], [node], model.opset_import)
        model.functions.append(made)
    if where == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["weights.data", "more/weights.data", "a" * 200])
def test_weights_beside_the_graph_are_its_own(tmp_path: Path, location: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    path = graph(tmp_path / "net.onnx", location=location, offset="8", length="24")
    place = tmp_path / location
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(bytes(8) + WEIGHTS.tobytes() + bytes(8))
    session = runtime.InferenceSession(whole(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.eye(2, dtype=np.float32)})
    assert np.array_equal(found, WEIGHTS)
    assert beside(path) == [place]
    assert size(path) == path.stat().st_size + 40
    before = digest(path)
    place.write_bytes(bytes(40))
    assert digest(path) != before


def test_a_graph_that_is_whole_stays_as_it_is(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(graph(tmp_path / "net.onnx", location="w").read_bytes())
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHTS, "w"))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert whole(tmp_path / "net.onnx") == model.SerializeToString()
    assert beside(tmp_path / "net.onnx") == []


ELSEWHERE = {
    "absolute": ({"location": "{home}/secret"}, "outside its folder"),
    "above": ({"location": "../secret"}, "outside its folder"),
    "above, later": ({"location": "more/../../secret"}, "outside its folder"),
    "backslashes": ({"location": "..\\secret"}, "outside its folder"),
    "drive": ({"location": "C:secret"}, "outside its folder"),
    "address": ({"location": "https://example.org/secret"}, "outside its folder"),
    "zero": ({"location": "sec\0ret"}, "outside its folder"),
    "here": ({"location": "."}, "outside its folder"),
    "nothing": ({"location": ""}, "outside its folder"),
    "no entries": ({}, "outside its folder"),
    "a link": ({"location": "link"}, "is a link"),
    "below a link": ({"location": "linked/secret"}, "is a link"),
    "a folder": ({"location": "more"}, "is no file"),
    "a pipe": ({"location": "pipe"}, "is no file"),
    "not there": ({"location": "gone"}, "not beside it"),
    "very long": ({"location": "x" * 10**5}, "not beside it"),
    "beyond the end": ({"location": "inside", "length": "99999999999"}, "beyond the end"),
    "before the beginning": ({"location": "inside", "offset": "-1"}, "beyond the end"),
    "no number": ({"location": "inside", "offset": "1e3"}, "beyond the end"),
    "many digits": ({"location": "inside", "length": "9" * 5_000}, "beyond the end"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_other_file_is_opened(tmp_path: Path, name: str, opened: list[str]) -> None:
    entries, sentence = ELSEWHERE[name]
    (tmp_path / "secret").write_bytes(WEIGHTS.tobytes())
    home = tmp_path / "home"
    (home / "more").mkdir(parents=True)
    (home / "inside").write_bytes(bytes(8))
    (home / "link").symlink_to(tmp_path / "secret")
    (home / "linked").symlink_to(tmp_path)
    os.mkfifo(home / "pipe")
    given = {key: value.replace("{home}", str(tmp_path)) for key, value in entries.items()}
    path = graph(home / "net.onnx", **given)
    opened.clear()
    with pytest.raises(BadModel, match=sentence) as caught:
        whole(path)
    assert "external_data=False" in caught.value.next_step or "cut off" in caught.value.next_step
    assert not [each for each in opened if "secret" in each or "pipe" in each]
    assert len(str(caught.value)) < 500
    assert size(path) <= path.stat().st_size + 8


@pytest.mark.parametrize("where", ["constant", "function", "sparse"])
def test_weights_are_looked_for_everywhere(tmp_path: Path, where: str) -> None:
    with pytest.raises(BadModel, match="outside its folder"):
        whole(graph(tmp_path / "net.onnx", where, location="/etc/hostname"))


def test_many_that_take_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand tensors of one file take a thousand times its memory."""
    monkeypatch.setattr(onnxbytes, "LARGEST", 100_000)
    (tmp_path / "data").write_bytes(bytes(10_000))
    path = graph(tmp_path / "net.onnx", location="data")
    model = onnx.load_model_from_string(path.read_bytes())
    for number in range(20):
        model.graph.initializer.append(outside(f"w{number}", {"location": "data"}))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadModel, match="more than 2 GiB"):
        whole(path)


def test_a_table_model_follows_no_file(tmp_path: Path, opened: list[str]) -> None:
    pytest.importorskip("onnxruntime")
    from core.models import rowscorer

    (tmp_path / "secret").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "home").mkdir()
    path = graph(tmp_path / "home" / "net.onnx", location=str(tmp_path / "secret"))
    opened.clear()
    with pytest.raises(BadModel, match="outside its folder"):
        rowscorer.load(str(path), ["a", "b"])
    assert not [each for each in opened if "secret" in each]


@pytest.mark.parametrize("what", ["doubled 30 times", "in a circle", "70 deep", "in a branch"])
def test_functions_that_call_functions(what: str, tmp_path: Path) -> None:
    """A file of a few kilobytes that is a thousand million nodes when it is written out."""
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]

    def function(name: str, *inside: str) -> Any:
        names = ["a", *(f"t{place}" for place in range(len(inside) - 1)), "b"]
        nodes = [
            helper.make_node(each, [names[i]], [names[i + 1]], domain="own" if "f" in each else "")
            for i, each in enumerate(inside)
        ]
        return helper.make_function("own", name, ["a"], ["b"], nodes, sets)

    deep, times = {"70 deep": (70, 1), "in a circle": (1, 1)}.get(what, (30, 2))
    functions = [function(f"f{i}", *[f"f{i + 1}"] * times) for i in range(deep)]
    last = ["f0"] if what == "in a circle" else ["Relu"]
    first: Any = helper.make_node("f0", ["x"], ["y"], domain="own")
    info = helper.make_tensor_value_info
    if what == "in a branch":
        out = [info("y", TensorProto.FLOAT, None)]
        inner = helper.make_graph([first], "inner", [], out)
        first = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    made = helper.make_graph(
        [first], "net", [info("x", TensorProto.FLOAT, [2, 3]), info("c", TensorProto.BOOL, [])],
        [info("y", TensorProto.FLOAT, [2, 3])],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    model = helper.make_model(
        made, opset_imports=sets, functions=[*functions, function(f"f{deep}", *last)], ir_version=10
    )
    onnx.save(model, path)
    with pytest.raises(BadModel, match="more than 100,000 nodes"):
        whole(path)


def test_functions_of_an_exporter(tmp_path: Path) -> None:
    """A layer that was written as a function is taken."""
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    node = helper.make_node("Relu", ["a"], ["b"])
    layer = helper.make_function("own", "Layer", ["a"], ["b"], [node], sets)
    calls = [helper.make_node("Layer", [a], [b], domain="own") for a, b in (("x", "h"), ("h", "y"))]
    info = helper.make_tensor_value_info
    made = helper.make_graph(
        calls, "net", [info("x", TensorProto.FLOAT, [2, 3])], [info("y", TensorProto.FLOAT, [2, 3])]
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(made, opset_imports=sets, functions=[layer], ir_version=10), path)
    assert [each.kind for each in read(whole(path)).nodes] == ["Relu", "Relu"]
