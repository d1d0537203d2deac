"""Layers of an unflattened program as the ``torch.nn`` modules that they were.

A program knows that a step came from a ``Conv2d`` and what it computes. Where one operator is all
that a layer does, the module itself is put back with the same weights: rules of DeepLIFT, guided
backpropagation, counts of multiply-adds and word embeddings depend on the kind of a module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.export.unflatten import InterpreterModule

from core.models.exported.steps import spoken
from core.models.exported.weighted import WITH_WEIGHTS

_WINDOW = ("kernel_size", "stride", "padding")
_POINTWISE: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "relu": (nn.ReLU, ()),
    "relu6": (nn.ReLU6, ()),
    "sigmoid": (nn.Sigmoid, ()),
    "tanh": (nn.Tanh, ()),
    "silu": (nn.SiLU, ()),
    "mish": (nn.Mish, ()),
    "gelu": (nn.GELU, ("approximate",)),
    "elu": (nn.ELU, ("alpha",)),
    "leaky_relu": (nn.LeakyReLU, ("negative_slope",)),
    "hardswish": (nn.Hardswish, ()),
    "hardsigmoid": (nn.Hardsigmoid, ()),
    "hardtanh": (nn.Hardtanh, ("min_val", "max_val")),
    "softplus": (nn.Softplus, ("beta", "threshold")),
    "selu": (nn.SELU, ()),
    "celu": (nn.CELU, ("alpha",)),
    "softmax": (nn.Softmax, ("dim",)),
    "log_softmax": (nn.LogSoftmax, ("dim",)),
    "flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "pixel_shuffle": (nn.PixelShuffle, ("upscale_factor",)),
    "adaptive_avg_pool1d": (nn.AdaptiveAvgPool1d, ("output_size",)),
    "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d, ("output_size",)),
    "adaptive_max_pool2d": (nn.AdaptiveMaxPool2d, ("output_size",)),
    "max_pool1d": (nn.MaxPool1d, (*_WINDOW, "dilation", "ceil_mode")),
    "max_pool2d": (nn.MaxPool2d, (*_WINDOW, "dilation", "ceil_mode")),
    "avg_pool1d": (nn.AvgPool1d, (*_WINDOW, "ceil_mode", "count_include_pad")),
    "avg_pool2d": (nn.AvgPool2d, (*_WINDOW, "ceil_mode", "count_include_pad", "divisor_override")),
}
"""Without weights: the module, and which arguments of the operator it is made with."""
_NAMED = {"alpha": "alpha", "self": "input", "dim": "dim"}
_IN_PLACE = ("relu", "relu6", "silu", "mish", "elu", "leaky_relu", "hardswish", "hardtanh")


class Part(nn.Module):
    """A layer that has several steps: its class is called what the author's was called."""

    graph: fx.Graph

    def forward(self, *given: Any, **named: Any) -> Any:
        """What its steps compute."""
        if named:
            inputs = [str(node.target) for node in self.graph.nodes if node.op == "placeholder"]
            given = (*given, *(named[name] for name in inputs[len(given) :]))
        return fx.Interpreter(self, graph=self.graph).run(*given, enable_io_processing=False)


def restore(root: nn.Module) -> None:
    """Put back all that can be, in place; the others become a ``Part``."""
    for name, part in list(root.named_modules(remove_duplicate=False)):
        if not name or not isinstance(part, InterpreterModule):
            continue
        kind = (part.type_name() or "Module").rpartition(".")[2]
        found = _standard(part, kind)
        if found is None and not list(part.graph.nodes):
            found = nn.ModuleList()  # it was never called, only its parts were
            found._modules.update((k, v) for k, v in part._modules.items() if v is not None)
        if found is None:
            found = type(
                kind if kind.isidentifier() else "Part", (Part,), {"__module__": __name__}
            )()
            for table in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
                getattr(found, table).update(getattr(part, table))
            found.graph = part.graph
            if (rows := _rows(part)) is not None:
                found.looks_up, found.num_embeddings = True, rows
        parent, _, last = name.rpartition(".")
        root.get_submodule(parent)._modules[last] = found.eval()
    for part in root.modules():
        if isinstance(graph := getattr(part, "graph", None), fx.Graph):
            graph.owning_module = None  # so that a copy is of it alone
            spoken(graph)
            for node in graph.nodes:
                node.meta = {}
        if isinstance(part, fx.GraphModule):
            part.recompile()  # a part under a setting of its own runs text made of its graph
    _reunite(root)


def _rows(part: InterpreterModule) -> int | None:
    """How many vectors a part has that looks them up and multiplies them by a number, as BART
    does; None for others.
    """
    nodes = list(part.graph.nodes)
    steps = [node for node in nodes if node.op == "call_function"]
    given = [node for node in nodes if node.op == "placeholder"]
    names = [getattr(getattr(node.target, "_schema", None), "name", "") for node in steps]
    if names != ["aten::embedding", "aten::mul"] or len(given) != 1:
        return None
    found, scaled = steps
    plain = scaled.args[0] is found and not isinstance(scaled.args[1], fx.Node)
    weight = getattr(part, "weight", None)
    if not plain or found.args[1] is not given[0] or not isinstance(weight, torch.Tensor):
        return None
    return len(weight)


def _standard(part: InterpreterModule, kind: str) -> nn.Module | None:
    """The module of ``torch.nn`` that does exactly this, None where there is none."""
    nodes = list(part.graph.nodes)
    steps = [node for node in nodes if node.op not in ("placeholder", "get_attr", "output")]
    given = [node for node in nodes if node.op == "placeholder"]
    if not nodes or nodes[-1].op != "output":
        return None
    output = nodes[-1].args[0]
    output = output[0] if isinstance(output, (tuple, list)) and len(output) == 1 else output
    if len(given) != 1 or any(len(node.users) == 0 for node in given):
        return None
    if not steps:
        return nn.Identity() if output is given[0] and kind in ("Identity", "Dropout") else None
    if len(steps) != 1 or output is not steps[0] or steps[0].op != "call_function":
        return None
    target = steps[0].target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    operator = target._schema.name.removeprefix("aten::")
    arguments = _bound(target, steps[0])
    in_place = operator.endswith("_")
    name = operator.rstrip("_")
    found: nn.Module | None = None
    if name in _POINTWISE and arguments.get("self") is given[0]:
        make, taken = _POINTWISE[name]
        if any(isinstance(arguments[each], fx.Node) for each in taken):
            return None
        settings = {each: arguments[each] for each in taken}
        if name in _IN_PLACE:
            settings["inplace"] = in_place
        if settings.get("stride") == []:
            settings["stride"] = None
        found = make(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})
    elif name in WITH_WEIGHTS:
        try:
            found = WITH_WEIGHTS[name](part, arguments)
        except (KeyError, AttributeError, TypeError, ValueError):
            return None
    if found is None or type(found).__name__ != kind:
        return None
    own = {each for each, _ in part.named_parameters()} | {each for each, _ in part.named_buffers()}
    kept = {each for each, _ in found.named_parameters()} | {
        each for each, _ in found.named_buffers()
    }
    return found if own <= kept else None


def _bound(target: Any, node: fx.Node) -> dict[str, Any]:
    """The arguments of a call by the operator's own names for them."""
    found = {}
    for place, each in enumerate(target._schema.arguments):
        if place < len(node.args):
            found[each.name] = node.args[place]
        else:
            found[each.name] = node.kwargs.get(each.name, each.default_value)
    return found


def _reunite(root: nn.Module) -> None:
    """A module that was called twice, which a program holds once for each call (``relu``,
    ``relu@1``), as one that is called twice again; where both are standard modules.
    """
    for part in list(root.modules()):
        graph = getattr(part, "graph", None)
        if not isinstance(graph, fx.Graph):
            continue
        for node in graph.nodes:
            if node.op != "call_module" or "@" not in str(node.target):
                continue
            first = str(node.target).partition("@")[0]
            if "." in first:
                continue
            one, other = getattr(part, first, None), getattr(part, str(node.target), None)
            if one is not None and _alike(one, other):
                double, node.target = str(node.target), first
                if all(each.target != double for each in graph.nodes):
                    delattr(part, double)


def _alike(one: nn.Module, other: Any) -> bool:
    standard = type(one).__module__.startswith("torch.nn.modules")
    if not standard or type(one) is not type(other) or repr(one) != repr(other):
        return False
    mine, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    return mine.keys() == theirs.keys() and all(
        mine[name].shape == theirs[name].shape and torch.equal(mine[name], theirs[name])
        for name in mine
    )
