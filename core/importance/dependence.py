"""How the answer moves with the value of one column, and of two: partial dependence, ICE, H."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from core.data.table import MISSING, Feature
from core.errors import BadParameter, UnknownName
from core.importance.judged import Judge, Judged, score
from core.importance.sample import Sample, levels, sampled, table
from core.importance.ways import usual_target
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.parameters import Parameter, checked
from core.progress import Meter
from core.provenance import Provenance
from core.results.importance import Dependence, Interaction
from core.tasks import Example, Target

Floats = npt.NDArray[np.float64]

SCALES = ("probability", "score")
ROWS = Parameter("limit", "int", 200, "At most so many rows, evenly spread.", 2, 10_000)
PAIRS = Parameter("limit", "int", 60, "At most so many rows; passes grow as its square.", 2, 1_000)
_POINTS, _FEW = 24, 12  # values of the grid of one column, and of each of two
_TAIL = 0.02  # of the rows at either end of a grid that are passed over
_RESAMPLES = 300


def partial_dependence(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Dependence:
    """The score of every row of ``data`` with ``column`` set to each of at most 24 of its
    quantiles (from the 2nd to the 98th percentile), or to each of its categories. Friedman 2001,
    doi 10.1214/aos/1013203451; each row alone: Goldstein et al. 2013, arXiv 1309.6392.

    ``parameters``: ``data``, ``column``; ``target`` (``usual_target`` if left out); ``scale``, one
    of ``SCALES``: the probability of the target's first class, or its logit; ``limit``.

    Raises ``UnknownName`` for a column or target that there is not, ``NotValid`` for what reads no
    table.
    """
    started = time.perf_counter()
    asked = _Asked(model, parameters, ROWS, seed, meter)
    place = asked.column(str(parameters.get("column", "")))
    feature = asked.columns[place]
    grid = _grid(asked.values[:, place], feature, _POINTS)
    meter.expect(len(grid) * len(asked.sample), "Partial dependence")
    planes = asked.planes(place, grid)
    curves = np.stack([asked.scored({place: plane}) for plane in planes], axis=1)
    return Dependence(
        model.ref.name,
        asked.sample.data.name,
        feature.name,
        feature.categories,
        asked.title,
        asked.unit,
        grid,
        curves,
        asked.values[:, place],
        asked.provenance("partial_dependence", {"column": feature.name}, started),
    )


def interaction(
    model: LoadedModel,
    inputs: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    meter: Meter,
) -> Interaction:
    """Two ``columns`` together: their joint partial dependence on a grid, what of it is not the sum
    of the two alone, and Friedman's H, at the rows of the data themselves. Friedman & Popescu 2008,
    doi 10.1214/07-AOAS148. ``parameters`` else as those of ``partial_dependence``.

    Raises ``BadParameter`` for one column twice, and as ``partial_dependence`` does.
    """
    started = time.perf_counter()
    asked = _Asked(model, parameters, PAIRS, seed, meter)
    names = [str(each) for each in parameters.get("columns", ())]
    if len(names) != 2 or len({name.strip().lower() for name in names}) != 2:
        raise BadParameter("An interaction is of two different columns.", "Name two.")
    first, second = (asked.column(name) for name in names)
    one, other = asked.columns[first], asked.columns[second]
    features, count = asked.batch.features, len(asked.sample)
    grids = (
        _grid(asked.values[:, first], one, _FEW),
        _grid(asked.values[:, second], other, _FEW),
    )
    cells = len(grids[0]) * len(grids[1])
    meter.expect((cells + 3 * count) * count, "Interaction")
    both = np.array(
        [
            [asked.scored({first: a, second: b}).mean() for b in asked.planes(second, grids[1])]
            for a in asked.planes(first, grids[0])
        ]
    )
    # On the data's own rows: the two together, and each alone, all about their means.
    rows = range(count)
    together = _centred(
        [asked.scored({first: features[r, first], second: features[r, second]}) for r in rows]
    )
    alone = [
        _centred([asked.scored({place: features[r, place]}) for r in rows])
        for place in (first, second)
    ]
    rest, whole = (together - alone[0] - alone[1]) ** 2, together**2
    draws = np.random.default_rng(seed).integers(count, size=(_RESAMPLES, count))
    spread = [_ratio(rest[draw].sum(), whole[draw].sum()) for draw in draws]
    low, high = np.percentile(spread, (2.5, 97.5))
    excess = both - both.mean(axis=1, keepdims=True) - both.mean(axis=0, keepdims=True)
    return Interaction(
        model.ref.name,
        asked.sample.data.name,
        (one.name, other.name),
        (one.categories, other.categories),
        asked.title,
        asked.unit,
        grids,
        both,
        excess + both.mean(),
        _ratio(float(rest.sum()), float(whole.sum())),
        float(low),
        float(high),
        asked.provenance("interaction", {"columns": [one.name, other.name]}, started),
    )


class _Asked:
    """What both verbs need: the rows, their columns, and the score of all rows with some set."""

    def __init__(
        self,
        model: LoadedModel,
        parameters: Mapping[str, Any],
        limit: Parameter,
        seed: int,
        meter: Meter,
    ) -> None:
        given = {"limit": parameters["limit"]} if "limit" in parameters else {}
        rows = int(checked((limit,), given, "partial dependence")["limit"])
        self.model, self.seed, self.meter = model, seed, meter
        self.sample: Sample = sampled(model, parameters, rows, seed, meter)
        self.batch: Batch
        self.columns: tuple[Feature, ...]
        self.batch, self.columns = table(self.sample, model)
        self.values = levels(model, self.sample.examples, self.columns)
        spec = str(parameters.get("target", "")) or usual_target(
            model.adapter.classes, model.adapter.axis
        )
        if spec.strip().lower() == "top":
            spec = model.adapter.classes[0]
        self.target: Target = self.sample.targets(spec, model.adapter.classes)[0]
        scale = str(parameters.get("scale", SCALES[0]))
        if scale not in SCALES:
            raise UnknownName.of("scale", scale, SCALES)
        self.scale = scale
        self.unit = "probability" if scale == "probability" else str(model.adapter.unit)
        self.title = self.target.label if scale == "probability" else self.target.title

    def column(self, name: str) -> int:
        """The place of a column. Raises ``UnknownName``."""
        names = [each.name for each in self.columns]
        lowered = [each.strip().lower() for each in names]
        if name.strip().lower() not in lowered:
            raise UnknownName.of("column", name, names)
        return lowered.index(name.strip().lower())

    def planes(self, place: int, grid: Floats) -> list[Tensor]:
        """The inputs ``[input]`` of a column at each value of its grid: those of the first row with
        this value.
        """
        feature = self.columns[place]
        row = json.loads(self.sample.examples[0].data)
        own = next(name for name in row if name.strip().lower() == feature.name.strip().lower())
        said: list[Any] = [
            feature.categories[int(each)] if feature.categories else float(each) for each in grid
        ]
        rows = [
            Example("row", json.dumps(row | {own: None if value == MISSING else value}).encode())
            for value in said
        ]
        return list(self.model.adapter.encode(rows, self.model).features[:, place])

    def scored(self, planes: Mapping[int, Tensor]) -> Floats:
        """The score of every row with the inputs ``[input]`` of some columns set, ``[row]``."""
        features = self.batch.features.clone()
        for place, plane in planes.items():
            features[:, place] = plane
        judge = self._judge()
        with self.model.exclusive(self.seed) as module:
            found = Judged(module, self.model.adapter, self.meter, self.sample.batch_size, judge)(
                features
            )
        return np.asarray(found.cpu().numpy(), np.float64)

    def _judge(self) -> Judge:
        if self.scale == "score":
            return score([self.target] * len(self.sample), self.model.device)
        adapter, index = self.model.adapter, self.target.index
        return lambda logits, part: adapter.probabilities(logits)[:, index]

    def provenance(self, verb: str, more: Mapping[str, Any], started: float) -> Provenance:
        """Where the result comes from."""
        model = self.model
        return Provenance(
            model.ref.name,
            model.ref.fingerprint,
            (self.sample.data.fingerprint,),
            verb,
            {**more, "target": self.title, "scale": self.scale, "rows": len(self.sample)},
            self.seed,
            str(model.device),
            time.perf_counter() - started,
        )


def _grid(values: Floats, feature: Feature, points: int) -> Floats:
    """The values that a column is set to: categories, or quantiles of the known numbers."""
    if feature.categories:
        return np.arange(len(feature.categories), dtype=np.float64)
    known = values[np.isfinite(values)]
    if not len(known):
        return np.array([feature.mean])
    unique = np.unique(known)
    if len(unique) <= points:
        return unique
    found: Floats = np.unique(np.quantile(known, np.linspace(_TAIL, 1 - _TAIL, points)))
    return found


def _centred(scores: Sequence[Floats]) -> Floats:
    """Partial dependences at some points, about their mean: ``[point]``."""
    means = np.array([each.mean() for each in scores])
    centred: Floats = means - means.mean()
    return centred


def _ratio(rest: float, whole: float) -> float:
    """H, from 0 to 1; 0 where the two columns change nothing at all."""
    return float(np.sqrt(min(1.0, rest / whole))) if whole > 1e-12 else 0.0
