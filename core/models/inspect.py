"""Taking a model apart by observing one forward: layers, shapes, operations, gradient flow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.models.adapter import Adapter, Batch
from core.results.architecture import LayerInfo

# Functional calls that matter to hooked methods, under one name each.
_SPELLINGS = {
    "relu_": "relu",
    "__add__": "add",
    "__radd__": "add",
    "__iadd__": "add",
    "add_": "add",
    "__mul__": "mul",
    "__rmul__": "mul",
    "__imul__": "mul",
    "mul_": "mul",
    "__matmul__": "matmul",
    "bmm": "matmul",
    "sigmoid_": "sigmoid",
    "tanh_": "tanh",
    "clamp_": "clamp",
    "max_pool2d_with_indices": "max_pool2d",
    "_max_pool2d": "max_pool2d",
    "boolean_dispatch": "max_pool2d",
}
NONLINEAR_FUNCTIONS = frozenset(
    {
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "hardsigmoid",
        "hardtanh",
        "prelu",
        "rrelu",
        "sigmoid",
        "tanh",
        "softmax",
        "log_softmax",
        "softplus",
        "softsign",
        "logsigmoid",
        "glu",
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "adaptive_max_pool2d",
        "scaled_dot_product_attention",
        "layer_norm",
        "group_norm",
        "instance_norm",
        "normalize",
        "exp",
        "log",
        "sqrt",
        "abs",
        "square",
        "pow",
        "clamp",
        "maximum",
        "minimum",
        "div",
        "mul",
        "matmul",
        "einsum",
    }
)
_TWO_TENSORS = frozenset(
    {
        "add",
        "mul",
        "matmul",
        "div",
        "pow",
        "einsum",
        "maximum",
        "minimum",
    }
)


@dataclass
class _Seen:
    order: int
    calls: int = 0
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    multiply_adds: int = 0


@dataclass
class Observation:
    """What one forward showed: ``layers`` in order of their first call, and ``functions``."""

    layers: tuple[LayerInfo, ...]
    functions: tuple[str, ...]
    differentiable: bool


def observe(module: nn.Module, adapter: Adapter, batch: Batch) -> Observation:
    """Run ``batch`` of one example through ``module`` once, forward and backward, and write down
    what happens. Leaves no hook behind.
    """
    watch = _Watch(module)
    features = batch.features.detach().clone().requires_grad_()
    with watch.hooks(), watch:
        logits = adapter.logits(module, features, *batch.context)
    spatial = {name: output for name, output in watch.outputs.items() if output.requires_grad}
    reached: dict[str, bool] = {}
    differentiable = logits.requires_grad
    if differentiable:
        # A weighted sum: the plain sum of outputs can be constant (softmax, normalised outputs).
        weights = torch.linspace(-1, 1, logits.shape[1], device=logits.device) + 0.1
        wanted = [features, *spatial.values()]
        found = torch.autograd.grad((logits * weights).sum(), wanted, allow_unused=True)
        differentiable = found[0] is not None and bool(found[0].abs().sum() > 0)
        for name, gradient in zip(spatial, found[1:], strict=True):
            reached[name] = gradient is not None and _reaches(gradient, features)
    return Observation(watch.layers(features, reached), tuple(watch.functions), differentiable)


class _Watch(TorchFunctionMode):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._names = {part: name for name, part in module.named_modules()}
        self._stack: list[nn.Module] = []
        self._seen: dict[str, _Seen] = {}
        self.outputs: dict[str, Tensor] = {}
        self.functions: list[str] = []

    @contextmanager
    def hooks(self) -> Iterator[None]:
        with ExitStack() as stack:
            for part in self._names:
                handle = part.register_forward_pre_hook(self._enter, prepend=True)
                stack.callback(handle.remove)
                handle = part.register_forward_hook(self._leave, always_call=True)
                stack.callback(handle.remove)
            yield

    def _enter(self, part: nn.Module, args: tuple[Any, ...]) -> None:
        name = self._names[part]
        seen = self._seen.setdefault(name, _Seen(order=len(self._seen)))
        seen.calls += 1
        if args and isinstance(args[0], Tensor):
            seen.input_shape = tuple(args[0].shape[1:])
        self._stack.append(part)

    def _leave(self, part: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._stack.pop()
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if not isinstance(first, Tensor):
            return
        seen = self._seen[self._names[part]]
        seen.output_shape = tuple(first.shape[1:])
        seen.multiply_adds += _multiply_adds(part, args, first)
        if first is output or len(output) == 1 or isinstance(part, nn.RNNBase):
            self.outputs[self._names[part]] = first  # others cannot be explained through

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inside = self._stack[-1] if self._stack else None
        if inside is None or not type(inside).__module__.startswith("torch.nn"):
            name = _SPELLINGS.get(func.__name__, func.__name__)
            tensors = sum(isinstance(value, Tensor) for value in args)
            if (name in NONLINEAR_FUNCTIONS or name == "add") and (
                name not in _TWO_TENSORS or tensors > 1
            ):
                self.functions.append(name)
                if inside is not None:
                    self._seen[self._names[inside]].multiply_adds += _products(name, args, result)
        return result

    def layers(self, features: Tensor, reached: dict[str, bool]) -> tuple[LayerInfo, ...]:
        counted: set[int] = set()
        infos: list[tuple[int, int, LayerInfo]] = []
        for part, name in self._names.items():
            seen = self._seen.get(name, _Seen(order=len(self._names)))
            own = [p for p in part.parameters(recurse=False) if id(p) not in counted]
            counted.update(map(id, own))
            grid, prefix = grid_over(seen.output_shape, tuple(features.shape[1:]))
            info = LayerInfo(
                name=name,
                kind=type(part).__name__,
                base=_base(part),
                leaf=not any(True for _ in part.children()),
                parameters=sum(p.numel() for p in own),
                multiply_adds=seen.multiply_adds,
                calls=seen.calls,
                input_shape=seen.input_shape,
                output_shape=seen.output_shape,
                inplace=bool(getattr(part, "inplace", False)),
                grid=grid,
                prefix_tokens=prefix,
                reached=reached.get(name, False),
            )
            infos.append((seen.order, len(infos), info))
        return tuple(info for _, _, info in sorted(infos, key=lambda row: row[:2]))


def _base(part: nn.Module) -> str:
    for kind in type(part).__mro__:
        if kind.__module__.startswith("torch.nn.modules") and kind is not nn.Module:
            return kind.__name__
    return ""


def _multiply_adds(part: nn.Module, args: tuple[Any, ...], output: Tensor) -> int:
    """Exact counts per example: a convolution makes one per output value, input channel of its
    group and kernel element; a dense layer one per output value and input feature.
    """
    per_example = output[0].numel()
    if isinstance(part, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        kernel = math.prod(part.kernel_size)
        incoming = args[0][0].numel()
        return int(incoming * part.out_channels // part.groups * kernel)
    if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        kernel = math.prod(part.kernel_size)
        return int(per_example * (part.in_channels // part.groups) * kernel)
    if isinstance(part, nn.Linear):
        return int(per_example * part.in_features)
    return 0


def _products(name: str, args: tuple[Any, ...], result: Any) -> int:
    if name == "scaled_dot_product_attention":  # Q·Kᵀ, then weights·V
        query, key, value = args[:3]
        pairs = query[0].numel() // query.shape[-1] * key.shape[-2]
        return int(pairs * (query.shape[-1] + value.shape[-1]))
    if name == "matmul" and isinstance(result, Tensor) and result.ndim > 1:
        return int(result[0].numel() * args[0].shape[-1])
    return 0


def grid_over(
    output: tuple[int, ...], features: tuple[int, ...]
) -> tuple[tuple[int, int] | None, int]:
    """Rows and columns of an output that lies over the input, and how many tokens come first. A
    text is one row.
    """
    if len(features) == 2:
        over_text = len(output) == 2 and output[0] == features[0] > 1
        return ((1, output[0]), 0) if over_text else (None, 0)
    if len(features) != 3:
        return None, 0
    height, width = features[1:]
    if len(output) == 3:
        rows, columns = output[1:]
        same_shape = abs(rows * width - columns * height) < max(height, width)
        return ((rows, columns), 0) if min(rows, columns) > 1 and same_shape else (None, 0)
    if len(output) == 2:
        for prefix in range(3):
            rows = round(math.sqrt((output[0] - prefix) * height / width))
            if rows > 1 and (output[0] - prefix) % rows == 0:
                columns = (output[0] - prefix) // rows
                if columns > 1 and abs(rows * width - columns * height) < max(height, width):
                    return (rows, columns), prefix
    return None, 0


def _reaches(gradient: Tensor, features: Tensor) -> bool:
    """Whether the gradient is non-zero somewhere on the grid, prefix tokens aside; over a text in
    more than one place, since after the last attention only one token counts.
    """
    grid, prefix = grid_over(tuple(gradient.shape[1:]), tuple(features.shape[1:]))
    if grid is None:
        return False
    over_grid = gradient[:, prefix:] if gradient.ndim == 3 else gradient
    if features.ndim == 3:
        return int((over_grid[0].abs().sum(dim=1) > 0).sum()) > 1
    return bool(over_grid.abs().sum() > 0)


def reused(layers: tuple[LayerInfo, ...]) -> Counter[str]:
    """Modules that are called more than once in a forward, with how often."""
    return Counter({layer.name: layer.calls for layer in layers if layer.calls > 1})
