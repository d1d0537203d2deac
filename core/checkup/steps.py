"""What a forward does, step by step: operators, parameters that it reads, where gradients end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

RANDOM = frozenset(
    {
        "bernoulli", "dropout", "native_dropout", "rand", "rand_like", "randn", "randn_like",
        "randint", "randint_like", "randperm", "uniform", "normal", "multinomial", "exponential",
        "rrelu_with_noise",
    }
)  # fmt: skip
FLAT = frozenset(
    {
        "round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "heaviside", "argmax", "argmin",
        "argsort", "one_hot", "bucketize", "searchsorted", "gt", "lt", "ge", "le", "eq", "ne",
        "floor_divide", "bernoulli",
    }
)  # fmt: skip
"""Operators whose output is constant almost everywhere: no gradient passes them, or only zero."""
_NORMS = frozenset({"native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"})


@dataclass
class Steps:
    """What was seen: calls of ATen ``operators`` by name, ``made`` bytes of new values, ids of
    parameters that were ``read``, functions at which the gradient of the input ``ends``, and
    whether a batch normalisation ``learns`` from the batch it is given.
    """

    operators: Counter[str] = field(default_factory=Counter)
    made: int = 0
    read: set[int] = field(default_factory=set)
    ends: Counter[str] = field(default_factory=Counter)
    learns: bool = False


@contextmanager
def watched() -> Iterator[Steps]:
    """Inside, everything that torch computes in this thread is written down."""
    seen = Steps()
    with _Functions(seen), _Operators(seen):
        yield seen


class _Operators(TorchDispatchMode):
    def __init__(self, seen: Steps) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch is not typed
        self._seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2].rstrip("_")
        self._seen.operators[name] += 1
        if name in _NORMS:
            given = {each.name: value for each, value in zip(func._schema.arguments, args)}  # noqa: B905
            self._seen.learns |= bool(given.get("training", False))
        if not func.is_view:
            self._seen.made += sum(x.nbytes for x in _tensors(answer))
        return answer


class _Functions(TorchFunctionMode):
    def __init__(self, seen: Steps) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        given = _tensors((args, kwargs))
        self._seen.read.update(id(each) for each in given if isinstance(each, nn.Parameter))
        answers = _tensors(answer)
        if answers and any(x.requires_grad and x.is_floating_point() for x in given):
            name = _named(func)
            if not any(each.requires_grad for each in answers):
                off = "" if torch.is_grad_enabled() or name in FLAT else " under no_grad"
                self._seen.ends[name + off] += 1
            elif name in FLAT:
                self._seen.ends[name] += 1
        return answer


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _named(func: Any) -> str:
    name = str(getattr(func, "__name__", "a function"))
    if name == "__get__":  # an attribute such as .data
        name = str(getattr(getattr(func, "__self__", None), "__name__", name))
    return name.partition(".")[0].strip("_")
