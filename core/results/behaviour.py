"""What each layer does over a data set, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerBehaviour:
    """One layer over a data set.

    ``mean``, ``deviation``, ``low``, ``high``, ``counts`` over ``edges``, ``sparsity`` (the share
    of exact zeros), ``saturated``, ``duplicates`` and ``effective_rank`` are of activations at
    single positions (pixels, tokens) of some examples; the others of the means over positions of
    all examples.
    Units: ``dead`` answer the same to every example; ``saturated`` lie at the end of a bounded
    activation (sigmoid, tanh) at 95 % of the places; ``duplicates`` are pairs whose correlation is
    above 0.999. ``effective_rank`` is the exponential of the entropy of the singular values of the
    centred activations (Roy and Vetterli 2007), at most ``units`` and the number of places.
    ``selectivity`` float64 ``[unit]`` is the share of a unit's variance that the class explains
    (correlation ratio, 0 to 1), NaN for dead units; empty without labels. ``nonfinite`` activations
    were NaN or infinite; examples with such do not count.
    """

    name: str
    kind: str
    units: int
    mean: float
    deviation: float
    low: float
    high: float
    counts: Floats
    edges: Floats
    sparsity: float
    dead: tuple[int, ...]
    saturated: tuple[int, ...]
    duplicates: tuple[tuple[int, int], ...]
    effective_rank: float
    selectivity: Floats
    nonfinite: int = 0

    def __post_init__(self) -> None:
        if self.edges.shape != (len(self.counts) + 1,):
            raise ValueError(f"{len(self.counts)} counts, {len(self.edges)} edges")
        if self.selectivity.shape not in ((0,), (self.units,)):
            raise ValueError(f"selectivity {self.selectivity.shape}, {self.units} units")


@dataclass(frozen=True)
class Behaviour:
    """Every captured layer of a model over a data set.

    ``similarity`` float64 ``[layer, layer]`` is linear CKA (Kornblith et al. 2019,
    arXiv 1905.00414) over ``compared`` examples: 1 for layers that differ by a rotation and a
    scale.
    """

    model: str
    data: str
    examples: int
    compared: int
    layers: tuple[LayerBehaviour, ...]
    similarity: Floats
    provenance: Provenance

    def __post_init__(self) -> None:
        count = len(self.layers)
        if self.similarity.shape != (count, count):
            raise ValueError(f"similarity {self.similarity.shape}, {count} layers")


@dataclass(frozen=True)
class Probes:
    """How well a linear classifier tells ``classes`` from a layer's activations alone.

    ``accuracy`` and ``deviation`` float64 ``[layer]``: mean and standard deviation over ``folds``
    of stratified cross-validation, shares from 0 to 1 (linear probes: Alain and Bengio 2016,
    arXiv 1610.01644). ``majority`` is what always naming the most frequent class reaches, and
    ``own`` what the model itself reaches on the same examples.
    """

    model: str
    data: str
    layers: tuple[str, ...]
    classes: tuple[str, ...]
    examples: int
    folds: int
    accuracy: Floats
    deviation: Floats
    majority: float
    own: float
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (len(self.layers),)
        if self.accuracy.shape != shape or self.deviation.shape != shape:
            raise ValueError(f"accuracy {self.accuracy.shape}, {len(self.layers)} layers")


@dataclass(frozen=True)
class Insides:
    """What the layers answered to one example: ``values`` float32 ``[unit, position …]`` by layer,
    in the order in which they compute.
    """

    example: str
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    values: tuple[npt.NDArray[np.float32], ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.kinds) == len(self.values):
            raise ValueError(f"{len(self.names)} names, {len(self.values)} layers")


@dataclass(frozen=True)
class LayerTimes:
    """Time of each leaf layer in one forward of one typical example.

    ``seconds`` float64 ``[layer]`` are medians over ``rounds``, all calls of a layer together;
    ``forward`` is the median of whole forwards without clocks, so that their sum may be below or,
    by what the clocks cost, above it.
    """

    model: str
    layers: tuple[str, ...]
    seconds: Floats
    forward: float
    rounds: int
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.seconds.shape != (len(self.layers),):
            raise ValueError(f"seconds {self.seconds.shape}, {len(self.layers)} layers")


@dataclass(frozen=True)
class CrossSimilarity:
    """Linear CKA of the layers ``rows`` of ``model`` with the layers ``columns`` of ``other`` over
    the same ``examples``: float64 ``[row, column]``, 0 to 1, NaN for constant layers.
    """

    model: str
    other: str
    data: str
    examples: int
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    similarity: Floats
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.similarity.shape != (len(self.rows), len(self.columns)):
            raise ValueError(f"similarity {self.similarity.shape}")


@dataclass(frozen=True)
class WithoutUnits:
    """How often a classifier is right with all of its units (``before``) and without some of them
    (``after``), over ``examples``: shares from 0 to 1, ``classes_before`` and ``classes_after``
    float64 ``[class]``, NaN for a class that does not occur. ``changed`` is the share of examples
    that get another answer.
    """

    model: str
    data: str
    classes: tuple[str, ...]
    examples: int
    before: float
    after: float
    classes_before: Floats
    classes_after: Floats
    changed: float
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (len(self.classes),)
        if self.classes_before.shape != shape or self.classes_after.shape != shape:
            raise ValueError(f"{self.classes_before.shape} for {len(self.classes)} classes")


@dataclass(frozen=True)
class GradientFlow:
    """The gradient of the loss over ``examples`` of a data set, float64 ``[layer]`` each:
    ``outputs`` the mean norm at a layer's output, ``gradients`` the norm of the gradient of the
    mean loss by its own weights, ``weights`` the norm of these; 0 for a layer without weights.
    """

    model: str
    data: str
    layers: tuple[str, ...]
    examples: int
    outputs: Floats
    gradients: Floats
    weights: Floats
    provenance: Provenance

    def __post_init__(self) -> None:
        for each in (self.outputs, self.gradients, self.weights):
            if each.shape != (len(self.layers),):
                raise ValueError(f"{each.shape} for {len(self.layers)} layers")
