"""Steps of a program before and after its layers are taken apart.

Sizes are worked out once at its beginning, so that layers answer with tensors alone; the number of
examples that it was exported with is made free where it was written into it; and operators become
the functions that people write, which is what other parts of Fluoroscope look for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from core.models.exported.guarded import CHECKED, RECURRENT
from core.models.exported.operators import ON_SIZES

_SIZED = {"view": 1, "reshape": 1, "_unsafe_view": 1, "expand": 1, "repeat": 1, "new_zeros": 1,
          "new_ones": 1, "new_full": 1, "zeros": 0, "ones": 0, "full": 0, "empty": 0}  # fmt: skip
"""Operators that take a shape, and which argument it is."""
_PUBLIC: dict[str, tuple[Callable[..., Any], int]] = {
    "relu": (torch.relu, 1),
    "relu_": (torch.relu_, 1),
    "sigmoid": (torch.sigmoid, 1),
    "tanh": (torch.tanh, 1),
    "gelu": (F.gelu, 1),
    "silu": (F.silu, 1),
    "elu": (F.elu, 2),
    "leaky_relu": (F.leaky_relu, 2),
    "softplus": (F.softplus, 3),
    "softmax": (torch.softmax, 3),
    "log_softmax": (torch.log_softmax, 3),
    "max_pool2d": (F.max_pool2d, 5),
    "matmul": (torch.matmul, 2),
    "bmm": (torch.bmm, 2),
    "add": (torch.add, 2),
    "mul": (torch.mul, 2),
    "div": (torch.div, 2),
    "pow": (torch.pow, 2),
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, 6),
}
"""The function of an operator, and how many of its arguments both take in the same places."""


def operator_of(node: fx.Node) -> str:
    """The name of the ``aten`` operator that a step calls, else nothing."""
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name).removeprefix("aten::")


def spoken(graph: fx.Graph) -> None:
    """Call functions of PyTorch in place of the operators that are all they call, and recurrent
    operators with a look at their shapes.
    """
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        name = operator_of(node)
        if name in CHECKED:
            node.target = CHECKED[name]
        function, most = _PUBLIC.get(name, (None, 0))
        known = set(node.kwargs) <= {"approximate", "scale", "enable_gqa"}
        if function is not None and len(node.args) <= most and known:
            node.target = function


def hoist(program: Any) -> None:
    """Work out sizes right behind the inputs that have them."""
    graph: fx.Graph = program.graph_module.graph
    given = [node for node in graph.nodes if node.op == "placeholder"]
    if not given:
        return
    inputs = set(program.graph_signature.user_inputs)
    known: dict[str, tuple[fx.Node, int]] = {}
    for node in given:
        if node.name in inputs and isinstance(shape := node.meta.get("val"), Tensor):
            for axis, size in enumerate(shape.shape):
                if not isinstance(size, int):
                    known.setdefault(str(size), (node, axis))
    place, made = given[-1], dict[str, fx.Node]()
    stack = _root(graph)

    def move(node: fx.Node) -> None:
        nonlocal place
        place.append(node)
        place = node
        node.meta["nn_module_stack"] = stack

    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        text = str(node.meta.get("val"))
        if operator_of(node) == "sym_size" and text in known:
            if text in made:
                node.replace_all_uses_with(made[text])
                graph.erase_node(node)
                continue
            source, axis = known[text]
            node.args = (source, axis)
            made[text] = node
            move(node)
        elif _is_arithmetic(node) and all(each in made.values() for each in node.all_input_nodes):
            made[f"{node.name} {text}"] = node
            move(node)
    graph.lint()


def free(program: Any, batch: int) -> None:
    """Let the number of examples be that of the first input wherever ``batch`` is written as one.

    Whether that is right has to be tried.
    """
    graph: fx.Graph = program.graph_module.graph
    inputs = set(program.graph_signature.user_inputs)
    given = [node for node in graph.nodes if node.op == "placeholder"]
    first = next((node for node in given if node.name in inputs), None)
    if first is None:
        return
    with graph.inserting_after(given[-1]):
        count = graph.call_function(torch.ops.aten.sym_size.int, (first, 0))
    count.meta = {"val": batch, "nn_module_stack": _root(graph)}
    for node in list(graph.nodes):
        place = _SIZED.get(operator_of(node)) if node.op == "call_function" else None
        if place is None or place >= len(node.args):
            continue
        shape = node.args[place]
        if not isinstance(shape, (list, tuple)):
            continue
        # The state that a recurrent layer begins with is [layer, example, width].
        where = int(any(operator_of(user) in RECURRENT for user in node.users))
        if len(shape) > where and shape[where] == batch:
            changed = [*shape]
            changed[where] = count
            node.args = (*node.args[:place], changed, *node.args[place + 1 :])
    graph.lint()


def _is_arithmetic(node: fx.Node) -> bool:
    module, name = getattr(node.target, "__module__", ""), getattr(node.target, "__name__", "")
    return f"{module}.{name}" in ON_SIZES and bool(node.all_input_nodes)


def _root(graph: fx.Graph) -> dict[str, Any]:
    """The place of a step outside of all layers."""
    for node in graph.nodes:
        if found := node.meta.get("nn_module_stack"):
            return dict([next(iter(found.items()))])
    return {}
