"""The adapter of tables: rows in, one group of numbers per column and their baselines out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.data.cells import MISSING_TEXTS
from core.data.table import MISSING, Feature, encode, features_from
from core.errors import BadInput, BadModel, BadParameter, shortened
from core.models.adapter import Batch, Living
from core.models.card import ModelCard
from core.tasks import AxisKind, Columns, Example

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ("mean", "zero", "gaussian")
_WHOLE = 2**53
_LONGEST = 80  # characters of a value that is shown
_DIGITS = 8


class TabularAdapter:
    """Rows as features ``[example, column, input]``: the inputs that a column becomes side by side,
    zeros behind those of columns that have fewer. The network gets them in one row,
    ``[example, input]``.
    """

    axis: AxisKind = "columns"
    unit: str = "logits"
    depth = 2
    baselines: tuple[str, ...] = BASELINES

    def __init__(self, classes: tuple[str, ...], columns: tuple[Feature, ...]) -> None:
        self.classes = classes
        self.columns = columns
        self.independent = False
        widths = [len(each.inputs) for each in columns]
        self._width = max(widths)
        self._places = np.array(
            [
                column * self._width + place
                for column, width in enumerate(widths)
                for place in range(width)
            ],
            np.int64,
        )

    def encode(self, examples: Sequence[Example], model: Living) -> Batch:
        """Read rows, each a JSON object of values by column.

        Raises ``BadInput`` for anything else, and for a row without a column that the model reads.
        """
        rows = [row_of(example, self.columns) for example in examples]
        inputs = torch.from_numpy(encode(self.columns, _frame(rows, self.columns)))
        inputs = inputs.to(model.device)
        unknown = {
            note: None
            for row in rows
            for each in self.columns
            if (note := _unknown(each, row[each.name]))
        }
        return Batch(
            features=self.laid_out(inputs),
            context=(),
            axes=tuple(
                Columns(
                    tuple(each.name for each in self.columns),
                    tuple(shown(row[each.name], not each.categories) for each in self.columns),
                )
                for row in rows
            ),
            pictures=(None,) * len(rows),
            names=tuple(example.name for example in examples),
            outputs=(self.classes,) * len(rows),
            notes=tuple(unknown),
        )

    def frame(self, examples: Sequence[Example]) -> pd.DataFrame:
        """Rows as a table of the columns that the model reads: numbers, or texts.

        Raises ``BadInput`` as ``encode`` does.
        """
        return _frame([row_of(example, self.columns) for example in examples], self.columns)

    def laid_out(self, inputs: Tensor) -> Tensor:
        """Inputs ``[example, input]`` as features ``[example, column, input]``."""
        shape = (len(inputs), len(self.columns) * self._width)
        features = inputs.new_zeros(shape)
        features[:, torch.from_numpy(self._places).to(inputs.device)] = inputs
        return features.reshape(len(inputs), len(self.columns), self._width)

    def batches(
        self, examples: Sequence[Example], model: Living
    ) -> list[tuple[tuple[int, ...], Batch]]:
        """All at once: every row has the same columns."""
        return [(tuple(range(len(examples))), self.encode(examples, model))]

    def typical(self, model: Living) -> Batch:
        """A row drawn from the spread of the training rows."""
        features = self._drawn(1, seed=0).to(model.device)
        names = tuple(each.name for each in self.columns)
        return Batch(
            features=features,
            context=(),
            axes=(Columns(names, ("",) * len(names)),),
            pictures=(None,),
            names=("typical",),
            outputs=(self.classes,),
        )

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """One forward: ``[example, class]``."""
        places = torch.from_numpy(self._places).to(features.device)
        output: Tensor = module(features.flatten(1)[:, places])
        return output

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes."""
        return logits.softmax(dim=1)

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        """A row that stands for 'nothing known', of the shape of the features.

        ``mean`` is the mean training row: numbers at their mean, categories at their shares
        (equal ones where they are not known). ``zero`` has numbers of value 0 and no category.
        ``gaussian`` draws each column on its own: numbers normal with the training rows' mean and
        standard deviation, categories by their shares.

        Raises ``BadParameter`` for another kind.
        """
        if kind == "mean":
            rows = self.laid_out(torch.tensor(self._means(), dtype=torch.float32)[None])
        elif kind == "zero":
            values = [
                value
                for each in self.columns
                for value in (
                    [0.0] * len(each.inputs)
                    if each.categories
                    else [-each.mean / each.std, *[0.0] * each.indicator]
                )
            ]
            rows = self.laid_out(torch.tensor(values, dtype=torch.float32)[None])
        elif kind == "gaussian":
            return self._drawn(len(batch), seed).to(batch.features)
        else:
            raise BadParameter(
                f"'{kind}' is not a baseline of tables, expected one of {', '.join(BASELINES)}.",
                "Choose one of them.",
            )
        return rows.to(batch.features).expand_as(batch.features).clone()

    def segments(self, batch: Batch, settings: Mapping[str, Any]) -> Tensor:
        """Every column is one: int64 ids from 0, ``[example, column, 1]``."""
        ids = torch.arange(len(self.columns), device=batch.features.device)
        return ids[None, :, None].expand(len(batch), -1, 1)

    def fold(self, values: Tensor, norm: bool = False) -> npt.NDArray[np.float32]:
        """``[column, input]`` to ``[column]``."""
        folded = torch.linalg.vector_norm(values, dim=-1) if norm else values.sum(dim=-1)
        array: npt.NDArray[np.float32] = folded.detach().float().cpu().numpy()
        return array

    def _means(self) -> list[float]:
        means: list[float] = []
        for each in self.columns:
            count = len(each.categories)
            if count:
                means += each.frequencies or [1 / count] * count
            else:
                means += [0.0, *[0.0] * each.indicator]
        return means

    def _drawn(self, count: int, seed: int) -> Tensor:
        generator = np.random.default_rng(seed)
        planes = []
        for each in self.columns:
            if each.categories:
                size = len(each.categories)
                shares = np.array(each.frequencies or [1 / size] * size)
                chosen = generator.choice(size, count, p=shares / shares.sum())
                planes.append(np.eye(size, dtype=np.float32)[chosen])
            else:
                drawn = np.zeros((count, len(each.inputs)), np.float32)
                drawn[:, 0] = generator.standard_normal(count)
                planes.append(drawn)
        return self.laid_out(torch.from_numpy(np.concatenate(planes, axis=1)))


def classification(about: ModelCard, module: nn.Module) -> TabularAdapter:
    """The adapter of a card.

    Raises ``BadModel`` when it does not say how columns become inputs.
    """
    try:
        columns = features_from(about.raw["preprocessing"])
    except (KeyError, TypeError) as error:
        raise BadModel(
            f"The card of '{about.name}' does not say which columns it reads.",
            "Expected preprocessing.features, as training writes it.",
        ) from error
    if not columns:
        raise BadModel(f"The card of '{about.name}' names no column.", "Train it again.")
    return TabularAdapter(about.classes, columns)


def row_of(example: Example, columns: Sequence[Feature]) -> dict[str, Any]:
    """The values of a row by the names that the model has for its columns."""
    try:
        found = json.loads(example.data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(
            f"'{example.name}' is no row of a table.",
            "Expected a JSON object with a value for each column, or a table with such columns.",
        )
    by_name = {str(name).strip().lower(): value for name, value in reversed(found.items())}
    lost = [each.name for each in columns if each.name.strip().lower() not in by_name]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        has = ", ".join(str(name) for name in list(found)[:6]) + (" …" if len(found) > 6 else "")
        raise BadInput(
            f"'{example.name}' has no column {', '.join(map(repr, lost[:3]))}{more}; it has "
            f"{shortened(has, 200) or 'none'}.",
            "Give a row with every column that the model reads; a value may be left empty.",
        )
    return {each.name: _plain(by_name[each.name.strip().lower()]) for each in columns}


def _plain(value: object) -> object:
    """A value as a cell: lists and objects are their JSON, truth values their lower-case name."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)  # a category called 3 is meant, as in a table
    return json.dumps(value) if isinstance(value, list | dict) else value


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[Feature]) -> pd.DataFrame:
    import pandas as pd

    def series(each: Feature) -> pd.Series[Any]:
        values = [row[each.name] for row in rows]
        if not each.categories and all(isinstance(value, float | int) for value in values):
            return pd.Series(np.array(values, np.float64))
        return pd.Series(["" if value is None else str(value) for value in values], dtype="str")

    return pd.DataFrame({each.name: series(each) for each in columns})


def _unknown(each: Feature, value: object) -> str:
    """What to say of a value that the model cannot know."""
    text = shown(value)
    if text == MISSING:
        return ""
    if each.categories:
        known = text in each.categories
        return "" if known else f"'{each.name}' has a value unseen in training: {text}."
    try:
        return "" if np.isfinite(float(text)) else f"'{each.name}' is no finite number: {text}."
    except ValueError:
        return f"'{each.name}' is no number and taken as missing: {text}."


def shown(value: object, number: bool = False) -> str:
    """A value as people write it; where a ``number`` is meant, text that is one in 6 digits."""
    if value is None or value != value or str(value).strip().lower() in MISSING_TEXTS:
        return MISSING
    if number and isinstance(value, str) and len(value.strip()) > _DIGITS:
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return shortened(str(value).strip(), _LONGEST)
