"""Operators of ONNX as layers and functions of torch: each against the evaluator that ONNX's own
authors wrote, from the files that are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from core.errors import BadModel
from core.models.converted.graph import Unconverted, read
from core.models.converted.steps import Steps
from core.models.converted.values import TooLarge

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

Random = np.random.default_rng(0)
X = Random.normal(size=(2, 4, 6, 6)).astype(np.float32)
ROWS = Random.normal(size=(2, 5, 8)).astype(np.float32)
IDS = np.array([[1, 0, 3], [2, 2, -1]])
POSITIVE = np.abs(X) + 0.1


def weight(*shape: int) -> Any:
    """Some weights."""
    return Random.normal(size=shape).astype(np.float32)


def ints(*values: int) -> Any:
    """Whole numbers, as sizes and axes are given."""
    return np.array(values, np.int64)


def model(
    nodes: list[Any],
    given: dict[str, Any],
    constants: dict[str, Any],
    version: int = 20,
    outputs: int = 1,
) -> Any:
    """A graph of these nodes that answers with ``y``, and ``y1`` …"""
    info = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape)
        )
        for name, value in given.items()
    ]
    names = ["y", *(f"y{place}" for place in range(1, outputs))]
    made = helper.make_graph(
        nodes,
        "net",
        info,
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in names],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", version)], ir_version=10)


def ours(made: Any, given: dict[str, Any]) -> list[Any]:
    """What the steps of a graph answer."""
    graph = read(made.SerializeToString())
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in given.items()}
    with torch.no_grad():
        return [each.numpy() for each in Steps(graph, tensors)(*tensors.values())]


def one(kind: str, *inputs: Any, version: int = 20, outputs: int = 1, **settings: Any) -> Any:
    """A case: an operator, its inputs (the first is given, the others are constants; a list of one
    array is given, too), and its settings.
    """
    label = f"{kind}-{version}-" + "-".join(f"{k}" for k in settings)
    return pytest.param(kind, inputs, version, outputs, settings, id=label)


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
SPATIAL = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
CASES = [
    one("Conv", X, weight(4, 2, 3, 3), weight(4), group=2, **SPATIAL),
    one("Conv", X, weight(4, 4, 3, 3), kernel_shape=[3, 3], pads=[0, 1, 2, 1], strides=[2, 1]),
    one("Conv", X, weight(4, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    one("Conv", X, weight(4, 4, 2, 2), auto_pad="SAME_LOWER"),
    one("Conv", X, weight(4, 4, 2, 2), kernel_shape=[2, 2], dilations=[2, 1]),
    one("Conv", ROWS, weight(3, 5, 3), kernel_shape=[3]),
    one("ConvTranspose", X, weight(4, 2, 3, 3), weight(2), strides=[2, 2], output_padding=[1, 1],
        **SPATIAL),
    one("Gemm", ROWS[0], weight(8, 3), weight(3)),
    one("Gemm", ROWS[0], weight(3, 8), weight(3), transB=1, alpha=0.5, beta=2.0),
    one("Gemm", ROWS[0], weight(5, 3), transA=1),
    one("Gemm", ROWS[0], [weight(8, 3)], weight(5, 3), beta=0.5),
    one("MatMul", ROWS, weight(8, 3)),
    one("MatMul", ROWS, [weight(2, 8, 3)]),
    one("Attention", weight(2, 4, 5, 3), [weight(2, 4, 6, 3)], [weight(2, 4, 6, 3)], version=23),
    one("Attention", weight(2, 4, 5, 3), [weight(2, 2, 5, 3)], [weight(2, 2, 5, 3)], version=23,
        is_causal=1, scale=0.3),
    one("Attention", ROWS, [weight(2, 6, 8)], [weight(2, 6, 8)], [weight(5, 6)], version=23,
        q_num_heads=2, kv_num_heads=2),
    one("Attention", ROWS, [weight(2, 6, 8)], [weight(2, 6, 8)], [weight(5, 6) > -1], version=23,
        q_num_heads=4, kv_num_heads=4),
    one("Einsum", ROWS, [weight(2, 8, 3)], equation="bij,bjk->bik"),
    one("BatchNormalization", X, weight(4), weight(4), weight(4), np.abs(weight(4)), epsilon=1e-3),
    one("LayerNormalization", ROWS, weight(8), weight(8), epsilon=1e-6),
    one("LayerNormalization", ROWS, weight(5, 8), axis=1),
    one("LayerNormalization", ROWS, weight(1, 8), weight(1, 8)),
    one("InstanceNormalization", X, weight(4), weight(4)),
    one("GroupNormalization", X, weight(2), weight(2), version=18, num_groups=2),
    one("GroupNormalization", X, weight(4), weight(4), version=21, num_groups=2),
    one("RMSNormalization", ROWS, weight(8), version=23),
    one("LpNormalization", ROWS, axis=1, p=2),
    one("MaxPool", X, strides=[2, 2], **SPATIAL),
    one("AveragePool", X, strides=[2, 2], **SPATIAL),
    one("AveragePool", X, count_include_pad=1, **SPATIAL),
    one("AveragePool", X, kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1),
    one("GlobalAveragePool", X),
    one("GlobalMaxPool", X),
    *(one(kind, X) for kind in (
        "Relu", "Sigmoid", "Tanh", "Mish", "HardSwish", "Softplus", "Selu", "Elu", "Celu",
        "LeakyRelu", "Gelu", "Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "Neg", "Round", "Sign",
        "Sin", "Softsign", "IsNaN", "Identity",
    )),
    *(one(kind, POSITIVE) for kind in ("Log", "Reciprocal", "Sqrt")),
    one("Gelu", X, approximate="tanh"),
    one("Elu", X, alpha=0.5),
    one("LeakyRelu", X, alpha=0.3),
    one("HardSigmoid", X, alpha=1 / 6, beta=0.5),
    one("HardSigmoid", X, alpha=0.4),
    one("PRelu", X, weight(4, 1, 1)),
    one("PRelu", X, weight(1, 4, 1, 1)),
    one("PRelu", X, weight(1, 1, 1, 1)),
    one("PRelu", X, weight(6)),
    one("PRelu", ROWS[0], weight(8)),
    one("PRelu", X[:, :, :4, :4], weight(4)),
    one("PRelu", X, [weight(4, 6, 6)]),
    one("Clip", X, np.float32(0), np.float32(6)),
    one("Clip", X, np.float32(-0.5), np.float32(0.25)),
    one("Clip", X, version=6, min=-0.1, max=0.2),
    one("Clip", X, np.float32(0.1)),
    one("Softmax", ROWS),
    one("Softmax", ROWS, axis=1),
    one("LogSoftmax", ROWS, version=11, axis=2),
    one("LogSoftmax", ROWS),
    *(one(kind, ROWS, [weight(5, 8)]) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    *(one(kind, ROWS, [weight(5, 8)]) for kind in (
        "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
    )),
    one("Add", ROWS, weight(8)),
    one("Sum", ROWS, [weight(5, 8)], [weight(8)]),
    one("Div", IDS * 7, ints(2)),
    one("Mod", IDS, ints(3)),
    one("Mod", ROWS, weight(8), fmod=1),
    one("Pow", ROWS, np.float32(3)),
    one("Pow", POSITIVE, [np.float32(0.5) + np.abs(weight(6))]),
    one("Equal", IDS, ints(2)),
    one("Not", IDS > 1),
    one("And", IDS > 1, [IDS < 3]),
    one("Where", IDS > 1, np.float32(1), np.float32(0)),
    one("Cast", ROWS, to=TensorProto.INT64),
    one("IsInf", np.array([np.inf, 1, -np.inf], np.float32), detect_negative=0),
    one("CumSum", ROWS, np.int64(1)),
    one("ReduceMean", X, ints(2, 3), keepdims=0),
    one("ReduceMean", X, version=13, axes=[2, 3]),
    one("ReduceMean", X, noop_with_empty_axes=1),
    *(one(kind, POSITIVE, ints(-1)) for kind in (
        "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
        "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
    )),
    one("ArgMax", ROWS, axis=2, keepdims=0),
    one("Gather", weight(5, 4), [np.abs(IDS)]),
    one("Gather", ROWS, ints(0, -1), axis=1),
    one("Gather", ROWS, np.int64(-1), axis=1),
    one("GatherElements", ROWS, np.zeros((2, 5, 1), np.int64), axis=2),
    one("GatherND", ROWS, np.array([[0, 1], [1, -1]])),
    one("ScatterElements", ROWS, [IDS[:, :, None] % 5], [weight(2, 3, 1)], axis=1),
    one("ScatterElements", ROWS, [np.array([[[-1], [0]]])], [weight(1, 2, 1)], axis=-1),
    one("ScatterElements", ROWS, [IDS[:, :, None] * 0], [weight(2, 3, 1)], axis=1,
        reduction="add", version=18),
    one("ScatterND", ROWS, np.array([[0, 1], [1, -1]]), [weight(2, 8)]),
    one("ScatterND", ROWS, np.array([[0, 1], [0, 1]]), [weight(2, 8)], reduction="add"),
    one("TopK", ROWS, ints(3), outputs=2),
    one("TopK", ROWS, ints(2), outputs=2, axis=1, largest=0),
    one("Reshape", ROWS, ints(0, -1, 4)),
    one("Reshape", ROWS, ints(2, 40)),
    one("Reshape", ROWS, ints(2, 5, 2, 4)),
    one("Reshape", ROWS, ints(5, 2, 8)),
    one("Reshape", ROWS[:, :, None], ints(2, 5, 8)),
    one("Flatten", X),
    one("Flatten", X, axis=3),
    one("Flatten", X, axis=0),
    one("Squeeze", X[:, :1], ints(1)),
    one("Squeeze", X[:, :1], version=11, axes=[1]),
    one("Unsqueeze", ROWS, ints(0, -1)),
    one("Concat", ROWS, [ROWS], axis=1),
    one("Split", ROWS, ints(3, 5), axis=2, outputs=2),
    one("Split", ROWS, axis=2, outputs=3, num_outputs=3),
    one("Split", ROWS, version=11, axis=2, outputs=2, split=[3, 5]),
    one("Slice", ROWS, ints(1), ints(2**63 - 1), ints(2), ints(2)),
    one("Slice", ROWS, ints(0, -3), ints(1, -1)),
    one("Slice", ROWS, ints(-1), ints(-(2**63)), ints(1), ints(-1)),
    one("Slice", ROWS, version=9, starts=[1], ends=[4], axes=[1]),
    one("Expand", ROWS[:, :1], ints(3, 1, 5, 1)),
    one("Tile", ROWS, ints(1, 2, 3)),
    one("Transpose", ROWS, perm=[2, 0, 1]),
    one("Transpose", ROWS),
    one("Pad", X, ints(0, 0, 1, 2, 0, 0, 3, 4), np.float32(2)),
    one("Pad", X, ints(1, 0, 0, 0, 0, 0, 0, 1)),
    one("Pad", X, ints(0, 0, 1, 2, 0, 0, 3, 4), mode="reflect"),
    one("Pad", X, ints(0, 0, 1, 2, 0, 0, 3, 4), mode="edge"),
    one("Pad", X, ints(0, 0, 1, 2, 0, 0, 3, 4), version=19, mode="wrap"),
    one("Trilu", ROWS, np.int64(1)),
    one("Trilu", ROWS, upper=0),
    one("Resize", X, np.float32([]), np.float32([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric"),
    one("Resize", X, np.float32([]), np.float32([]), ints(2, 4, 9, 12), mode="linear"),
    one("Resize", X, np.float32([]), np.float32([]), ints(2, 4, 9, 12), mode="linear",
        coordinate_transformation_mode="align_corners"),
    one("DepthToSpace", X, blocksize=2, mode="CRD"),
    one("DepthToSpace", np.concatenate([X, -X], 1), blocksize=2),
    one("SpaceToDepth", X, blocksize=2),
    *(one(kind, ROWS, weight(1, gates * 3, 8), weight(1, gates * 3, 3), weight(1, gates * 6),
          outputs=2, hidden_size=3, **({"linear_before_reset": 1} if kind == "GRU" else {}))
      for kind, gates in GATES.items()),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "inputs", "version", "outputs", "settings"), CASES)
def test_an_operator(kind: str, inputs: Any, version: int, outputs: int, settings: Any) -> None:
    from onnx.reference import ReferenceEvaluator

    names = [f"x{place}" for place in range(len(inputs))]
    moving = {0, *(place for place, value in enumerate(inputs) if isinstance(value, list))}
    given = {
        name: np.asarray(value[0] if isinstance(value, list) else value)
        for place, (name, value) in enumerate(zip(names, inputs, strict=True))
        if place in moving
    }
    fixed = {
        n: v for place, (n, v) in enumerate(zip(names, inputs, strict=True)) if place not in moving
    }
    answers = ["y", *(f"y{place}" for place in range(1, outputs))]
    made = model(
        [helper.make_node(kind, names, answers, **settings)], given, fixed, version, outputs
    )
    with np.errstate(all="ignore"):
        theirs = ReferenceEvaluator(made).run(None, given)
    for mine, truth in zip(ours(made, given), theirs, strict=True):
        assert mine.shape == truth.shape
        assert mine.dtype == truth.dtype
        np.testing.assert_allclose(mine, truth, rtol=2e-5, atol=2e-5)


def test_what_the_evaluator_gets_wrong() -> None:
    """It pads a pooling on both sides alike, and knows no softmax of the years before 2020."""
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    (found,) = ours(model([node], {"x": X}, {}), {"x": X})
    padded = np.pad(X, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=-np.inf)
    corners = [padded[..., i : i + 6, j : j + 6] for i in (0, 1) for j in (0, 1)]
    np.testing.assert_array_equal(found, np.max(corners, axis=0))
    node = helper.make_node("Softmax", ["x"], ["y"])
    (found,) = ours(model([node], {"x": ROWS}, {}, 11), {"x": ROWS})
    chances = np.exp(ROWS) / np.exp(ROWS).sum((1, 2), keepdims=True)
    np.testing.assert_allclose(found, chances, rtol=1e-5)


def test_recurrent_layers_in_both_directions() -> None:
    """With states to begin with, against torch's own layer."""
    torch.manual_seed(0)
    live = torch.nn.LSTM(8, 3, bidirectional=True)
    tables = dict(live.named_parameters())

    def gates(name: str) -> Any:
        """As ONNX orders them, i o f c, a direction on an axis of its own."""
        parts = [tables[name + end].detach().chunk(4) for end in ("", "_reverse")]
        return torch.stack([torch.cat([i, o, f, c]) for i, f, c, o in parts]).numpy()

    bias = np.concatenate([gates("bias_ih_l0"), gates("bias_hh_l0")], axis=1)
    values = np.ascontiguousarray(ROWS.transpose(1, 0, 2))
    starts = [weight(2, 2, 3), weight(2, 2, 3)]
    node = helper.make_node(
        "LSTM", ["x", "w", "r", "b", "", "h", "c"], ["y", "y1", "y2"],
        hidden_size=3, direction="bidirectional",
    )  # fmt: skip
    given = {"x": values, "h": starts[0]}
    fixed = {"w": gates("weight_ih_l0"), "r": gates("weight_hh_l0"), "b": bias, "c": starts[1]}
    output, hidden, cell = ours(model([node], given, fixed, outputs=3), given)
    with torch.no_grad():
        truth, (h, c) = live(torch.from_numpy(values), tuple(map(torch.from_numpy, starts)))
    np.testing.assert_allclose(output.transpose(0, 2, 1, 3).reshape(5, 2, 6), truth, atol=1e-6)
    np.testing.assert_allclose(hidden, h, atol=1e-6)
    np.testing.assert_allclose(cell, c, atol=1e-6)


GREAT = ints(50_000, 50_000)
TOO_LARGE = {
    "ConstantOfShape": ([GREAT], {}),
    "Expand": ([np.float32([1]), GREAT], {}),
    "Tile": ([np.ones((1, 1), np.float32), GREAT], {}),
    "Range": ([np.int64(0), np.int64(2_500_000_000), np.int64(1)], {}),
    "Pad": ([np.ones((1, 1), np.float32), ints(0, 0, 50_000, 50_000)], {}),
    "Resize": (
        [X, np.float32([]), np.float32([]), ints(2, 4, 50_000, 50_000)],
        {"mode": "linear"},
    ),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_tensor_that_a_graph_makes_of_nothing(kind: str) -> None:
    """20 GB and more, before any memory is taken."""
    inputs, settings = TOO_LARGE[kind]
    names = [f"x{place}" for place in range(len(inputs))]
    node = helper.make_node(kind, names, ["y"], **settings)
    made = model([node], {"x": ROWS}, dict(zip(names, inputs, strict=True)))
    with pytest.raises(BadModel, match=rf"{kind} makes a tensor of \d+ GiB"):
        ours(made, {"x": ROWS})


def test_a_number_that_grows_without_an_end() -> None:
    """A size times itself, again and again: its digits would fill the memory."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("ReduceProd", ["s"], ["n0"]),
        *(helper.make_node("Mul", [f"n{i}"] * 2, [f"n{i + 1}"]) for i in range(60)),
        helper.make_node("Sub", ["n60", "n60"], ["z"]),
        helper.make_node("Cast", ["z"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    with pytest.raises(Unconverted, match="more than 64 bits"):
        ours(model(nodes, {"x": ROWS}, {}), {"x": ROWS})


def test_sizes_that_double_without_an_end() -> None:
    """Kept as numbers of Python, they would take some 40 bytes each."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s0"]),
        *(helper.make_node("Concat", [f"s{i}"] * 2, [f"s{i + 1}"], axis=0) for i in range(40)),
        helper.make_node("Size", ["s40"], ["n"]),
        helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    with pytest.raises(TooLarge, match="more than 100,000 sizes"):
        ours(model(nodes, {"x": ROWS}, {}), {"x": ROWS})


def branch() -> Any:
    """A graph with another one inside."""
    info = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
    inner = helper.make_graph([helper.make_node("Abs", ["x"], ["z"])], "inner", [], [info])
    return helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)


REFUSED = {
    "a branch": (branch(), "decides what runs|a part of a graph"),
    "a loop": (helper.make_node("Loop", ["x"], ["y"]), "Loop decides what runs"),
    "another domain": (
        helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"),
        "Gelu is an operator of 'com.microsoft'",
    ),
    "an unknown operator": (helper.make_node("Hardmax", ["x"], ["y"]), "Hardmax is an operator"),
    "no axes": (helper.make_node("Unsqueeze", ["x"], ["y"]), "Unsqueeze"),
    "axes of the values": (helper.make_node("Reshape", ["x", "x"], ["y"]), "depends on values"),
    "a name of nothing": (helper.make_node("Add", ["x", "nobody"], ["y"]), "Add does not run"),
    "training": (
        helper.make_node("BatchNormalization", ["x"] * 5, ["y", "a", "b"], training_mode=1),
        "while training",
    ),
    "a text": (
        helper.make_node(
            "Constant", [], ["y"], value=helper.make_tensor("t", TensorProto.STRING, [1], [b"a"])
        ),
        "type",
    ),
    "a lying shape": (
        helper.make_node(
            "Constant", [], ["y"],
            value=TensorProto(dims=[50_000, 50_000], data_type=1, raw_data=b"\0" * 16),
        ),
        "a weight cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_become_layers(what: str) -> None:
    node, reason = REFUSED[what]
    with pytest.raises(Unconverted, match=reason):
        ours(model([node], {"x": ROWS}, {}), {"x": ROWS})


@pytest.mark.parametrize(
    "scopes",
    [
        "['', 'forward', 'forward.__class__', 'x']",
        "['', 'a;b,own.C', 'a;b,own.C.d', 'x']",
        "['', '../../etc', 'x']",
        "['', 'training', 'x']",
        "['', 'graph', 'graph.meta', 'x']",
        "[__import__('os').system('true')]",
        "['', '" + "a." * 5000 + "a', 'x']",
    ],
)
def test_a_name_that_is_no_layers(scopes: str, tmp_path: Any) -> None:
    """What a file says of the places of its nodes hides nothing, and is never evaluated."""
    from core.models.converted.program import exported
    from core.models.exported.clean import clean
    from core.models.exported.module import ExportedModule, program

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "one"),
        helper.make_node("Relu", ["h"], ["y"], "two"),
    ]
    for node in nodes:
        kinds = "['A'" + ", 'B.C'" * scopes.count(",") + "]"
        for key, value in (("name_scopes", scopes), ("class_hierarchy", kinds)):
            node.metadata_props.append(onnx.StringStringEntryProto(key=f"pkg.{key}", value=value))
    made = model(nodes, {"x": ROWS}, {"w": weight(8, 3)})
    whole, _ = exported(read(made.SerializeToString()))
    torch.export.save(whole, tmp_path / "raw.pt2")
    clean(tmp_path / "raw.pt2", tmp_path / "model.pt2")
    network = ExportedModule(program(tmp_path / "model.pt2"), {}).eval()
    with torch.no_grad():
        found = network(torch.from_numpy(ROWS))
    (truth,) = ours(made, {"x": ROWS})
    np.testing.assert_array_equal(found.numpy(), truth)
