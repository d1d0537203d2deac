"""From a graph to a ``torch.export`` program with its layers nested and named as they were."""

from __future__ import annotations

import keyword
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind

from core.errors import BadModel, shortened
from core.models.converted.graph import Graph, Unconverted
from core.models.converted.places import Place
from core.models.converted.steps import Steps, examples

_LENGTHS: Final = (8, 224, 32, 64, 28, 256, 384)
_ROOT: Final = "L__self__"  # as torch calls it
_STEP: Final = re.compile(r"s(\d+)(\.layer)?(\..+)?")


def exported(graph: Graph, sides: tuple[int, ...] = ()) -> tuple[Any, Mapping[str, Tensor]]:
    """The program of a graph, and the inputs by the program's names that it was made with;
    ``sides`` are lengths to try first where an axis may have any.

    Raises ``Unconverted`` with the reason, ``BadModel`` for a tensor that is too large.
    """
    steps, given = _built(graph, sides)
    auto = torch.export.Dim.AUTO
    shapes = {
        name: {axis: auto for axis, size in enumerate(each.sizes) if size is None}
        for name, each in zip(given, graph.inputs, strict=True)
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of itself
            program = torch.export.export(steps, (*given.values(),), dynamic_shapes=shapes)
    except (MemoryError, BadModel, Unconverted):
        raise
    except Exception as error:  # whatever in it depends on values
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unconverted(f"torch cannot export it ({shortened(reason, 120)})") from error
    nest(program, steps)
    return program, given


def _built(graph: Graph, sides: tuple[int, ...]) -> tuple[Steps, dict[str, Tensor]]:
    if not graph.inputs:
        raise Unconverted("it takes nothing")
    names = list(_identifiers(graph))
    free = any(None in each.sizes[1:] for each in graph.inputs)
    pictures = any(len(each.sizes) == 4 for each in graph.inputs)
    lengths = (*sides, *(_LENGTHS[1:] if pictures else _LENGTHS)) if free else (1,)
    reasons = []
    for length in dict.fromkeys(lengths):
        given = examples(graph, length, names)
        try:
            return Steps(graph, given), given
        except Unconverted as error:
            reasons.append(error)
            if "does not run" not in str(error):
                raise
    raise reasons[0]


def _identifiers(graph: Graph) -> Iterator[str]:
    """A name for each input that an argument can have."""
    taken: set[str] = set()
    for each in graph.inputs:
        name = re.sub(r"[^A-Za-z0-9_]+", "_", each.name).strip("_")[:80] or "given"
        name = f"given_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name
        while name in taken or name == "self":
            name += "_"
        taken.add(name)
        yield name


def nest(program: Any, steps: Steps) -> None:
    """Let a program of ``steps`` say of each of its nodes which layers it lies in, in place."""
    known = steps.layers()
    alone = {
        int(found[1])
        for node in program.graph_module.graph.nodes
        if node.op == "call_function" and (found := _of(node)) is not None and not found[2]
    }
    stacks: dict[tuple[int, bool], Place] = {}
    for number, (place, path, kind) in enumerate(known):
        outer, own = place, path
        if path and number in alone and steps.places[number] != place:
            outer = steps.places[number]  # a layer with steps around it is a part of that layer
            own = f"{path}.{kind.lower()}"
        stacks[number, False] = outer
        stacks[number, True] = (*outer, (own, f"torch.nn.modules.layer.{kind}")) if own else outer
    for node in program.graph_module.graph.nodes:
        found = _of(node)
        place = () if found is None else stacks[int(found[1]), bool(found[2])]
        stack = {_ROOT: ("", f"own.{steps.kind}")}
        stack |= {
            path: (path, kind if kind.startswith("torch.") else f"own.{kind}")
            for path, kind in place
        }
        if node.op != "placeholder" and node.op != "output":
            node.meta["nn_module_stack"] = stack
    _rename(program, stacks)
    paths = dict.fromkeys(path for place in stacks.values() for path, _ in place if path)
    root = program.module_call_graph[0]
    program.module_call_graph[:] = [
        root, *(replace(root, fqn=path, signature=None) for path in paths)
    ]  # fmt: skip


def _of(node: fx.Node) -> re.Match[str] | None:
    """Which step a node of a program belongs to, and whether it is its layer's."""
    stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    last = [*stack.values()][-1][0] if stack else ""
    return _STEP.fullmatch(last.partition("@")[0])


def _rename(program: Any, stacks: Mapping[tuple[int, bool], Place]) -> None:
    """Call weights after the layers that they belong to."""
    taken: set[str] = set()

    def other(name: str) -> str:
        found = _STEP.fullmatch(name)
        if found is None:
            return name
        place = stacks[int(found[1]), bool(found[2])]
        around = f"{place[-1][0].partition('@')[0]}." if place else ""
        path = f"{around}{(found[3] or '').lstrip('.')}"
        path = path if path not in taken else f"{path}_{found[1]}"
        taken.add(path)
        return path

    renamed: dict[str, str] = {}
    for held in (program.state_dict, program.constants):
        for name in list(held):
            renamed[name] = other(name)
            held[renamed[name]] = held.pop(name)
    for spec in program.graph_signature.input_specs:
        if spec.target is not None and spec.kind is not InputKind.USER_INPUT:
            spec.target = renamed.get(spec.target, spec.target)
