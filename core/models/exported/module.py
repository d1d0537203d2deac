"""An exported program as a module with named layers, called as the adapters call a network."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.unflatten import UnflattenedModule
from torch.utils import _pytree as pytree

from core.device import out_of_memory
from core.errors import BadInput, BadModel
from core.models.embedded import looks_up
from core.models.exported import held as held_inputs
from core.models.exported.choice import of_output
from core.models.exported.holding import Held
from core.models.exported.layers import restore
from core.models.exported.names import escape, unescape
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


@dataclass
class Usage:
    """How a program is called. ``filled`` says how inputs that nobody gives are made, by name:
    ``ones``, ``zeros`` or ``positions``; ``held`` are inputs of one value for all examples
    (``core.models.exported.held``); ``widths`` are the columns of each input of a table. One of a
    fixed ``batch`` is run in parts of that many examples, the last one filled up; ``output`` is the
    place of the one that answers.
    """

    filled: Mapping[str, str]
    held: Mapping[str, Mapping[str, Any]]
    widths: tuple[int, ...] = ()
    batch: int = 0
    output: int = 0

    @property
    def written(self) -> str:
        """The input that takes what an encoder–decoder has written so far; empty for others."""
        return held_inputs.written({"held": self.held})

    @property
    def start(self) -> int:
        """The token that it begins with."""
        return int(self.held[self.written]["value"]) if self.written else 0

    @property
    def most(self) -> int:
        """How many tokens of it are taken at once, 0 for any number."""
        return int(self.held[self.written]["shape"][0] or 0) if self.written else 0


class ExportedModule(nn.Module):
    """The layers of a program under the names they had.

    It is called with what the adapter of a task has: pixels, ids of tokens, or rows of a table; how
    its inputs become of that is its ``usage``. A program that is ``freed`` of a fixed number of
    examples runs with any. What else it has of its own, no layer is called.
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
        usage = Usage(dict(filled), dict(held or {}), tuple(widths), batch, output)
        ours = {*dir(ExportedModule), "graph", "usage", "_inputs", "_device", "_values"}
        ours = (ours | ({"start"} if usage.written else set())) - {*dir(nn.Module)}
        escape(program, ours)
        hoist(program)
        if freed:
            free(program, freed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of itself
            whole = UnflattenedModule(program)
        for table in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            getattr(self, table).update(getattr(whole, table))
        self.graph = whole.graph
        self.usage = usage
        self._inputs = [
            (str(node.name), meta.dtype if isinstance(meta := node.meta["val"], Tensor) else meta)
            for node in self._given()
        ]
        if usage.written:
            self.start = usage.start  # which the adapter asks for
        self._values = {
            n: Held(usage.held[n], t)
            for n, t in self._inputs
            if n in usage.held and n != usage.written
        }
        self._device = torch.device("cpu")
        restore(self)
        unescape(self, ours)
        kind = (whole.type_name() or "").rpartition(".")[2]
        if kind.isidentifier():  # it is called what the author's class was called
            self.__class__ = type(kind, (ExportedModule,), {"__module__": __name__})

    @property
    def texts_held(self) -> list[Held]:
        """Inputs that may be looked up in the table of the text that is looked into."""
        return [each for each in self._values.values() if each.is_text]

    @property
    def outputs(self) -> int:
        """How many values the program answers with."""
        return len(pytree.tree_leaves(list(self.graph.nodes)[-1].args))

    def _given(self) -> list[fx.Node]:
        return [node for node in self.graph.nodes if node.op == "placeholder"]

    def forward(self, given: Tensor, said: Tensor | None = None) -> Tensor:
        """The output ``[example, …]`` that answers. ``said`` is what an encoder–decoder has written
        so far, ids ``[example, token]``; the start alone, if left out.
        """
        if self.usage.written and said is None:
            said = torch.full_like(given[:, :1], self.usage.start)
        whole = said if said is None or not self.usage.most else self._filled(said)
        if not self.usage.batch:
            answer = self._run(given, whole)
        else:
            answer = self._in_parts([given] if whole is None else [given, whole])
        return answer if said is None or whole is said else answer[:, : said.shape[1]]

    def _in_parts(self, several: list[Tensor]) -> Tensor:
        """The answer of a program that runs with one number of examples only."""
        count, answers = len(several[0]), []
        for parts in zip(*(each.split(self.usage.batch) for each in several), strict=True):
            lacking = self.usage.batch - len(parts[0])
            if lacking:
                parts = tuple(
                    torch.cat([each, each[-1:].expand(lacking, *each.shape[1:])]) for each in parts
                )
            answers.append(self._run(*parts))
        return torch.cat(answers)[:count]

    def _filled(self, said: Tensor) -> Tensor:
        """As many tokens as the program was exported with; those behind change nothing before."""
        lacking = self.usage.most - said.shape[1]
        if lacking < 0:
            raise BadInput(
                f"The output has {said.shape[1]:,} tokens, the model takes {self.usage.most:,}.",
                "Give a shorter one, or export with a free number of them.",
            )
        return torch.cat([said, said[:, -1:].expand(-1, lacking)], dim=1)

    def _run(self, given: Tensor, said: Tensor | None = None) -> Tensor:
        results = fx.Interpreter(self, graph=self.graph).run(
            *self._arguments(given, said), enable_io_processing=False
        )
        answer: Tensor = pytree.tree_leaves(results)[self.usage.output]
        single = isinstance(answer, Tensor) and answer.is_floating_point()
        return answer.float() if single else answer

    def _arguments(self, given: Tensor, said: Tensor | None) -> list[Any]:
        """Those of the program in its own order, from what an adapter has."""
        ends = list(accumulate(self.usage.widths))
        waiting = [
            given[:, end - wide : end] for wide, end in zip(self.usage.widths, ends, strict=True)
        ]
        waiting = waiting or [given]
        arguments: list[Any] = []
        for name, dtype in self._inputs:
            if not isinstance(dtype, torch.dtype):
                arguments.append(dtype)  # a value that was fixed when it was exported
            elif name in self.usage.filled:
                like = said if said is not None and of_output(name) else given
                arguments.append(_made(self.usage.filled[name], like).to(dtype))
            elif said is not None and name == self.usage.written:
                arguments.append(said.to(dtype))
            elif name in self.usage.held:
                arguments.append(self._values[name].beside(given))
            elif waiting:
                arguments.append(waiting.pop(0).to(dtype))
            else:
                raise BadModel(
                    f"The network also wants '{name}', which nothing gives.",
                    "Export a module that takes one input; a mask may be called attention_mask.",
                )
        return arguments

    start: int
    end: int | None = None

    def produce(self, ids: Tensor, limit: int) -> Tensor:
        """What a language model writes after ``ids`` ``[1, token]``, or an encoder–decoder in
        answer to them, greedily, at most ``limit`` tokens.
        """
        said = torch.full_like(ids[:, :1], self.usage.start) if self.usage.written else ids
        first = said.shape[1]
        for _ in range(min(limit, self.usage.most or limit)):
            scores = self(ids, said) if self.usage.written else self(said)
            following = scores[:, -1:].argmax(dim=-1)
            said = torch.cat([said, following], dim=1)
            if self.end is not None and int(following) == self.end:
                break
        return said[:, first:]

    def get_input_embeddings(self) -> nn.Module:
        """The part that turns ids of tokens into vectors. Raises ``BadModel`` without one."""
        made = {*self.usage.filled, *self.usage.held}
        start = next((each for each in self._given() if each.name not in made), None)
        found = None if start is None else _embedding(self, start)
        if found is None:
            raise BadModel(
                "The network does not look up embeddings of its input in a layer of its own.",
                "Use nn.Embedding on the ids of tokens, and export again.",
            )
        return found

    def rows(self, name: str) -> int:
        """How many rows there are where the input of this name is looked up, 0 where it is not."""
        start = next((each for each in self._given() if each.name == name), None)
        found = None if start is None else _embedding(self, start)
        return int(getattr(found, "num_embeddings", 0))

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


def _embedding(module: nn.Module, node: fx.Node) -> nn.Module | None:
    """The embedding that this input of a graph comes to first."""
    for user in node.users:
        if user.op == "call_module":
            part = module.get_submodule(str(user.target))
            if looks_up(part):
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
    """The ``torch.export`` program in a file that ``clean`` has written.

    Raises ``BadModel``, ``MemoryError``.
    """
    told: list[BaseException] = []

    def hear(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            told.append(record.exc_info[1])
        return False

    log = logging.getLogger("torch.export")  # where it says what is wrong
    log.addFilter(hear)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path)
    except Exception as error:  # a stranger's program may break torch in any way
        wrong = told[-1] if told else error
        if out_of_memory(wrong):
            raise MemoryError from error
        reason = (str(wrong).strip().splitlines() or [type(wrong).__name__])[-1][:160]
        raise BadModel(
            f"The program cannot be rebuilt: {reason.rstrip('.')}.",
            "Export it again with a current PyTorch.",
        ) from error
    finally:
        log.removeFilter(hear)
