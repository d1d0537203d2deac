"""A graph as a module that can be run: one step for each node, with the weights that it takes."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import BadModel, shortened
from core.models.converted.arithmetic import ARITHMETIC, Operator
from core.models.converted.graph import Array, Call, Graph, Node, Unconverted
from core.models.converted.indexing import INDEXING
from core.models.converted.layers import LAYERS, Layer
from core.models.converted.places import Place, named, places
from core.models.converted.recurrent import RECURRENT
from core.models.converted.shaping import SHAPING
from core.models.converted.values import DTYPES, Value, bounded

_OPERATORS: Final = {**ARITHMETIC, **INDEXING, **SHAPING}
_BUILDERS: Final = {**LAYERS, **RECURRENT}
_FEW: Final = 64  # whole numbers that may be sizes


class Step(nn.Module):
    """One node. It is called with what the nodes before it made, ``taken`` by name, and answers
    with what it makes.
    """

    layer: nn.Module | None

    def __init__(
        self, call: Call, node: Node, constants: Mapping[str, Array], values: Mapping[str, Value]
    ) -> None:
        super().__init__()
        arrays = [constants.get(each) for each in node.inputs]
        given = [
            array if array is not None else values[name] if name else None
            for name, array in zip(node.inputs, arrays, strict=True)
        ]
        builder = _BUILDERS.get(node.kind)
        built: Layer | None = builder(call, given, arrays) if builder is not None else None
        self.layer = None if built is None else built.module
        compute: Operator | None = _OPERATORS.get(node.kind)
        self._run: Callable[..., Any]
        if built is not None:
            self._run = partial(built.around, built.module)
        elif compute is not None:
            self._run = partial(compute, call)
        else:
            raise Unconverted(f"{shortened(node.kind, 40)} is an operator that is not known")
        self._known: dict[int, Array] = {}
        self._stored: dict[int, str] = {}
        self.taken: list[str] = []
        self._slots: list[int] = []
        for place, (name, array) in enumerate(zip(node.inputs, arrays, strict=True)):
            if array is None:
                if name:
                    self.taken.append(name)
                    self._slots.append(place)
            elif built is None or (node.kind in RECURRENT and place > 4):
                self._hold(place, array, node.kind in ("Resize", "Upsample"))
        self._count = len(node.inputs)

    def _hold(self, place: int, array: Array, scale: bool) -> None:
        """A constant: numbers that may be sizes or scales as they are, others as a weight."""
        few = array.ndim < 2 and array.size <= (1 if array.dtype.kind == "f" else _FEW)
        if few or scale:
            self._known[place] = array
            return
        name = f"constant_{place}"
        values = torch.from_numpy(np.array(array))
        if values.is_floating_point():
            self.register_parameter(name, nn.Parameter(values, requires_grad=False))
        else:
            self.register_buffer(name, values)
        self._stored[place] = name

    def forward(self, *made: Value) -> Any:
        """What the node makes: a value, or a tuple of them."""
        given: list[Value] = [None] * self._count
        for slot, value in zip(self._slots, made, strict=True):
            given[slot] = value
        for place, array in self._known.items():
            given[place] = array
        for place, name in self._stored.items():
            given[place] = getattr(self, name)
        return self._run(*given)


class Steps(nn.Module):
    """All nodes of a graph, called with its inputs by ``names``; answers with the tensors among its
    outputs. ``places`` says where each step stood, ``kind`` what the network was called.
    """

    def __init__(self, graph: Graph, given: Mapping[str, Tensor]) -> None:
        """Built while ``given`` is run through it once.

        Raises ``Unconverted`` for what is no layers, ``BadModel`` for a tensor that is too large.
        """
        super().__init__()
        self.names = dict(zip(given, (each.name for each in graph.inputs), strict=True))
        self._outputs = graph.outputs
        self._makes: list[tuple[str, ...]] = []
        values: dict[str, Value] = {self.names[name]: each for name, each in given.items()}
        for number, node in enumerate(graph.nodes):
            call = Call(
                node.kind, node.settings, graph.version, len(list(filter(None, node.outputs)))
            )
            try:
                step = Step(call, node, graph.constants, values)
                self.add_module(f"s{number}", step)
                self._makes.append(node.outputs)
                with torch.no_grad():
                    self._one(number, values)
            except (Unconverted, BadModel, MemoryError):
                raise
            except Exception as error:  # a stranger's numbers may break torch in any way
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                if "allocate memory" in reason:
                    raise MemoryError from None
                raise Unconverted(
                    f"{shortened(node.kind, 40)} does not run here ({shortened(reason, 100)})"
                ) from error
        if not all(isinstance(values.get(each), Tensor) for each in self._outputs):
            raise Unconverted("it answers with what is no tensor of values")
        self.places, self.kind = places(graph.nodes, graph.producer)
        self._nodes = graph.nodes
        self.forward = self._called(list(given))

    def _one(self, number: int, values: dict[str, Value]) -> None:
        step: Any = self._modules[f"s{number}"]
        made = step(*(values[name] for name in step.taken))
        made = made if isinstance(made, tuple | list) else (made,)
        values.update(zip(self._makes[number], made, strict=False))

    def _called(self, names: Sequence[str]) -> Callable[..., tuple[Tensor, ...]]:
        """The forward, with a name for each input: an exported program has them from there."""

        def forward(*given: Tensor) -> tuple[Tensor, ...]:
            values: dict[str, Value] = dict(zip(self.names.values(), given, strict=True))
            for number in range(len(self._makes)):
                self._one(number, values)
            found = (values[each] for each in self._outputs)
            return tuple(each for each in found if isinstance(each, Tensor))

        either = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, either) for name in names])
        forward.__signature__ = signature  # type: ignore[attr-defined]
        return forward

    def layers(self) -> list[tuple[Place, str, str]]:
        """Of each step the layers around it, and the path and kind of the layer that it is itself;
        empty where it is none, the heart of the layer around it, or the call of a function.

        The only step of a layer is that layer. Where the others only prepare what one of them
        takes and makes, as around an LSTM, all are.
        """
        inside = Counter(path for place in self.places for path, _ in place)
        direct = Counter(place[-1][0] for place in self.places if place)
        made = [getattr(self._modules[f"s{n}"], "layer", None) for n in range(len(self.places))]
        hearts = Counter(
            place[-1][0]
            for place, layer in zip(self.places, made, strict=True)
            if place and layer is not None
        )
        taken = {*inside}
        found = []
        for place, node, layer in zip(self.places, self._nodes, made, strict=True):
            around = place[-1][0] if place else ""
            if layer is None:
                found.append((place, "", ""))
                continue
            kind = type(layer).__name__
            if place and inside[around] == 1:
                found.append((place[:-1], around, kind))
                continue
            noted = bool(place or node.notes) or node.name[:1] == "/"
            alone = place and inside[around] == direct[around] and hearts[around] == 1
            function = noted and not any(True for _ in layer.parameters())
            if alone or function:  # relu(…) in a forward was no layer
                found.append((place, "", ""))
            else:
                start = f"{around}." if around else ""
                path = start + named("" if noted else node.name, kind.lower())
                path = next(each for each in _numbered(path) if each not in taken)
                taken.add(path)
                found.append((place, path, kind))
        return found


def _numbered(path: str) -> Iterator[str]:
    yield path
    yield from (f"{path}_{number}" for number in range(1, 10**6))


def examples(
    graph: Graph, free: int, names: Sequence[str], batch: int = 2, seed: int = 0
) -> dict[str, Tensor]:
    """Something of the shape and type of each input; axes of any length are ``free`` long.

    Whole numbers are 0 and 1, and 1 in a mask. Raises ``BadModel`` where that is too large.
    """
    random = torch.Generator().manual_seed(seed)
    made = {}
    for name, each in zip(names, graph.inputs, strict=True):
        sizes = [size or (free if axis else batch) for axis, size in enumerate(each.sizes)]
        bounded(sizes, f"The input '{shortened(each.name, 60)}'")
        dtype = DTYPES[each.dtype]
        if dtype.is_floating_point:
            made[name] = torch.rand(sizes, generator=random).to(dtype)
        elif "mask" in each.name.lower():
            made[name] = torch.ones(sizes, dtype=dtype)
        else:
            made[name] = torch.randint(0, 2, sizes, generator=random).to(dtype)
    return made
