"""Attention of a forward, whatever computes it.

Fused kernels never hand out their weights. A mode around the forward sees every call of one,
recomputes softmax(QKᵀ·scale + mask) for the layers that are wanted and lets the call go on as it
was, so the answer of the network does not change. Where a network multiplies, takes the softmax
and multiplies again by itself, the weights are the output of that softmax.
"""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.attention.fused import FusedAttention
from core.attention.padding import unpacked
from core.results.attention import AttentionLayer, Role

Silence = Literal["zero", "mean"]
Take = Callable[[AttentionLayer, Tensor], Any]

_FUSED = frozenset({"scaled_dot_product_attention", "scaled_dot_product_attention.default"})
_SOFTMAX = frozenset({"softmax", "softmax.int", "_softmax.default", "_safe_softmax.default"})
_PRODUCTS = frozenset(
    f"{name}{form}"
    for name in ("matmul", "__matmul__", "bmm", "baddbmm", "einsum")
    for form in ("", ".default")
)
_NAMED_CROSS = ("crossattention", "cross_attn", "encoder_attn", "encdecattention")
_TIMES = re.compile(r"#\d+$")
# Entered again under the mode it would ask the mode whether to go on, and so on for ever: this is
# the same function, but one that does not ask.
_multi_head_attention_forward = types.FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda tensors: False},
    "multi_head_attention_forward",
    F.multi_head_attention_forward.__defaults__,
)


@dataclass(frozen=True)
class Captured:
    """One layer, and what was taken of its weights."""

    layer: AttentionLayer
    taken: Any


@contextmanager
def watched(
    module: nn.Module,
    batch_size: int,
    take: Take,
    *,
    wanted: Collection[str] | None = None,
    known: Sequence[AttentionLayer] | None = None,
    gradients: bool = False,
    silenced: Mapping[str, Collection[int]] | None = None,
    silence: Silence = "zero",
) -> Iterator[list[Captured]]:
    """Inside, every forward of ``module`` adds its layers of attention to the list, in the order
    in which they compute.

    ``take`` is called at once with weights ``[example, head, query, key]``, float32, on the model's
    device; what it answers is kept, the weights are not. ``wanted`` are names of layers, None for
    all; with the layers that are ``known`` from an earlier look, only they are watched. With
    ``gradients`` the weights are part of the graph that leads to the answer. ``silenced`` are heads
    by layer whose output becomes zero or its mean over the queries. Leaves nothing behind, also
    after an exception.
    """
    watch = _Watch(batch_size, take, known, wanted, gradients, silenced or {}, silence)
    with watch.over(module):
        yield watch.found


@dataclass(eq=False)
class _Entered:
    """A call of a part of the network: whether it was given two sequences, whether the mode is on
    in it and was switched on by it, and the shapes of the products it made.
    """

    name: str
    cross: bool
    on: bool
    switched: bool
    products: set[tuple[int, ...]] = field(default_factory=set)


class _Watch(TorchFunctionMode):
    def __init__(
        self,
        batch_size: int,
        take: Take,
        known: Sequence[AttentionLayer] | None,
        wanted: Collection[str] | None,
        gradients: bool,
        silenced: Mapping[str, Collection[int]],
        silence: Silence,
    ) -> None:
        super().__init__()
        self._batch_size = batch_size
        self._take = take
        self._known = None if known is None else {layer.name: layer.role for layer in known}
        self._wanted = wanted
        self._gradients = gradients
        self._silenced = silenced
        self._silence_by: Silence = silence
        self._stack: list[_Entered] = []
        self._calls: Counter[str] = Counter()
        self._pending: tuple[_Entered, Tensor] | None = None
        self.found: list[Captured] = []

    @contextmanager
    def over(self, module: nn.Module) -> Iterator[None]:
        """Hooks that say which part of the network computes. Where its layers are known, the mode
        is on in those that are asked for and nowhere else: it costs as much as a small product at
        every call of PyTorch.
        """
        parts, asked = self._parts(module)
        with unpacked(module), ExitStack() as stack:
            for part, name in parts.items():
                enter = part.register_forward_pre_hook(
                    partial(self._enter, name, name in asked), prepend=True, with_kwargs=True
                )
                stack.callback(enter.remove)
                leave = part.register_forward_hook(self._leave, always_call=True)
                stack.callback(leave.remove)
            if self._known is None:
                stack.enter_context(self)
            yield

    def _parts(self, module: nn.Module) -> tuple[dict[nn.Module, str], set[str]]:
        """The parts to be told of, and the names of those that are asked for: where the layers are
        known, these and the layers inside of them.
        """
        root = type(module).__name__
        if self._known is None:
            named = ((part, name or root) for name, part in module.named_modules())
            parts = {part: name for part, name in named if not _plain(part)}
            return parts, set(parts.values())
        names = self._known if self._wanted is None else self._wanted
        asked = {_path(name) for name in (*names, *self._silenced)}
        within = tuple(f"{path}." for path in asked)
        among = dict.fromkeys(_path(name) for name in self._known)
        return {
            module if path == root else module.get_submodule(path): path
            for path in among
            if path in asked or root in asked or path.startswith(within)
        }, asked

    def _enter(
        self,
        name: str,
        asked: bool,
        part: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        on = bool(self._stack) and self._stack[-1].on
        switch = asked and not on and self._known is not None
        # In the graph of a whole network all attention is one part's: its inputs say nothing.
        whole = isinstance(part, torch.fx.GraphModule)
        cross = self._known is None and not whole and _two_sequences(args, kwargs)
        self._stack.append(_Entered(name, cross, on or switch, switch))
        if switch:
            self.__enter__()  # type: ignore[no-untyped-call]  # torch's

    def _leave(self, part: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._stack.pop().switched:
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # torch's

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self:
                return _multi_head_attention_forward(*args, **kwargs)
        name = func.__name__
        if self._stack:
            if name in _FUSED:
                return self._fused(func, args, kwargs)
            if name in _SOFTMAX:
                return self._softmax(func, args, kwargs)
            if name in _PRODUCTS:
                return self._product(func, args, kwargs)
        return func(*args, **kwargs)

    def _fused(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = FusedAttention(*args, **kwargs)
        name = self._next_name()
        if not self._asked_for(name):
            return self._silence(name, func(*args, **kwargs))
        plain = given.weights()
        weights = self._by_head(plain)
        self._register(name, weights, self._stack[-1].cross)
        if not self._gradients:
            return self._silence(name, func(*args, **kwargs))
        value = given.repeated(given.value)
        return self._silence(name, weights.to(value.dtype).reshape(plain.shape) @ value)

    def _softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Attention if it is of a product and a product follows, in one part of the network."""
        output: Tensor = func(*args, **kwargs)
        over_keys = output.ndim > 2 and _dim(args, kwargs) in (-1, output.ndim - 1)
        if over_keys and _rows(output) in self._stack[-1].products:
            weights = self._by_head(output.float())
            self._pending = (self._stack[-1], weights)
            if self._gradients:  # what is kept has to be what is used
                return weights.to(output.dtype).reshape(output.shape)
        return output

    def _product(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output: Tensor = func(*args, **kwargs)
        self._stack[-1].products.add(_rows(output))
        if self._pending is None:
            return output
        inside, weights = self._pending
        first = next((each for each in args if isinstance(each, Tensor)), None)
        if inside is not self._stack[-1] or first is None or _rows(first) != _rows(weights):
            return output
        self._pending = None
        name = self._next_name()
        if self._asked_for(name):
            self._register(name, weights, inside.cross)
        return self._silence(name, output, (weights.shape[2], weights.shape[1]))

    def _next_name(self) -> str:
        path = self._stack[-1].name
        self._calls[path] += 1
        return path if self._calls[path] == 1 else f"{path}#{self._calls[path]}"

    def _asked_for(self, name: str) -> bool:
        return self._wanted is None or name in self._wanted

    def _register(self, name: str, weights: Tensor, cross: bool) -> None:
        if weights.shape[0] != self._batch_size:  # windows of a picture, say: not over the input
            return
        role = (self._known or {}).get(name) or _role(name, weights, cross)
        layer = AttentionLayer(name, role, weights.shape[1])
        with torch.set_grad_enabled(self._gradients):
            taken = self._take(layer, weights)
        self.found.append(Captured(layer, taken))

    def _by_head(self, values: Tensor) -> Tensor:
        """``[example, head, query, …]`` of values that may have both in one dimension."""
        if values.ndim == 3 and values.shape[0] % self._batch_size == 0:
            return values.reshape(self._batch_size, -1, *values.shape[1:])
        return values.flatten(1, -3) if values.ndim > 4 else values

    def _silence(self, name: str, output: Tensor, turned: tuple[int, int] | None = None) -> Tensor:
        """``output`` without some heads; ``turned`` is how it begins with the heads last."""
        heads = self._silenced.get(name)
        if not heads:
            return output
        output = output.clone()
        chosen = self._by_head(output)
        if turned is not None and chosen.shape[1:3] == turned:
            chosen = chosen.transpose(1, 2)
        for head in heads:
            part = chosen[:, head]
            if self._silence_by == "mean":
                part.copy_(part.mean(dim=-2, keepdim=True))
            else:
                part.zero_()
        return output


def _plain(part: nn.Module) -> bool:
    """A part of PyTorch's own without parts, such as a dense layer."""
    own = type(part).__module__.startswith("torch.nn.modules")
    return own and not any(True for _ in part.children())


def _path(name: str) -> str:
    """The part of the network that a layer's name belongs to."""
    return _TIMES.sub("", name)


def _rows(values: Tensor) -> tuple[int, ...]:
    """How many values there are and their last two dimensions: heads may be anywhere before."""
    return (values.numel(), *values.shape[-2:])


def _dim(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("dim")


def _two_sequences(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a part is given two different sequences of vectors of one width."""
    given = [
        value
        for value in (*args, *kwargs.values())
        if isinstance(value, Tensor) and value.ndim == 3 and value.is_floating_point()
    ]
    if len(given) < 2:
        return False
    return given[0] is not given[1] and given[0].shape[-1] == given[1].shape[-1]


def _role(name: str, weights: Tensor, cross: bool) -> Role:
    queries, keys = weights.shape[-2:]
    if queries != keys or any(each in name.lower() for each in _NAMED_CROSS):
        return "cross"
    if cross and queries == 1:
        return "cross"
    if not bool(weights.detach().triu(1).any()):
        return "decoder"
    return "cross" if cross else "encoder"
