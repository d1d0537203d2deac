"""An exported program as a module with named layers, called as the adapters call a network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.unflatten import UnflattenedModule
from torch.utils import _pytree as pytree

from core.errors import BadModel
from core.models.exported.layers import restore
from core.models.exported.steps import free, hoist

_PASSED_ON = (
    "to",
    "_to_copy",
    "view",
    "reshape",
    "contiguous",
    "alias",
    "clone",
    "slice",
    "detach",
)


class ExportedModule(nn.Module):
    """The layers of a program under the names they had.

    It is called with what the adapter of a task has: pixels, ids of tokens, or rows of a table.
    ``filled`` says how the inputs that are left are made, by name: ``ones``, ``zeros`` or
    ``positions``; ``held`` are inputs of one value for all examples
    (``core.models.exported.held``); ``widths`` are the columns of each input of a table. A program
    of a fixed
    ``batch`` is run in parts of that many examples, the last one filled up; one that is ``freed``
    of it runs with any number.
    """

    def __init__(
        self,
        program: Any,
        filled: Mapping[str, str],
        widths: Sequence[int] = (),
        batch: int = 0,
        output: int = 0,
        freed: int = 0,
        held: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        hoist(program)
        if freed:
            free(program, freed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of itself
            whole = UnflattenedModule(program)
        for table in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            getattr(self, table).update(getattr(whole, table))
        self.graph = whole.graph
        self.filled = dict(filled)
        self.held = dict(held or {})
        self.widths = tuple(widths)
        self.batch = batch
        self.output = output
        self._inputs = [
            (str(node.name), meta.dtype if isinstance(meta := node.meta["val"], Tensor) else meta)
            for node in self._given()
        ]
        self._device = torch.device("cpu")
        restore(self)
        kind = (whole.type_name() or "").rpartition(".")[2]
        if kind.isidentifier():  # it is called what the author's class was called
            self.__class__ = type(kind, (ExportedModule,), {"__module__": __name__})

    @property
    def outputs(self) -> int:
        """How many values the program answers with."""
        return len(pytree.tree_leaves(list(self.graph.nodes)[-1].args))

    def _given(self) -> list[fx.Node]:
        return [node for node in self.graph.nodes if node.op == "placeholder"]

    def forward(self, given: Tensor) -> Tensor:
        """The output ``[example, …]`` that answers."""
        if not self.batch:
            return self._run(given)
        count = len(given)
        answers = []
        for part in given.split(self.batch):
            lacking = self.batch - len(part)
            if lacking:
                part = torch.cat([part, part[-1:].expand(lacking, *part.shape[1:])])
            answers.append(self._run(part))
        return torch.cat(answers)[:count]

    def _run(self, given: Tensor) -> Tensor:
        results = fx.Interpreter(self, graph=self.graph).run(
            *self._arguments(given), enable_io_processing=False
        )
        answer: Tensor = pytree.tree_leaves(results)[self.output]
        single = isinstance(answer, Tensor) and answer.is_floating_point()
        return answer.float() if single else answer

    def _arguments(self, given: Tensor) -> list[Any]:
        """Those of the program in its own order, from what an adapter has."""
        ends = list(accumulate(self.widths))
        waiting = [given[:, end - wide : end] for wide, end in zip(self.widths, ends, strict=True)]
        waiting = waiting or [given]
        arguments: list[Any] = []
        for name, dtype in self._inputs:
            if not isinstance(dtype, torch.dtype):
                arguments.append(dtype)  # a value that was fixed when it was exported
            elif name in self.filled:
                arguments.append(_made(self.filled[name], given).to(dtype))
            elif name in self.held:
                arguments.append(holding(self.held[name], given, dtype))
            elif waiting:
                arguments.append(waiting.pop(0).to(dtype))
            else:
                raise BadModel(
                    f"The network also wants '{name}', which nothing gives.",
                    "Export a module that takes one input; a mask may be called attention_mask.",
                )
        return arguments

    end: int | None = None

    def produce(self, ids: Tensor, limit: int) -> Tensor:
        """What a language model writes after ``ids`` ``[1, token]``, greedily, at most ``limit``
        tokens.
        """
        written = ids
        for _ in range(limit):
            following = self(written)[:, -1:].argmax(dim=-1)
            written = torch.cat([written, following], dim=1)
            if self.end is not None and int(following) == self.end:
                break
        return written[:, ids.shape[1] :]

    def get_input_embeddings(self) -> nn.Module:
        """The part that turns ids of tokens into vectors. Raises ``BadModel`` without one."""
        made = {*self.filled, *self.held}
        start = next((each for each in self._given() if each.name not in made), None)
        found = None if start is None else _embedding(self, start)
        if found is None:
            raise BadModel(
                "The network does not look up embeddings of its input in a layer of its own.",
                "Use nn.Embedding on the ids of tokens, and export again.",
            )
        return found

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        moved = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch is not
        some = next(iter(self.parameters()), next(iter(self.buffers()), None))
        if some is not None and some.device != self._device:
            self._device = some.device
            for part in self.modules():
                if isinstance(graph := getattr(part, "graph", None), fx.Graph):
                    _move(graph, some.device)
                if isinstance(part, fx.GraphModule):
                    part.recompile()
        return moved


def _move(graph: fx.Graph, device: torch.device) -> None:
    """Let the steps that name a device name this one."""

    def other(value: Any) -> Any:
        return device if isinstance(value, torch.device) else value

    for node in graph.nodes:
        if node.op == "call_function":
            node.args = pytree.tree_map(other, node.args)
            node.kwargs = pytree.tree_map(other, node.kwargs)


def _made(kind: str, like: Tensor) -> Tensor:
    if kind == "positions":
        return torch.arange(like.shape[1], device=like.device).expand(like.shape[:2])
    make = torch.ones if kind == "ones" else torch.zeros
    return make(like.shape[:2], device=like.device)


def holding(about: Mapping[str, Any], like: Tensor, dtype: torch.dtype) -> Tensor:
    """The value of an input that is held, for each example of ``like`` where it has one each."""
    value = torch.tensor(about["value"], dtype=dtype, device=like.device)
    if value.ndim:
        value = value.reshape([-1 if each is None else each for each in about["shape"]])
    else:
        start = int(about["batched"])
        sizes = [each or like.shape[start + axis] for axis, each in enumerate(about["usual"])]
        value = value.expand(sizes)
    return value.expand(len(like), *value.shape) if about["batched"] else value


def _embedding(module: nn.Module, node: fx.Node) -> nn.Module | None:
    """The embedding that this input of a graph comes to first."""
    for user in node.users:
        if user.op == "call_module":
            part = module.get_submodule(str(user.target))
            if isinstance(part, nn.Embedding):
                return part
            graph = getattr(part, "graph", None)
            if not isinstance(graph, fx.Graph):
                continue
            inner = [each for each in graph.nodes if each.op == "placeholder"]
            places = [i for i, each in enumerate(user.args) if each is node]
            places += [
                i for i, each in enumerate(inner) if user.kwargs.get(str(each.target)) is node
            ]
            for place in places:
                if (found := _embedding(part, inner[place])) is not None:
                    return found
        elif user.op == "call_function":
            name = getattr(getattr(user.target, "_schema", None), "name", "")
            passed = name.removeprefix("aten::") in _PASSED_ON and user.args[:1] == (node,)
            if passed and (found := _embedding(module, user)) is not None:
                return found
    return None


def program(path: Path) -> Any:
    """The ``torch.export`` program in a file that ``clean`` has written. Raises ``BadModel``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path)
    except Exception as error:  # a stranger's program may break torch in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
        raise BadModel(
            f"The program cannot be rebuilt: {reason.rstrip('.')}.",
            "Export it again with a current PyTorch.",
        ) from error
