"""A table with feature columns and a label column as numbers for a network.

What is learned from the data to prepare them (mean, standard deviation, categories) is learned from
the training part alone, and is a value that a model's card can hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from core.data.cells import MISSING_TEXTS, as_numbers, texts
from core.data.columns import MAX_ROWS, need, read_columns
from core.data.splits import HELD_OUT, check_labels, counted, split, with_validation
from core.data.tablefile import MAX_SKIPPED
from core.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

Values = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

LABEL_NAMES: Final = ("label", "class", "target", "category", "y")
MAX_CATEGORIES: Final = 50
OTHER: Final = "(other)"
MISSING: Final = "(missing)"
_LARGEST = float(np.finfo(np.float32).max)
_IDENTIFIERS: Final = ("id", "index", "row", "unnamed: 0", "column 1")


@dataclass(frozen=True)
class Feature:
    """How one column of the table becomes inputs of the network.

    Numbers (no ``categories``): ``(value - mean) / std``, 0 where missing; with ``indicator`` a
    second input is 1 where it is missing. Categories: one input each, 1 where it is the value; what
    training never saw is ``(other)`` where there is one, else all zeros. ``frequencies`` are the
    shares of the categories in the training rows, where they are known.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    indicator: bool = False
    frequencies: tuple[float, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs."""
        if self.categories:
            return tuple(f"{self.name} = {category}" for category in self.categories)
        return (self.name, f"{self.name} = {MISSING}") if self.indicator else (self.name,)

    def encode(self, column: pd.Series[Any], decimal_comma: bool = False) -> Values:
        """Inputs float32 ``[row, input]`` of the values of its column."""
        if not self.categories:
            values, missing = _numbers(column, decimal_comma)
            scaled = np.where(missing, 0.0, (values - self.mean) / self.std)
            planes = [scaled, missing] if self.indicator else [scaled]
            return np.stack(planes, axis=1).astype(np.float32)
        known = {category: position for position, category in enumerate(self.categories)}
        rest = known.get(OTHER, len(known))
        rows = [known.get(text, rest) for text in _categories(column)]
        return np.eye(len(known) + 1, len(known), dtype=np.float32)[rows]


def encode(features: Sequence[Feature], frame: pd.DataFrame, decimal_comma: bool = False) -> Values:
    """Inputs float32 ``[row, input]`` of a table, those of each feature side by side.

    Raises ``BadInput`` when a column is missing.
    """
    names = [need(list(frame.columns), feature.name, "The table") for feature in features]
    planes = [
        feature.encode(frame[name], decimal_comma)
        for feature, name in zip(features, names, strict=True)
    ]
    return np.concatenate(planes, axis=1)


class TableSplit:
    """One part of a table; see ``core.training.trainable.Split``.

    A batch is ``(values, labels)``: float32 ``[example, input]`` and int64 ``[example]``.
    """

    def __init__(self, values: Values, labels: Labels) -> None:
        self.values = values
        self.labels = labels

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.labels)

    def __getitems__(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The batch at these positions."""
        import torch

        chosen = np.asarray(index, np.int64)
        return torch.from_numpy(self.values[chosen]), torch.from_numpy(self.labels[chosen])

    def fingerprint(self) -> str:
        """SHA-256 over shape, values and labels."""
        digest = hashlib.sha256(repr(self.values.shape).encode())
        digest.update(np.ascontiguousarray(self.values).tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Table:
    """What ``read_table`` found: ``splits`` by name, the ``features`` of which the inputs are made,
    ``skipped`` rows with a reason, ``notes`` on what was assumed.
    """

    splits: Mapping[str, TableSplit]
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    label: str
    skipped: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the network's inputs in their order."""
        return tuple(name for feature in self.features for name in feature.inputs)

    def preprocessing(self) -> dict[str, Any]:
        """What a card says about the inputs; ``features_from`` reads it back."""
        return {"features": [asdict(feature) for feature in self.features], "label": self.label}


def features_from(preprocessing: Mapping[str, Any]) -> tuple[Feature, ...]:
    """The features in what a card says about the inputs."""
    return tuple(
        Feature(
            **{
                **each,
                "categories": tuple(each["categories"]),
                "frequencies": tuple(each.get("frequencies", ())),
            }
        )
        for each in preprocessing["features"]
    )


def read_table(
    path: str | Path,
    *,
    label: str = "label",
    features: Sequence[str] | None = None,
    seed: int = 0,
    held_out: Mapping[str, float] = HELD_OUT,
    max_categories: int = MAX_CATEGORIES,
    max_rows: int = MAX_ROWS,
    max_skipped: float = MAX_SKIPPED,
) -> Table:
    """The table at ``path`` (CSV, TSV, JSON Lines or Parquet; or a folder with one file per part).

    ``features`` names columns; by default all but the label and those that identify a row. Rows
    without a label are skipped. Parts are those of a column ``split``, or drawn by ``seed``.

    Raises ``BadInput`` as ``read_columns`` does, and for a missing column (it says which there
    are), a single class, a label that training does not have, a label that is no class, and when no
    feature is left.
    """
    where = f"'{Path(path).name}'"
    picked: dict[str, str] = {}

    def choose(names: tuple[str, ...]) -> list[str]:
        picked["label"] = need(names, label, where, LABEL_NAMES if label == "label" else ())
        wanted = [name for name in names if name != picked["label"]]
        if features is not None:
            wanted = [need(names, name, where) for name in features]
        return [*dict.fromkeys([*wanted, picked["label"]])]

    columns = read_columns(path, choose, max_rows=max_rows, max_skipped=max_skipped)
    label = picked["label"]
    spelt = np.asarray(texts(columns.frame[label]), dtype=object)
    present = np.asarray([bool(text.strip()) for text in spelt])
    notes = list(columns.notes)
    if not present.all():
        notes.append(f"{counted(int((~present).sum()), 'row')} without a label skipped")
    if not present.any():
        raise BadInput(f"The column '{label}' of {where} is empty.", "Choose another label column.")
    check_classes(spelt[present].tolist(), f"The column '{label}' of {where}")
    if columns.parts is None:
        kept = np.flatnonzero(present)
        check_labels({"train": spelt[kept]}, where)
        drawn = split(spelt[kept].astype(str), len(kept), seed, held_out)
        parts = {name: kept[positions] for name, positions in drawn.items()}
    else:
        given = {name: rows[present[rows]] for name, rows in columns.parts.items()}
        check_labels({name: spelt[rows] for name, rows in given.items()}, where)
        parts = with_validation(given, spelt.astype(str), seed)
    classes = check_labels({name: spelt[rows] for name, rows in parts.items()}, where)
    number = {name: position for position, name in enumerate(classes)}
    comma = columns.decimal_comma
    inputs = typed(columns.frame.drop(columns=label))
    learned, left_out = _learned(inputs.iloc[parts["train"]], comma, max_categories, features)
    notes += left_out
    if not learned:
        raise BadInput(
            f"{where} has no column to learn from besides '{label}'.",
            "Columns of numbers, or of texts with few different values, are needed.",
        )
    splits = {
        name: TableSplit(
            encode(learned, inputs.iloc[rows], comma),
            np.asarray([number[text] for text in spelt[rows]], np.int64),
        )
        for name, rows in parts.items()
    }
    return Table(splits, classes, learned, label, columns.skipped, tuple(notes))


def check_classes(labels: Sequence[str], where: str) -> None:
    """Raise ``BadInput`` when nearly every row has a label of its own."""
    classes = len(set(labels))
    if classes > 20 and classes > len(labels) / 3:
        raise BadInput(
            f"{where} has {classes:,} different values in {len(labels):,} rows: these are no "
            "classes.",
            "Choose a column in which few values occur again and again.",
        )


def _learned(
    train: pd.DataFrame, comma: bool, max_categories: int, asked: Sequence[str] | None
) -> tuple[tuple[Feature, ...], list[str]]:
    """Features with what the training rows say about them, and notes on columns left out."""
    features: list[Feature] = []
    notes: list[str] = []
    for name in train.columns:
        column = train[name]
        feature: Feature | str = _number_feature(name, column, comma, notes)
        if feature == "text":
            feature = _category_feature(name, column, max_categories)
        elif asked is None and name.lower() in _IDENTIFIERS and _counts_rows(column):
            feature = "it only numbers the rows"
        if isinstance(feature, str):
            notes.append(f"column '{name}' left out: {feature}")
        else:
            features.append(feature)
    return tuple(features), notes


def _number_feature(
    name: str, column: pd.Series[Any], comma: bool, notes: list[str]
) -> Feature | str:
    values, missing = _numbers(column, comma)
    if missing.all():
        empty = all(text == MISSING for text in _categories(column))
        return "it is empty" if empty else "text"
    strange = missing.copy()
    if missing.any():
        strange[missing] = [text != MISSING for text in _categories(column[missing])]
    if strange.sum() > 0.05 * (~missing).sum():
        return "text"
    if strange.any():
        first = texts(column)[int(np.argmax(strange))]
        notes.append(
            f"column '{name}': {counted(int(strange.sum()), 'value')} that no finite number is "
            f"taken as missing (the first: '{first[:40]}')"
        )
    known = values[~missing]
    mean, std = float(known.mean()), float(known.std())
    if not std > 1e-12 * max(1.0, abs(mean)):
        if not missing.any():
            return "all its values are the same"
        std = 1.0
    return Feature(name, (), mean, std, bool(missing.any()))


def _category_feature(name: str, column: pd.Series[Any], most: int) -> Feature | str:
    unique, counts = np.unique(np.asarray(_categories(column)), return_counts=True)
    if len(unique) > most and len(unique) > len(column) / 2:
        return "nearly every row has a text of its own"
    if len(unique) < 2:
        return "all its values are the same"
    names = [str(text) for text in unique]
    share = dict(zip(names, (counts / len(column)).tolist(), strict=True))
    if len(names) > most:
        frequent = np.argsort(-counts, kind="stable")[: most - 1]
        names = [*sorted(names[i] for i in frequent), OTHER]
        share[OTHER] = 1.0 - sum(share[kept] for kept in names[:-1])
    return Feature(name, tuple(names), frequencies=tuple(share[kept] for kept in names))


def _counts_rows(column: pd.Series[Any]) -> bool:
    values, missing = _numbers(column, False)
    return not missing.any() and len(np.unique(values)) == len(values)


def numbers(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """The values of a column in its own units, float64 ``[row]``, NaN where one is missing."""
    values, missing = _numbers(column, False)
    return np.where(missing, np.nan, values)


def _numbers(
    column: pd.Series[Any], comma: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The values as float64 (0 where missing) and where they are missing or not finite."""
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    if not numeric:
        column = column.astype("str").str.strip()
        if comma:
            column = column.str.replace(",", ".", regex=False)
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    missing = ~(np.abs(values) <= _LARGEST)
    return np.where(missing, 0.0, values), missing


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with columns of text that holds only numbers and missing values as float64."""
    import pandas as pd
    import pyarrow as pa

    typed = {}
    for name in frame.columns:
        typed[name] = frame[name]
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            values = as_numbers(pa.array(frame[name].astype("str"), pa.string()))
            if values is not None:
                typed[name] = pd.Series(values, index=frame.index)
    return pd.DataFrame(typed, index=frame.index)


def _categories(column: pd.Series[Any]) -> list[str]:
    stripped = (text.strip() for text in texts(column))
    return [MISSING if text.lower() in MISSING_TEXTS else text for text in stripped]
