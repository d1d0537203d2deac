"""In-place, functional and reused activations rewritten as modules of their own.

Captum's hooked methods need each activation to be a module, used once, that does not write over
its input; layer-wise relevance propagation needs the same of additions. Where ``torch.fx`` can
trace the model, the rewritten form shares every weight with the original and answers exactly the
same.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from core.models.adapter import Adapter, Batch
from core.models.inspect import Observation
from core.models.loaded import twin
from core.models.operations import DEEPLIFT_RULES, LRP_RULES

_FUNCTIONS: dict[Any, Callable[..., nn.Module]] = {
    F.relu: lambda inplace=False: nn.ReLU(),
    torch.relu: nn.ReLU,
    torch.relu_: nn.ReLU,
    F.sigmoid: nn.Sigmoid,
    torch.sigmoid: nn.Sigmoid,
    F.tanh: nn.Tanh,
    torch.tanh: nn.Tanh,
    F.leaky_relu: lambda negative_slope=0.01, inplace=False: nn.LeakyReLU(negative_slope),
    F.elu: lambda alpha=1.0, inplace=False: nn.ELU(alpha),
    F.softplus: nn.Softplus,
    F.max_pool2d: nn.MaxPool2d,
}
_METHODS = {
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "sigmoid_": nn.Sigmoid,
    "tanh": nn.Tanh,
    "tanh_": nn.Tanh,
}
_NAMES = frozenset(
    {
        "relu",
        "sigmoid",
        "tanh",
        "leaky_relu",
        "elu",
        "softplus",
        "max_pool2d",
    }
)


_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")


class Sum(nn.Module):
    """The sum of two tensors, as a module that hooks can be put on."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """``one + other``."""
        return one + other


@dataclass(frozen=True)
class Rewritten:
    """``module`` is None when nothing had to be done or nothing could be (``why_not``)."""

    module: nn.Module | None = None
    rewrites: tuple[str, ...] = ()
    why_not: str = ""


def rewrite(module: nn.Module, seen: Observation, adapter: Adapter, batch: Batch) -> Rewritten:
    """The form of ``module`` that hooked methods need, proved on ``batch`` to be the same."""
    leaves = [layer for layer in seen.layers if layer.leaf and layer.calls]
    known = [layer for layer in leaves if layer.base in DEEPLIFT_RULES]
    inplace = [layer for layer in known if layer.inplace]
    functional = [name for name in seen.functions if name in _NAMES]
    repeated = [layer for layer in known if layer.calls > 1]
    sums = 0  # of use to relevance propagation only, where every layer has a rule
    if all(layer.kind in LRP_RULES for layer in leaves):
        sums = seen.functions.count("add")
    needed = bool(inplace or functional or repeated)
    if not (needed or sums):
        return Rewritten()
    done = []
    if sums:
        done.append(f"{sums} additions made modules")
    if inplace:
        done.append(f"{len(inplace)} in-place activations made to keep their input")
    if repeated:
        done.append(f"{len(repeated)} reused activations given a module per use")
    if functional:
        kinds = ", ".join(sorted(set(functional)))
        done.append(f"{len(functional)} functional calls made modules ({kinds})")
    double = twin(module).eval()
    try:
        if functional or repeated or sums:
            double = _traced(double)
        for part in double.modules():
            if getattr(part, "inplace", False):
                part.inplace = False  # type: ignore[assignment]  # a flag of many activations
        with torch.no_grad():
            pair = torch.cat([batch.features, batch.features.flip(-1)])
            context = [torch.cat([tensor, tensor]) for tensor in batch.context]
            same = torch.equal(
                adapter.logits(double, pair, *context), adapter.logits(module, pair, *context)
            )
    except Exception as error:  # tracing can fail in any way that a forward can be written
        if not needed:
            return Rewritten()
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        return Rewritten(why_not=f"it cannot be traced ({reason.rstrip('.')})")
    if not same:
        return Rewritten(why_not="the rewritten form answered differently")
    return Rewritten(double, tuple(done))


def _traced(module: nn.Module) -> nn.Module:
    graph_module = fx.symbolic_trace(module)
    used: set[str] = set()
    for number, node in enumerate(list(graph_module.graph.nodes)):
        replacement: nn.Module | None = None
        operands = node.args[:1]
        if node.op == "call_function" and node.target in _FUNCTIONS:
            replacement = _as_module(_FUNCTIONS[node.target], node)
        elif node.op == "call_method" and node.target in _METHODS:
            replacement = _METHODS[node.target]()
        elif node.op != "call_module" and node.target in _SUMS:
            if len(node.args) == 2 and all(isinstance(each, fx.Node) for each in node.args):
                replacement, operands = Sum(), node.args
        elif node.op == "call_module":
            target = graph_module.get_submodule(node.target)
            stateless = not any(True for _ in target.parameters())
            if node.target in used and stateless:
                replacement = twin(target)
            used.add(node.target)
        if replacement is None:
            continue
        name = f"{str(node.target if node.op != 'call_function' else node.name).replace('.', '_')}"
        name = f"{name.rstrip('_')}__{number}"
        graph_module.add_submodule(name, replacement.eval())
        with graph_module.graph.inserting_before(node):
            new = graph_module.graph.call_module(name, operands)
        node.replace_all_uses_with(new)
        graph_module.graph.erase_node(node)
    graph_module.graph.lint()
    graph_module.recompile()
    return graph_module.eval()


def _as_module(make: Callable[..., nn.Module], node: fx.Node) -> nn.Module:
    """The module that does what this call of a function does with its constant arguments."""
    constants = list(node.args[1:])
    if any(isinstance(value, fx.Node) for value in [*constants, *node.kwargs.values()]):
        raise ValueError(f"{node.name} has arguments that are computed")
    given = {k: v for k, v in node.kwargs.items() if k not in ("input", "_stacklevel")}
    known = inspect.signature(make).parameters
    return make(*constants, **{k: v for k, v in given.items() if k in known})
