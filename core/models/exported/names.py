"""Names of layers that something of torch's or ours has already, such as ``meta`` or ``graph``.

While a program is taken apart, torch's module has attributes of its own, which a layer or weight of
the author's must not be called. So these are called otherwise before, and as they were after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import fx, nn
from torch.export.unflatten import InterpreterModule, UnflattenedModule

_MEANWHILE = "__of_the_author"
_SET_LATER = (
    "adapted", "arg_names", "check_input_constraints", "code", "equality_constraints",
    "flat_args_adapter", "graph", "graph_module", "graph_signature", "input_placeholders", "ivals",
    "meta", "module_call_graph", "range_constraints", "signature",
)  # fmt: skip
_OF_TORCH = frozenset({*dir(UnflattenedModule), *dir(InterpreterModule), *_SET_LATER}) - {
    *dir(nn.Module)
}


def escape(program: Any, ours: Iterable[str]) -> None:
    """Call layers and weights otherwise, in place, where torch has an attribute of their name, or
    one of ``ours`` is called so.
    """
    taken = _OF_TORCH | {*ours}

    def other(path: str) -> str:
        parts = [each.partition("@") for each in path.split(".")]
        return ".".join(
            f"{name}{_MEANWHILE if name in taken else ''}{at}{call}" for name, at, call in parts
        )

    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, fx.GraphModule) else ():
            stack = node.meta.get("nn_module_stack", {})
            renamed = {key: (other(path), kind) for key, (path, kind) in stack.items()}
            if renamed != stack:
                node.meta["nn_module_stack"] = renamed
    signature = program.graph_signature
    for each in (*signature.input_specs, *signature.output_specs):
        if each.target is not None and each.kind.name not in ("USER_INPUT_MUTATION", "TOKEN"):
            each.target = other(each.target)
    for entry in program.module_call_graph:
        entry.fqn = other(entry.fqn)
    for held in (program.state_dict, program.constants):
        for name in list(held):
            held[other(name)] = held.pop(name)


def unescape(root: nn.Module, ours: Iterable[str]) -> None:
    """Call them as they were, in place; those called as one of ``ours`` with a ``_`` behind."""
    kept = {*ours}

    def back(path: Any) -> str:
        found = []
        for name, at, call in (each.partition("@") for each in str(path).split(".")):
            was = name.removesuffix(_MEANWHILE)
            found.append(f"{was}{'_' if was != name and was in kept else ''}{at}{call}")
        return ".".join(found)

    for part in root.modules():
        for table in (part._modules, part._parameters, part._buffers):
            renamed = {back(name): each for name, each in table.items()}
            table.clear()
            table.update(renamed)  # type: ignore[arg-type]  # each table has one kind of entry
        part._non_persistent_buffers_set = {*map(back, part._non_persistent_buffers_set)}
        if isinstance(graph := getattr(part, "graph", None), fx.Graph):
            for node in graph.nodes:
                if node.op in ("call_module", "get_attr") and _MEANWHILE in str(node.target):
                    node.target = back(node.target)
