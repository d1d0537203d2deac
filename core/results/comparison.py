"""Two models over the same examples: where they agree, which is better, and what differs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.provenance import Provenance
from core.results.attention import AttentionLayer
from core.results.attribution import Attribution
from core.results.evaluation import Measure, Written

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedMeasure:
    """One measure of both models over the same examples. ``difference`` float64
    ``[value, low, high]`` is the first model's less the second's with its 95 % interval, of the
    same draws for both.
    """

    first: Measure
    second: Measure
    difference: Floats

    def __post_init__(self) -> None:
        if self.difference.shape != (3,) or self.first.name != self.second.name:
            raise ValueError(f"{self.first.name} and {self.second.name}: {self.difference.shape}")


@dataclass(frozen=True)
class PairedTest:
    """How many examples both, only the first, only the second or neither answered rightly, and the
    ``p`` of McNemar's exact test (1947): how likely so uneven a split of those that only one has
    right is, were both models equally accurate.
    """

    both: int
    first: int
    second: int
    neither: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two classifiers, ``model`` and ``other``, over ``examples`` of ``data``, of which
    ``labelled`` have a true class that both know.

    ``classes`` are those of the first model and then those that only the second has; ``alone`` are
    the classes that only the first and only the second has. ``agreement`` is ``[share, low, high]``
    with Wilson's 95 % interval, ``kappa`` Cohen's, ``[value, low, high]`` by bootstrap, NaN where
    both always say the same one class. ``answers`` int64 ``[said by the first, by the second]``.
    ``measures`` and ``test`` are of the labelled examples; none without such. ``support`` int64
    ``[class]``; ``recall`` and ``f1`` float64 ``[class, model]`` and ``f1_difference``
    ``[class, (value, low, high)]``, NaN for classes that were neither there nor said.

    ``rows`` int64 are the places in the data of at most 10,000 examples, those first on which the
    probabilities differ most: ``divergence`` float64 ``[row]`` is the Jensen-Shannon divergence in
    bits, 0 for the same and 1 for nothing in common (Lin 1991). ``said`` int64 and ``chances``
    float64 ``[row, model]`` are the answers and their probabilities, ``labels`` int64 ``[row]`` the
    true class, -1 unknown. ``apart`` is the mean divergence over all.
    """

    model: str
    other: str
    data: str
    classes: tuple[str, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    examples: int
    labelled: int
    agreement: Floats
    kappa: Floats
    answers: npt.NDArray[np.int64]
    measures: tuple[PairedMeasure, ...]
    test: PairedTest | None
    support: npt.NDArray[np.int64]
    recall: Floats
    f1: Floats
    f1_difference: Floats
    apart: float
    rows: npt.NDArray[np.int64]
    divergence: Floats
    said: npt.NDArray[np.int64]
    chances: Floats
    labels: npt.NDArray[np.int64]
    notes: tuple[str, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        count = len(self.classes)
        if self.answers.shape != (count, count) or self.f1.shape != (count, 2):
            raise ValueError(f"answers {self.answers.shape}, f1 {self.f1.shape}, {count} classes")
        if self.said.shape != (len(self.rows), 2) or self.divergence.shape != self.rows.shape:
            raise ValueError(f"{len(self.rows)} rows, said {self.said.shape}")


@dataclass(frozen=True)
class AttributionContrast:
    """One example explained in two models by the same method for the same class: ``first`` and
    ``second``, on the same axis, and ``difference``, the first's values less the second's; None
    where the two axes cannot be laid over each other, for the reason in ``why``.

    ``spearman`` is the rank correlation of the values and ``overlap`` the share of the tenth of
    inputs with the largest magnitude that is the same; NaN without a difference. ``level`` says
    what was compared: ``values``, pixels summed over ``channels``, or ``word``.
    """

    first: Attribution
    second: Attribution
    difference: Attribution | None
    spearman: float
    overlap: float
    level: str = "values"
    why: str = ""


@dataclass(frozen=True)
class AttentionContrast:
    """Attention of two models on one example, head by head: ``distance`` float64 ``[layer][head]``
    is half the sum of ``|first - second|`` over keys, the mean over queries (total variation): 0
    where both look at the same, 1 where at nothing in common.
    """

    model: str
    other: str
    example: str
    layers: tuple[AttentionLayer, ...]
    distance: tuple[Floats, ...]

    def __post_init__(self) -> None:
        for layer, values in zip(self.layers, self.distance, strict=True):
            if values.shape != (layer.heads,):
                raise ValueError(f"{layer.name} has {layer.heads} heads, not {values.shape}")


@dataclass(frozen=True)
class WrittenContrast:
    """Two models that write, over the same texts: ``rows`` int64, those first where ``loss``
    float64 ``[row, model]``, in nats per token, differs most; what was ``expected``, and what each
    model ``said``, empty for models that were not asked to write. ``difference`` float64
    ``[value, low, high]`` is the mean of the first's loss less the second's over texts with its
    95 % interval by bootstrap, ``p`` that of Wilcoxon's signed-rank test.
    """

    first: Written
    second: Written
    difference: Floats
    p: float
    rows: npt.NDArray[np.int64]
    loss: Floats
    expected: tuple[str, ...]
    said: tuple[tuple[str, ...], tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.loss.shape != (len(self.rows), 2) or self.difference.shape != (3,):
            raise ValueError(f"{len(self.rows)} rows, losses {self.loss.shape}")
