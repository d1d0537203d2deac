"""Static int8: weights and inputs as eight-bit integers, the range of the inputs measured before.

On a CPU with int8 kernels the product is oneDNN's, one of integers. Elsewhere the same rounding is
computed in floating point: the answers are the same up to rounding, the speed is not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.compression.compact import Int8, Layer
from core.compression.given import Given
from core.errors import NotValid

STEPS = 255


@cache
def kernels(device: str) -> str:
    """Why integers are not multiplied by kernels of their own on this type of device; empty where
    they are.
    """
    if device != "cpu":
        return f"PyTorch has no kernels for static int8 on {device}"
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.onednn, "qconv_pointwise"):
        return "this build of PyTorch has no oneDNN"
    if not torch.cpu._is_vnni_supported():
        return "this processor has no instructions for products of eight-bit integers (VNNI)"
    return ""


class StaticInt8(Int8):
    """A dense layer or a convolution of eight-bit weights and inputs.

    ``step`` float32 ``[]`` and ``zero`` int64 ``[]``: an input ``x`` is rounded to ``round(x /
    step) + zero``, from 0 to 255 (Jacob et al. 2018, arXiv 1712.05877). The gradient is that of
    the product without rounding, 0 where an input lies outside the range (straight through: Bengio
    et al. 2013, arXiv 1308.3432).
    """

    step: Tensor
    zero: Tensor

    def __init__(self, layer: Layer, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(layer)
        low, high = min(low, 0.0), max(high, 0.0)
        step = max((high - low) / STEPS, 1e-12)
        self.register_buffer("step", torch.tensor(step, dtype=torch.float32))
        self.register_buffer("zero", torch.tensor(round(-low / step), dtype=torch.int64))
        self._packed = _Packed()
        if isinstance(layer, nn.Conv2d):
            self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
            self.kernel_size, self.groups = layer.kernel_size, layer.groups
            self.stride, self.dilation = layer.stride, layer.dilation
            self.padding = _edges(layer)
        else:
            self.in_features, self.out_features = layer.in_features, layer.out_features

    @property
    def convolves(self) -> bool:
        """Whether this is a convolution."""
        return self.integers.dim() == 4

    def forward(self, values: Tensor) -> Tensor:
        """As the layer it replaces."""
        if torch.is_grad_enabled() and values.requires_grad:
            found: Tensor = _Static.apply(values, self)  # type: ignore[no-untyped-call]
            return found
        return self.integer(values)

    def integer(self, values: Tensor) -> Tensor:
        """The product of rounded inputs and weights, without a gradient."""
        if kernels(values.device.type) or values.dtype != torch.float32:
            places = (values / self.step).round().add(self.zero).clamp(0, STEPS)
            return self.product((places - self.zero) * self.step, self.weight, self.bias)
        packed = self._packed.of(self)
        whole = torch.mul(values, packed.inverse).round_().add_(packed.zero).clamp_(0, STEPS)
        if self.convolves:
            found: Tensor = torch.ops.onednn.qconv_pointwise(
                whole.to(torch.uint8), packed.step, packed.zero, packed.weight, self.scale,
                packed.zeros, self.bias, self.stride, self.padding, self.dilation, self.groups,
                1.0, 0, torch.float32, "none", [], "",
            )  # fmt: skip
            return found
        rows = whole.to(torch.uint8).reshape(-1, values.shape[-1])
        flat: Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, packed.step, packed.zero, packed.weight, self.scale, packed.zeros, self.bias,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return flat.reshape(*values.shape[:-1], flat.shape[-1])

    def product(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """That of the layer in floating point."""
        if self.convolves:
            return F.conv2d(
                values, weight, bias, self.stride, self.padding, self.dilation, self.groups
            )
        return F.linear(values, weight, bias)


class StaticLinear(StaticInt8):
    """A dense layer."""


class StaticConv2d(StaticInt8):
    """A convolution."""


class _Packed:
    """Weights in the order that a kernel wants; made again where they have moved. A copy of a layer
    makes its own.
    """

    def __init__(self) -> None:
        self.key: Any = None
        self.weight: Any = None
        self.step, self.inverse, self.zero = 1.0, 1.0, 0
        self.zeros: Any = None

    def __deepcopy__(self, memo: Any) -> _Packed:
        return _Packed()

    def of(self, layer: StaticInt8) -> _Packed:
        key = (layer.integers.data_ptr(), layer.integers._version, layer.scale._version)
        if key != self.key:
            self.step, self.zero = float(layer.step), int(layer.zero)
            self.inverse = 1 / self.step
            self.zeros = torch.zeros(len(layer.scale), dtype=torch.int32)
            integers = layer.integers.detach().contiguous()
            if layer.convolves:
                self.weight = torch.ops.onednn.qconv_prepack(
                    integers, layer.scale, self.step, self.zero, list(layer.stride),
                    list(layer.padding), list(layer.dilation), layer.groups, None,
                )  # fmt: skip
            else:
                self.weight = torch.ops.onednn.qlinear_prepack(integers, None)
            self.key = key
        return self


class _Static(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, layer: StaticInt8) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(values)
        return layer.integer(values.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        layer: StaticInt8 = ctx.layer
        with torch.enable_grad():
            leaf = values.detach().requires_grad_(True)
            out = layer.product(leaf, layer.weight, None)
        (gradient,) = torch.autograd.grad(out, leaf, gradients[0])
        low = (0 - layer.zero - 0.5) * layer.step
        high = (STEPS - layer.zero + 0.5) * layer.step
        return gradient * ((values >= low) & (values <= high)), None


def static(part: nn.Module, low: float = 0.0, high: float = 1.0) -> nn.Module:
    """The static form of a layer, for inputs from ``low`` to ``high``."""
    if isinstance(part, nn.Linear):
        return StaticLinear(part, low, high)
    if isinstance(part, nn.Conv2d):
        return StaticConv2d(part, low, high)
    raise TypeError(f"{type(part).__name__} has no static form")


def ranges(
    module: nn.Module, layers: Mapping[str, nn.Module], given: Given
) -> dict[str, tuple[float, float]]:
    """The smallest and the largest input of each layer over the examples for calibration; layers
    that are not called are left out.

    Raises ``NotValid`` when there are no examples.
    """
    batches: Sequence[Any] = given.calibration()
    if not batches:
        raise NotValid(
            "Static int8 measures the range of every layer's input on examples, and there are "
            "none.",
            "Use dynamic int8, or a model with data.",
        )
    found: dict[str, tuple[float, float]] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (float(each) for each in torch.aminmax(inputs[0].detach()))
            before = found.get(name, (low, high))
            found[name] = (min(low, before[0]), max(high, before[1]))

        return hook

    watched = copy.deepcopy(module)
    for name in layers:
        watched.get_submodule(name).register_forward_pre_hook(note(name))
    for batch in batches:
        given.logits(watched, batch)
    return found


def _edges(layer: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(layer.padding, tuple):
        return layer.padding
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    sizes = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(size % 2 for size in sizes):
        raise NotValid("A convolution pads one side more than the other.", "Use dynamic int8.")
    return tuple(size // 2 for size in sizes)
