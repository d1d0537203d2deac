"""The ways to importance, declared: what pages and commands offer. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from core.attribution.registry import method
from core.errors import BadInput, UnknownName
from core.parameters import Parameter, Value, checked
from core.results.architecture import Architecture
from core.tasks import AxisKind, Columns, PixelGrid, Tokens

MEASURES: Final = ("log_probability", "accuracy")
REPEATS: Final = 5
ORDERS: Final = 10
REGIONS: Final = 49
CORRELATED: Final = "correlated"  # groups of columns that move together
_REGIONS = Parameter("regions", "int", REGIONS, "About how many regions a picture has.", 4, 400)
_LIMIT = Parameter("limit", "int", 200, "At most so many examples, evenly spread.", 2, 100_000)


def _repeats(count: int) -> Parameter:
    return Parameter("repeats", "int", count, "How often, each time with another seed.", 1, 100)


@dataclass(frozen=True)
class Way:
    """One way to importance over a data set. ``about`` says what a number means."""

    name: str
    title: str
    about: str
    reference: str
    parameters: tuple[Parameter, ...]


WAYS: Final = (
    Way(
        "attribution",
        "Attribution",
        "Mean size of what a feature contributes to the score; the farther from 0 the more the "
        "model goes by it.",
        "Lundberg et al. 2020, doi 10.1038/s42256-019-0138-9",
        (_repeats(3), _LIMIT, _REGIONS),
    ),
    Way(
        "permutation",
        "Permutation",
        "How much worse the model gets when the feature is shuffled among the examples; 0 or less: "
        "it does not need it.",
        "Breiman 2001, doi 10.1023/A:1010933404324",
        (
            Parameter(
                "measure",
                "choice",
                "log_probability",
                "What falls: the log-probability of the true class, or how often it is named.",
                choices=MEASURES,
            ),
            _repeats(REPEATS),
            _LIMIT,
            _REGIONS,
        ),
    ),
    Way(
        "ablation",
        "Ablation",
        "Mean size of the change of the score when the feature is replaced by the baseline.",
        "Zeiler & Fergus 2013, arXiv 1311.2901",
        (_LIMIT, _REGIONS),
    ),
    Way(
        "shapley",
        "Shapley",
        "Mean size of the feature's fair share of the score, over random orders in which features "
        "are made known.",
        "Štrumbelj & Kononenko 2010",
        (
            Parameter("n_samples", "int", ORDERS, "Random orders for each seed.", 1, 1_000),
            _repeats(3),
            _LIMIT,
            _REGIONS,
        ),
    ),
)
NAMES: Final = tuple(each.name for each in WAYS)
_USUAL: Mapping[AxisKind, str] = {
    "pixels": "input_x_gradient",
    "tokens": "integrated_gradients",
    "columns": "integrated_gradients",
}
_TOKENS_OF_A_TEXT = 12  # assumed where nobody has counted
_OVERHEAD = 0.004  # seconds for one example's explanation, besides its passes


def usual_method(axis: AxisKind, architecture: Architecture | None = None) -> str:
    """The attribution method that is taken where none is named: one that needs no gradient for a
    model that has none.
    """
    name = _USUAL[axis]
    fit = None if architecture is None else architecture.fits.get(name)
    return name if fit is None or fit.usable else "feature_ablation"


def usual_target(classes: tuple[str, ...], axis: AxisKind, positive: str = "") -> str:
    """What is explained where nobody says: of a table one class for all rows (``positive``, by
    default the first, of two the second), so that signs mean the same in all, and of two classes
    it against the other; else each example's own answer. As ``parse_targets`` takes it, by numbers.
    """
    if axis != "columns" or not classes:
        return "top"
    place = classes.index(positive) if positive in classes else int(len(classes) == 2)
    return f"#{place} vs #{1 - place}" if len(classes) == 2 else f"#{place}"


def usual_limit(way: str, axis: AxisKind) -> int:
    """How many examples are enough for a first look."""
    if axis == "columns":
        return 100 if way == "shapley" else 400
    if axis == "tokens":
        return {"shapley": 60, "attribution": 100}.get(way, 200)
    return 60 if way in ("shapley", "attribution") else 100


def ways(axis: AxisKind) -> tuple[Way, ...]:
    """The ways for inputs that are divided like this, with what is usual there."""

    def own(each: Way) -> tuple[Parameter, ...]:
        return tuple(
            replace(one, default=usual_limit(each.name, axis)) if one.name == "limit" else one
            for one in each.parameters
            if one.name != "regions" or axis == "pixels"
        )

    return tuple(replace(each, parameters=own(each)) for each in WAYS)


def way(name: str, axis: AxisKind) -> Way:
    """The way called ``name``. Raises ``UnknownName``."""
    known = ways(axis)
    for each in known:
        if each.name == name:
            return each
    raise UnknownName.of("way to importance", name, (each.name for each in known))


def settled(way: Way, given: Mapping[str, Any]) -> dict[str, Value]:
    """The checked parameters of a way. Raises ``UnknownName`` and ``BadParameter``."""
    return checked(way.parameters, dict(given), way.title)


def check_groups(
    groups: Mapping[str, tuple[str, ...]], columns: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Groups of columns with the columns as the model spells them.

    Raises ``UnknownName`` for a column that there is not, ``BadInput`` for a column in two groups
    and for an empty group.
    """
    spelt = {name.strip().lower(): name for name in columns}
    owner: dict[str, str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for group, names in groups.items():
        if not names:
            raise BadInput(f"The group '{group}' is empty.", "Write --group NAME=column,column.")
        for name in names:
            if name.strip().lower() not in spelt:
                raise UnknownName.of("column", name, columns)
            column = spelt[name.strip().lower()]
            if column in owner:
                raise BadInput(
                    f"The column '{column}' is in two groups, '{owner[column]}' and '{group}'.",
                    "Put it into one of them.",
                )
            owner[column] = group
        found[group] = tuple(spelt[name.strip().lower()] for name in names)
    return found


def seconds(
    way: str,
    settings: Mapping[str, Value],
    architecture: Architecture,
    axis: AxisKind,
    features: int,
    count: int,
) -> float:
    """An estimate of the time that importance takes over ``count`` examples of so many features."""
    repeats = int(settings.get("repeats", 1))
    features = _TOKENS_OF_A_TEXT if axis == "tokens" else features
    if way == "attribution":
        each = method(usual_method(axis, architecture), axis)
        cost = each.cost(checked(each.parameters, {}, each.title), _axis(axis, features))
        times = repeats if each.stochastic else 1
        return times * count * (cost.seconds(architecture) + _OVERHEAD)
    orders = int(settings.get("n_samples", 1))
    passes = (features * orders + 1) * repeats * count
    beside = count * repeats * _OVERHEAD if axis == "tokens" and way != "permutation" else 0.0
    return passes * architecture.pass_seconds + beside


def _axis(kind: AxisKind, features: int) -> PixelGrid | Tokens | Columns:
    if kind == "pixels":
        return PixelGrid(1, 1, 1)
    if kind == "columns":
        return Columns(("",) * features, ("",) * features)
    count = range(features)
    places = tuple(count)
    return Tokens(
        "a" * features, ("a",) * features, tuple((i, i + 1) for i in count), places,
        (0,) * features, (False,) * features, (0,) * features,
    )  # fmt: skip
