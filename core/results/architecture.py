"""What a model is made of, as plain values: layers, shapes, parameters, operations."""

from __future__ import annotations

from collections.abc import Mapping
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
    """One module of a network, as in ``named_modules()``, in the order of its first call.

    ``kind`` is its class and ``base`` the class of ``torch.nn`` it derives from. Shapes leave out
    the batch dimension. ``parameters`` and ``multiply_adds`` (of all its calls in one forward of
    one example) count this module alone, without its children. ``grid`` is ``(rows, columns)`` when
    its output lies over the image, either as ``[channel, row, column]`` or as tokens
    ``[token, channel]`` after ``prefix_tokens`` others; ``reached`` says whether the gradient of
    the output gets to that grid.
    """

    name: str
    kind: str
    base: str
    leaf: bool
    parameters: int
    multiply_adds: int
    calls: int
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    inplace: bool = False
    grid: tuple[int, int] | None = None
    prefix_tokens: int = 0
    reached: bool = False

    @property
    def depth(self) -> int:
        """Nesting depth; 0 for the model itself."""
        return self.name.count(".") + 1 if self.name else 0

    @property
    def tokens(self) -> bool:
        """Whether the grid is laid out as tokens ``[token, channel]``."""
        return self.grid is not None and len(self.output_shape) == 2


@dataclass(frozen=True)
class Architecture:
    """A model taken apart by one observed forward.

    ``functions`` are the functional calls outside of ``torch.nn`` modules that matter to hooked
    methods (``relu``, ``gelu``, ``add`` of two tensors …), once per call. ``hooked_layers`` and
    ``hooked_functions`` are the same after in-place, functional and reused activations were
    rewritten as modules of their own; ``rewrites`` says what was done, ``unrewritable`` why it
    could not be. ``batch_size`` has the best throughput; ``pass_seconds`` is the time of a forward
    of one example in such a batch; ``backward_batch_size`` and ``backward_seconds`` are the same
    for a forward and backward. ``fits``
    tells how well each attribution method fits.
    """

    model: str
    layers: tuple[LayerInfo, ...]
    functions: tuple[str, ...]
    hooked_layers: tuple[LayerInfo, ...]
    hooked_functions: tuple[str, ...]
    provenance: Provenance
    rewrites: tuple[str, ...] = ()
    unrewritable: str = ""
    differentiable: bool = True
    batch_size: int = 1
    backward_batch_size: int = 1
    pass_seconds: float = 0.0
    backward_seconds: float = 0.0
    fits: Mapping[str, Fit] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole model."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward of one example."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def spatial_layers(self) -> tuple[LayerInfo, ...]:
        """Layers used once whose output lies over the image and is reached by the gradient."""
        return tuple(x for x in self.layers if x.grid and x.reached and x.name and x.calls == 1)

    @property
    def cam_layer(self) -> str:
        """The layer that Grad-CAM looks at by default, or an empty string.

        In a convolutional network the end of the last stage: the outermost part that ends in the
        shape of the last convolution, or else that convolution with what follows it (normalisation,
        activation) as long as the shape stays. Among patches the last normalisation that the
        gradient still reaches: after the last block only the class token counts. In a network for
        texts the middle one of its blocks, through which everything passes.
        """
        layers = self.spatial_layers
        if not layers:
            return ""
        if layers[-1].grid == (1, layers[-1].output_shape[0]):
            blocks = [layer for layer in layers if layer.name.rpartition(".")[2].isdecimal()]
            outer = [x for x in blocks if x.depth == min(block.depth for block in blocks)]
            return (outer[len(outer) // 2] if outer else layers[-1]).name
        if layers[-1].tokens:
            norms = [layer.name for layer in layers if layer.base == "LayerNorm"]
            return norms[-1] if norms else layers[-1].name
        convolutions = [place for place, x in enumerate(layers) if x.base.startswith("Conv")]
        if not convolutions:
            return layers[-1].name
        last = layers[convolutions[-1]]
        for layer in layers[: convolutions[-1]]:
            if last.name.startswith(f"{layer.name}.") and layer.output_shape == last.output_shape:
                return layer.name
        inside = f"{last.name}."
        for layer in layers[convolutions[-1] + 1 :]:
            if layer.leaf and not layer.name.startswith(inside):
                if layer.output_shape != last.output_shape:
                    break
                last = layer
        return last.name
