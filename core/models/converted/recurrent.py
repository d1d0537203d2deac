"""``LSTM``, ``GRU`` and ``RNN`` of ONNX as the layers of ``torch.nn`` with the same weights.

ONNX has the gates in another order, a direction on an axis of its own, and time before examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.models.converted.graph import Array, Call, Unconverted
from core.models.converted.layers import Builder, Constants, Layer
from core.models.converted.values import Value, tensor

_GATES: Mapping[str, tuple[int, ...]] = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where the gates of torch are among those of ONNX: i f g o, and r z n."""
_USUAL: Mapping[str, list[str]] = {
    "LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"],
}  # fmt: skip
_LAYERS: Mapping[str, Any] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


def recurrent(call: Call, values: Sequence[Value], constants: Constants) -> Layer | None:
    """One layer, forwards or in both directions. Raises ``Unconverted`` for what torch's do not
    know: other activations, peepholes, clipping, texts of several lengths in one batch.
    """
    kind = call.kind
    weight, hidden = constants[1], constants[2]
    bias = constants[3] if len(constants) > 3 else None
    if weight is None or hidden is None or weight.ndim != 3 or hidden.ndim != 3:
        raise Unconverted(f"{kind} with weights that are computed is not known")
    if any(values[place] is not None for place in (4, 7) if place < len(values)):
        raise Unconverted(f"{kind} with lengths or peepholes is not known")
    if call.get("clip") or call.get("input_forget") or (kind == "GRU" and not _reset(call)):
        raise Unconverted(f"{kind} of another kind than torch's is not known")
    directions = {"forward": 1, "bidirectional": 2}.get(call.get("direction", "forward"))
    width = hidden.shape[-1]
    gates = _GATES[kind]
    if directions != len(weight) or weight.shape[1] != len(gates) * width:
        raise Unconverted(f"{kind} that reads backwards is not known")
    module = _LAYERS[kind](
        weight.shape[2], width, bias=bias is not None, bidirectional=directions == 2,
        batch_first=bool(call.get("layout")), **_activations(call, directions),
    )  # fmt: skip
    for place in range(directions):
        end = "_reverse" if place else ""
        tables = {"weight_ih_l0": weight[place], "weight_hh_l0": hidden[place]}
        if bias is not None:
            half = bias.shape[-1] // 2
            tables |= {"bias_ih_l0": bias[place][:half], "bias_hh_l0": bias[place][half:]}
        for name, table in tables.items():
            values_ = torch.from_numpy(_ordered(table, gates))
            if values_.shape != getattr(module, name + end).shape:
                raise Unconverted(f"{kind} has weights of sizes that do not fit")
            setattr(module, name + end, nn.Parameter(values_, requires_grad=False))
    return Layer(module.eval(), _around(kind, directions, bool(call.get("layout"))))


def _reset(call: Call) -> bool:
    return bool(call.get("linear_before_reset"))


def _activations(call: Call, directions: int) -> dict[str, str]:
    said = [each.lower() for each in call.get("activations") or []]
    if not said or said == _USUAL[call.kind] * directions:
        return {}
    if call.kind == "RNN" and said == ["relu"] * directions:
        return {"nonlinearity": "relu"}
    raise Unconverted(f"{call.kind} with other activations than torch's is not known")


def _ordered(table: Array, gates: Sequence[int]) -> Array:
    parts = np.split(table, len(gates))
    return np.ascontiguousarray(np.concatenate([parts[place] for place in gates]))


def _around(kind: str, directions: int, first: bool) -> Any:
    """From ONNX's axes to torch's and back; ``first`` says that examples come before time."""

    def around(module: nn.Module, given: Value, *others: Value) -> tuple[Tensor, ...]:
        read = tensor(given)
        starts = [None if each is None else tensor(each, read) for each in others[4:6]]
        starts = [each.transpose(0, 1) if each is not None and first else each for each in starts]
        begin: Any = None
        if starts and starts[0] is not None:
            begin = starts[0]
            if kind == "LSTM":
                other = starts[1] if len(starts) > 1 else None
                begin = (begin, torch.zeros_like(begin) if other is None else other)
        output, last = module(read, begin) if begin is not None else module(read)
        states = last if isinstance(last, tuple) else (last,)
        if first:
            states = tuple(each.transpose(0, 1) for each in states)
            return output.unflatten(-1, (directions, -1)), *states
        if directions == 1:
            return output.unsqueeze(1), *states
        return output.unflatten(-1, (directions, -1)).transpose(1, 2), *states

    return around


RECURRENT: Mapping[str, Builder] = dict.fromkeys(_LAYERS, recurrent)
"""How recurrent layers are built."""
