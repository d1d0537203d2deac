"""Operators with a look at what they are given: recurrent ones and a few of normalisation.

``torch.nn.LSTM`` checks its state and weights in Python; the operators below it do not, and read
and write memory beyond them (seen: a segmentation fault for a state of two examples and an input of
one, and for a normalisation of many channels with the statistics of one). A stranger's program
calls the operators, so they are called through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def _checked(
    call: Callable[..., Any],
    gates: int,
    given: Tensor,
    state: Any,
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """The operator itself. Raises ``ValueError`` for shapes that do not fit each other."""
    directions, per_layer = 1 + bool(bidirectional), 4 if has_biases else 2
    if given.ndim != 3 or len(weights) != num_layers * directions * per_layer or not weights:
        raise ValueError("a recurrent layer is given another number of axes or weights")
    examples, hidden, width = (
        given.shape[1 - bool(batch_first)],
        weights[1].shape[-1],
        given.shape[2],
    )
    for start in range(0, len(weights), per_layer):
        first = start // per_layer < directions
        wide = width if first else hidden * directions
        wanted = [(gates * hidden, wide), (gates * hidden, hidden), *[(gates * hidden,)] * 2]
        for weight, shape in zip(weights[start : start + per_layer], wanted, strict=False):
            if tuple(weight.shape) != shape or weight.dtype != given.dtype:
                raise ValueError(
                    f"a recurrent layer has a weight {tuple(weight.shape)}, not {shape}"
                )
    states = list(state) if isinstance(state, (list, tuple)) else [state]
    for each in states:
        shape = (num_layers * directions, examples, hidden)
        if tuple(each.shape) != shape or each.dtype != given.dtype:
            raise ValueError(f"a recurrent layer begins with {tuple(each.shape)}, not {shape}")
    if len(states) != (2 if gates == 4 else 1):
        raise ValueError("a recurrent layer begins with another number of states")
    settings = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    return call(given, state, weights, *settings)


def _recurrent(call: Callable[..., Any], gates: int) -> Callable[..., Any]:
    def recurrent(*given: Any) -> Any:
        return _checked(call, gates, *given)

    return recurrent


def _batch_norm(given: Tensor, *rest: Any) -> Any:
    """Weight, bias, mean and variance are ``[channel]``. Raises ``ValueError``."""
    for each in rest[:4]:
        if given.ndim < 2 or (each is not None and tuple(each.shape) != (given.shape[1],)):
            raise ValueError("a batch normalisation is given another number of channels")
    return torch.ops.aten._native_batch_norm_legit_no_training.default(given, *rest)


def _lengths(weight: Tensor, lengths: Tensor, dim: int) -> None:
    """There is one length for each slice along the axis. Raises ``ValueError``."""
    if not 0 <= dim < weight.ndim or weight.dtype != lengths.dtype:
        raise ValueError("a weight normalisation is along another axis or of another type")
    wanted = [1] * weight.ndim
    wanted[dim] = weight.shape[dim]
    if list(lengths.shape) != wanted:
        raise ValueError(f"a weight normalisation has lengths {tuple(lengths.shape)}, not {wanted}")


def _weight_norm_interface(weight: Tensor, lengths: Tensor, dim: int = 0) -> Any:
    """The fused kernel, which reads weights as if they lay in one piece, and any axis but the first
    as the last. Raises ``ValueError`` for what does not fit.
    """
    _lengths(weight, lengths, dim)
    if dim not in (0, weight.ndim - 1):
        raise ValueError("a weight normalisation is along an axis in the middle")
    whole = (weight.contiguous(), lengths.contiguous())
    return torch.ops.aten._weight_norm_interface.default(*whole, dim)


def _weight_norm(weight: Tensor, lengths: Tensor, dim: int = 0) -> Tensor:
    """Along an axis, or by one length (axis -1). Raises ``ValueError`` for what does not fit."""
    if dim != -1:
        _lengths(weight, lengths, dim)
    elif lengths.numel() != 1 or not weight.ndim:
        raise ValueError("a weight normalisation of all has another number of lengths than one")
    answer: Tensor = torch.ops.aten._weight_norm.default(weight, lengths, dim)
    return answer


def _safe_softmax(given: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """The axis is one of those there are. Raises ``ValueError``."""
    if not -given.ndim <= dim < given.ndim:
        raise ValueError(f"a softmax is along axis {dim} of {given.ndim}")
    answer: Tensor = torch.ops.aten._safe_softmax.default(given, dim, dtype)
    return answer


RECURRENT: dict[str, Callable[..., Any]] = {
    "lstm": _recurrent(torch.ops.aten.lstm.input, 4),
    "gru": _recurrent(torch.ops.aten.gru.input, 3),
    "rnn_tanh": _recurrent(torch.ops.aten.rnn_tanh.input, 1),
    "rnn_relu": _recurrent(torch.ops.aten.rnn_relu.input, 1),
}
CHECKED: dict[str, Callable[..., Any]] = {
    **RECURRENT,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_weight_norm": _weight_norm,
    "_weight_norm_interface": _weight_norm_interface,
    "_safe_softmax": _safe_softmax,
}
"""What is called in place of an operator."""
