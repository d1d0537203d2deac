"""Recurrent operators with a look at the shapes they are given.

``torch.nn.LSTM`` checks its state and weights in Python; the operators below it do not, and read
memory beyond them (seen: a segmentation fault for a state of two examples and an input of one).
A stranger's program calls the operators, so they are called through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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


CHECKED: dict[str, Callable[..., Any]] = {
    "lstm": partial(_checked, torch.ops.aten.lstm.input, 4),
    "gru": partial(_checked, torch.ops.aten.gru.input, 3),
    "rnn_tanh": partial(_checked, torch.ops.aten.rnn_tanh.input, 1),
    "rnn_relu": partial(_checked, torch.ops.aten.rnn_relu.input, 1),
}
"""What is called in place of an operator."""
