"""What a model is made of, as plain values: layers, shapes, parameters, operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from core.provenance import Provenance


@dataclass(frozen=True)
class Fit:
    """How well a method fits a model, with the reason in one sentence."""

    level: Literal["exact", "approximate", "not valid"]
    reason: str = ""

    @property
    def usable(self) -> bool:
        """False for ``not valid``: such a method is refused, never drawn."""
        return self.level != "not valid"


@dataclass(frozen=True)
class LayerInfo:
    """One module of a network, as in ``named_modules()``.

    Shapes leave out the batch dimension. ``multiply_adds`` counts one forward of one example in
    this module alone, without its children. ``calls`` is how often it runs in one forward.
    ``grid`` is ``(rows, columns)`` when its output lies over the image, either as
    ``[channel, row, column]`` or as tokens ``[token, channel]`` after ``prefix_tokens`` others.
    """

    name: str
    kind: str
    leaf: bool
    parameters: int
    multiply_adds: int
    calls: int
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    inplace: bool = False
    grid: tuple[int, int] | None = None
    prefix_tokens: int = 0

    @property
    def depth(self) -> int:
        """Nesting depth; 0 for the model itself."""
        return self.name.count(".") + 1 if self.name else 0


@dataclass(frozen=True)
class Architecture:
    """A model taken apart by one observed forward.

    ``functions`` are the non-linear functional calls outside of leaf modules (``relu``, ``gelu``,
    ``softmax``, ``scaled_dot_product_attention`` …), once per call site. ``rewrites`` says in words
    what had to be rewritten for hooked methods (in-place, functional or reused ReLU), and
    ``unrewritable`` why that was not possible, or is empty. ``pass_seconds`` is the measured time
    of a forward of one example at the best batch size, ``backward_seconds`` that of a forward and
    backward.
    """

    model: str
    layers: tuple[LayerInfo, ...]
    functions: tuple[str, ...]
    provenance: Provenance
    rewrites: tuple[str, ...] = ()
    unrewritable: str = ""
    pass_seconds: float = 0.0
    backward_seconds: float = 0.0
    fits: dict[str, Fit] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole model."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward of one example."""
        return sum(layer.multiply_adds * layer.calls for layer in self.layers)
