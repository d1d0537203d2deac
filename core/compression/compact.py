"""Layers that hold less: weights as eight-bit integers, or as a product of two thin ones.

They look like the layers they replace (``weight`` and ``bias``), pass gradients to their input, and
are rebuilt from a few numbers in a model's card, so that nothing but tensors is ever read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = nn.Linear | nn.Conv2d


def scale_of(weight: Tensor) -> Tensor:
    """The step of symmetric eight-bit integers for each output channel of ``[output, …]``, so that
    the largest magnitude is 127 (Jacob et al. 2018, arXiv 1712.05877).
    """
    return weight.abs().flatten(1).amax(dim=1).clamp(min=1e-12) / 127


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Integers int8 of the shape of ``weight``, and their step float32 ``[output]``."""
    scale = scale_of(weight.detach().float())
    shape = (-1, *[1] * (weight.dim() - 1))
    return torch.round(weight.detach().float() / scale.view(shape)).to(torch.int8), scale


class Int8(nn.Module):
    """A dense layer or a convolution whose weights are eight-bit integers.

    ``integers`` int8 of the layer's shape, ``scale`` float32 ``[output]``, ``bias`` as it was. The
    weights are made floating-point for each forward, so what is saved is memory, not arithmetic.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        integers, scale = rounded(layer.weight)
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale)
        self.bias = layer.bias
        self._shape = (-1, *[1] * (layer.weight.dim() - 1))

    integers: Tensor
    scale: Tensor

    @property
    def weight(self) -> Tensor:
        """The weights as floating-point numbers."""
        return self.integers.to(self.scale.dtype) * self.scale.view(self._shape)


class Int8Linear(Int8):
    """A dense layer of eight-bit weights. Without a gradient on a CPU its input is rounded to eight
    bits too, each row by its own largest magnitude, so that an answer does not depend on what else
    is in the batch, and the product is one of integers.
    """

    def __init__(self, layer: nn.Linear, dynamic: bool = False) -> None:
        super().__init__(layer)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self._dynamic = dynamic

    def forward(self, values: Tensor) -> Tensor:
        """``[…, input]`` to ``[…, output]``."""
        if not self._dynamic or values.device.type != "cpu":
            return F.linear(values, self.weight, self.bias)
        out = _Dynamic.apply(values, self.integers, self.scale)  # type: ignore[no-untyped-call]
        found: Tensor = out if self.bias is None else out + self.bias
        return found


class Int8Conv2d(Int8):
    """A convolution of eight-bit weights."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.kernel_size, self.stride, self.padding = layer.kernel_size, layer.stride, layer.padding
        self.dilation, self.groups = layer.dilation, layer.groups

    def forward(self, values: Tensor) -> Tensor:
        """``[example, channel, row, column]``, as the layer it replaces."""
        return F.conv2d(
            values,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


class _Dynamic(torch.autograd.Function):
    """A product with the input rounded to eight bits; its gradient is that of the product without
    rounding the input (straight through: Bengio et al. 2013, arXiv 1308.3432).
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, integers: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(integers, scale)
        step = values.detach().abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / 127
        rows = torch.round(values / step).to(torch.int8).reshape(-1, values.shape[-1])
        product = torch._int_mm(rows, integers.t())
        out = product.to(values.dtype).reshape(*values.shape[:-1], integers.shape[0])
        return out.mul_(step).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        integers, scale = ctx.saved_tensors
        return gradients[0] @ (integers.to(scale.dtype) * scale[:, None]), None, None


class LowRankLinear(nn.Module):
    """A dense layer as a product: ``weight = second @ first``, ``first`` ``[rank, input]`` and
    ``second`` ``[output, rank]``.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.first = nn.Linear(layer.in_features, rank, bias=False)
        self.second = nn.Linear(rank, layer.out_features, bias=layer.bias is not None)
        first, second = factors(layer.weight, rank)
        with torch.no_grad():
            self.first.weight.copy_(first)
            self.second.weight.copy_(second)
            if layer.bias is not None:
                self.second.bias.copy_(layer.bias)

    @property
    def weight(self) -> Tensor:
        """The product, as one matrix."""
        return self.second.weight @ self.first.weight

    @property
    def bias(self) -> Tensor | None:
        """That of the layer."""
        return self.second.bias

    def forward(self, values: Tensor) -> Tensor:
        """``[…, input]`` to ``[…, output]``."""
        found: Tensor = self.second(self.first(values))
        return found


class LowRankConv2d(nn.Module):
    """A convolution as one to ``rank`` channels followed by one of single pixels (Zhang et al.
    2015, arXiv 1505.06798).
    """

    def __init__(self, layer: nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.kernel_size, self.stride = layer.kernel_size, layer.stride
        self.first = nn.Conv2d(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=False,
            padding_mode=layer.padding_mode,
        )
        self.second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
        first, second = factors(layer.weight.flatten(1), rank)
        with torch.no_grad():
            self.first.weight.copy_(first.view(rank, *layer.weight.shape[1:]))
            self.second.weight.copy_(second[:, :, None, None])
            if layer.bias is not None:
                self.second.bias.copy_(layer.bias)  # type: ignore[union-attr]

    def forward(self, values: Tensor) -> Tensor:
        """``[example, channel, row, column]``, as the layer it replaces."""
        found: Tensor = self.second(self.first(values))
        return found


def factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best product of ``[rank, input]`` and ``[output, rank]`` for ``weight``
    ``[output, input]``: its singular value decomposition cut off (Eckart and Young 1936).
    """
    left, values, right = torch.linalg.svd(weight.detach().double(), full_matrices=False)
    root = values[:rank].sqrt()
    first, second = root[:, None] * right[:rank], left[:, :rank] * root
    return first.to(weight.dtype), second.to(weight.dtype)


def rank_for(weight: Tensor, energy: float) -> int:
    """The least rank that keeps the share ``energy`` of the squares of all weights."""
    values = torch.linalg.svdvals(weight.detach().double().flatten(1)) ** 2
    kept = values.cumsum(0) / values.sum().clamp(min=1e-300)
    return min(len(values), int((kept < energy - 1e-12).sum()) + 1)
