"""An ONNX graph as plain values: nodes in their order, constants as arrays, and nothing that would
have to be run to be known.

Operators: https://onnx.ai/onnx/operators. Imports onnx when it reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core.errors import shortened

Array = npt.NDArray[Any]

MOST_NODES: Final = 100_000  # with its functions written out
_FLOW: Final = ("If", "Loop", "Scan", "SequenceMap")
_DOMAINS: Final = ("", "ai.onnx")
_DTYPES: Final = frozenset(
    ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
)


class Unconverted(Exception):
    """Why a graph does not become layers, as a part of a sentence."""


@dataclass(frozen=True)
class Node:
    """One step: its operator, the names of what it takes (empty for what is left out) and makes,
    its settings, and what the exporter noted of its place.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any]
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Call:
    """A node as an operator is told of it: its kind, settings, the ``version`` of ONNX's operators,
    and how many outputs are wanted.
    """

    kind: str
    settings: Mapping[str, Any]
    version: int
    outputs: int

    def get(self, name: str, usual: Any = None) -> Any:
        """A setting."""
        return self.settings.get(name, usual)


@dataclass(frozen=True)
class Given:
    """An input: ``sizes`` has a number for each fixed axis and None for each free one."""

    name: str
    dtype: str
    sizes: tuple[int | None, ...]


@dataclass(frozen=True)
class Graph:
    """A graph of operators of ``version``; ``constants`` are its weights by name."""

    inputs: tuple[Given, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    version: int
    producer: str


def read(data: bytes) -> Graph:
    """The graph in the bytes of a file that names no other file.

    Raises ``Unconverted`` for graphs with branches, loops, operators of other domains and values
    that torch does not know.
    """
    import onnx
    import onnx.inliner

    model = onnx.load_model_from_string(data)
    if len(model.functions):
        model = onnx.inliner.inline_local_functions(model)
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        raise Unconverted(f"it has more than {MOST_NODES:,} nodes")
    if len(graph.sparse_initializer):
        raise Unconverted("its weights are sparse")
    version = max(
        (each.version for each in model.opset_import if each.domain in _DOMAINS), default=0
    )
    constants = {each.name: _array(each) for each in graph.initializer}
    nodes = []
    for each in graph.node:
        if each.domain not in _DOMAINS:
            raise Unconverted(
                f"{shortened(each.op_type, 40)} is an operator of "
                f"'{shortened(each.domain, 60)}', not of ONNX itself"
            )
        if each.op_type in _FLOW:
            raise Unconverted(f"{each.op_type} decides what runs while it runs")
        node = Node(
            each.op_type,
            each.name,
            tuple(each.input),
            tuple(each.output),
            {one.name: _setting(one) for one in each.attribute},
            {one.key.rpartition(".")[2]: one.value for one in each.metadata_props},
        )
        if node.kind == "Constant" and node.outputs:
            constants[node.outputs[0]] = _constant(node)
        elif node.kind == "Identity" and node.inputs[:1] and node.inputs[0] in constants:
            constants[node.outputs[0]] = constants[node.inputs[0]]
        else:
            nodes.append(node)
    outputs = tuple(each.name for each in graph.output)
    found = tuple(_given(each) for each in graph.input if each.name not in constants)
    return Graph(
        found,
        outputs,
        tuple(_linear(_needed(nodes, outputs), constants, outputs)),
        constants,
        version,
        model.producer_name,
    )


def _array(tensor: Any) -> Array:
    from onnx import numpy_helper

    try:
        made: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise Unconverted(f"a weight cannot be read ({shortened(str(error), 80)})") from None
    if made.dtype.name not in _DTYPES:
        raise Unconverted(f"it has weights of the type {shortened(made.dtype.name, 40)}")
    return made


def _setting(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return _array(value)
    if isinstance(value, int | float):
        return value
    if all(isinstance(each, int | float) for each in value):
        return list(value)
    if all(isinstance(each, bytes) for each in value):
        return [each.decode("utf-8", "replace") for each in value]
    raise Unconverted("an operator has a part of a graph in it")


def _constant(node: Node) -> Array:
    for key, dtype in (("value_float", np.float32), ("value_floats", np.float32),
                       ("value_int", np.int64), ("value_ints", np.int64)):  # fmt: skip
        if key in node.settings:
            return np.array(node.settings[key], dtype)
    value = node.settings.get("value")
    if not isinstance(value, np.ndarray):
        raise Unconverted("a constant is no tensor of numbers")
    return value


def _given(value: Any) -> Given:
    import onnx

    kind = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or not kind.HasField("shape"):
        raise Unconverted(f"its input '{shortened(value.name, 60)}' is no tensor of a known shape")
    sizes = [each.dim_value if each.HasField("dim_value") else None for each in kind.shape.dim]
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    if dtype not in _DTYPES:
        raise Unconverted(f"it takes values of the type {shortened(dtype, 40)}")
    return Given(
        value.name, dtype, tuple(each if each is None or each > 0 else None for each in sizes)
    )


def _needed(nodes: list[Node], outputs: tuple[str, ...]) -> list[Node]:
    """Those that the outputs are made of, in their order."""
    wanted = {*outputs}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return kept[::-1]


def _linear(
    nodes: list[Node], constants: Mapping[str, Array], outputs: tuple[str, ...]
) -> Iterator[Node]:
    """A product with a matrix of weights and the sum that follows it as the one layer they were."""
    uses = Counter(each for node in nodes for each in node.inputs)
    makers = {each: node for node in nodes for each in node.outputs}
    into: dict[int, Node] = {}
    for node in nodes:
        if node.kind != "Add" or len(node.inputs) != 2:
            continue
        for place in (0, 1):
            made, bias = node.inputs[place], constants.get(node.inputs[1 - place])
            product = makers.get(made)
            if (
                bias is not None
                and product is not None
                and uses[made] == 1
                and made not in outputs
                and _is_dense(product, constants)
                and _scope(product) == _scope(node)
                and bias.shape == constants[product.inputs[1]].shape[1:]
            ):
                inputs = (*product.inputs, node.inputs[1 - place])
                into[id(product)] = replace(product, inputs=inputs, outputs=node.outputs)
                into[id(node)] = product
                break
    for node in nodes:
        joined = into.get(id(node))
        if node.kind == "Add" and joined is not None:
            continue
        yield joined or node


def _scope(node: Node) -> str:
    """The layer that a node is noted to be of, if one is."""
    noted = node.notes.get("name_scopes", "")
    return (
        noted.rpartition(",")[0] or (node.name if node.name[:1] == "/" else "").rpartition("/")[0]
    )


def _is_dense(node: Node, constants: Mapping[str, Array]) -> bool:
    if node.kind != "MatMul" or len(node.inputs) != 2 or node.inputs[0] in constants:
        return False
    weight = constants.get(node.inputs[1])
    return weight is not None and weight.ndim == 2 and weight.dtype.kind == "f"
