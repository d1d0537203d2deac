"""Encoders of PyTorch that leave padding out: the same answer on the way that can be watched.

Given a mask of padded places, ``nn.TransformerEncoder`` packs what is left into a nested tensor,
computes without the padding and puts zeros in its place. A packed tensor cannot be looked into, so
the encoder computes on the whole one, and the zeros are put there afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def unpacked(module: nn.Module) -> Iterator[None]:
    """Inside, no encoder of ``module`` packs its input, and all answer as if they did."""
    with ExitStack() as stack:
        for part in module.modules():
            if isinstance(part, nn.TransformerEncoder) and part.use_nested_tensor:
                stack.enter_context(_unpacked(part))
        yield


@contextmanager
def _unpacked(encoder: nn.TransformerEncoder) -> Iterator[None]:
    zeroed: list[Tensor | None] = []

    def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        names = ("src", "mask", "src_key_padding_mask", "is_causal")
        zeroed.append(_packed(encoder, **dict(zip(names, args, strict=False)), **kwargs))

    def last(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        padding = zeroed.pop() if zeroed else None
        return output if padding is None else output.masked_fill(padding[..., None], 0.0)

    with ExitStack() as stack:
        stack.callback(encoder.register_forward_pre_hook(enter, with_kwargs=True).remove)
        stack.callback(encoder.layers[-1].register_forward_hook(last).remove)
        encoder.use_nested_tensor = False
        stack.callback(setattr, encoder, "use_nested_tensor", True)
        yield


def _packed(
    encoder: nn.TransformerEncoder,
    src: Tensor,
    mask: Tensor | None = None,
    src_key_padding_mask: Tensor | None = None,
    is_causal: bool | None = None,
) -> Tensor | None:
    """The padded places ``[example, token]`` where the encoder would pack its input, else None."""
    first = encoder.layers[0]
    tensors = [src, *first.parameters()]
    if (
        src_key_padding_mask is None
        or mask is not None
        or src.dim() != 3
        or src.is_nested
        or first.training
        or not torch.backends.mha.get_fastpath_enabled()
        or torch.compiler.is_compiling()
        or torch.is_autocast_enabled()
        or src.device.type not in ("cpu", "cuda", "xpu")
        or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))
    ):
        return None
    # As the encoder reads a mask of numbers: every place that is not 0 is left out.
    numbers = F._canonical_mask(src_key_padding_mask, "", None, "", src.dtype, False)
    if numbers is None:
        return None
    padding = numbers.ne(0)
    aligned = torch._nested_tensor_from_mask_left_aligned(src, padding.logical_not())
    return None if getattr(encoder, "mask_check", True) and not aligned else padding
