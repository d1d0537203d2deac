"""The adapter of models that read raw columns themselves: values as they are, texts and all.

A column is what is switched between the row's value and the baseline's; nothing lies between two
values, so only methods that ask the model again and again fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.data.table import MISSING, Feature
from core.errors import BadModel, BadParameter
from core.models.adapter import Batch, Living
from core.models.card import ModelCard
from core.models.estimator import of_texts
from core.models.rowscorer import MISSING as GONE
from core.models.rowscorer import NUMBER, RowScorer, Words
from core.models.tabular import BASELINES, TabularAdapter, row_of, shown
from core.tasks import Columns, Example

_PLACES = 2  # numbers per column: the value and what it is


class RowAdapter(TabularAdapter):
    """Rows as features float64 ``[example, column, 2]``; see ``RowScorer``.

    Scores are log-probabilities. The baseline ``mean`` is a usual row: numbers at their mean (or
    what an imputer puts in), categories at the most frequent one, as far as the file or the card
    beside it says; else 0, and a missing value or the first category.
    """

    unit: str = "log-probability"

    def __init__(
        self,
        classes: tuple[str, ...],
        columns: tuple[Feature, ...],
        words: Words,
        usual: dict[str, str],
    ) -> None:
        super().__init__(classes, columns)
        self._words = words
        self._usual = usual

    def encode(self, examples: Sequence[Example], model: Living) -> Batch:
        """Read rows, each a JSON object of values by column.

        Raises ``BadInput`` for anything else, and for a row without a column that the model reads.
        """
        rows = [row_of(example, self.columns) for example in examples]
        notes: dict[str, None] = {}
        cells = [[self._cell(each, row[each.name], notes) for each in self.columns] for row in rows]
        names = tuple(each.name for each in self.columns)
        return Batch(
            features=torch.tensor(cells, dtype=torch.float64, device=model.device),
            context=(),
            axes=tuple(
                Columns(
                    names,
                    tuple(shown(row[each.name], not each.categories) for each in self.columns),
                )
                for row in rows
            ),
            pictures=(None,) * len(rows),
            names=tuple(example.name for example in examples),
            outputs=(self.classes,) * len(rows),
            notes=tuple(notes),
        )

    def laid_out(self, inputs: Tensor) -> Tensor:
        """Numbers ``[example, column]`` as features ``[example, column, 2]``."""
        return torch.stack([inputs, torch.full_like(inputs, NUMBER)], dim=-1).double()

    def typical(self, model: Living) -> Batch:
        """A usual row."""
        names = tuple(each.name for each in self.columns)
        return Batch(
            features=self._usually().to(model.device),
            context=(),
            axes=(Columns(names, ("",) * len(names)),),
            pictures=(None,),
            names=("typical",),
            outputs=(self.classes,),
        )

    def logits(self, module: nn.Module, features: Tensor, *context: Tensor) -> Tensor:
        """Log-probabilities ``[example, class]``.

        Raises ``BadModel`` when the model has another number of classes than its card.
        """
        output: Tensor = module(features)
        if output.shape[1] != len(self.classes):
            raise BadModel(
                f"The model answers with {output.shape[1]} classes, its card has "
                f"{len(self.classes)}.",
                "Write the classes of the model, in its order, into the card beside it.",
            )
        return output

    def baseline(self, batch: Batch, kind: str, seed: int, other: Example | None) -> Tensor:
        """A row that stands for 'nothing known': the usual one (``mean``), numbers of value 0 and
        nothing in the others (``zero``), or values drawn one by one (``gaussian``) from what is
        known of their spread and shares.

        Raises ``BadParameter`` for another kind.
        """
        if kind not in BASELINES:
            raise BadParameter(
                f"'{kind}' is not a baseline of tables, expected one of {', '.join(BASELINES)}.",
                "Choose one of them.",
            )
        if kind == "gaussian":
            return self._any(len(batch), seed).to(batch.features)
        row = self._usually() if kind == "mean" else self._nothing()
        return row.to(batch.features).expand_as(batch.features).clone()

    def _cell(self, column: Feature, value: Any, notes: dict[str, None]) -> tuple[float, float]:
        said = shown(value)
        if said == MISSING:
            return (0.0, GONE)
        text = str(value).strip()
        if of_texts(column):
            if text not in column.categories:
                notes[f"'{column.name}' has a value unseen in training: {said}."] = None
            return (0.0, self._words.code(text))
        try:
            number = float(text)
        except ValueError:
            if column.categories or column.std or column.mean:
                notes[f"'{column.name}' is no number and taken as missing: {said}."] = None
                return (0.0, GONE)
            return (0.0, self._words.code(text))
        return (number, NUMBER) if np.isfinite(number) else (0.0, GONE)

    def _usually(self) -> Tensor:
        return torch.tensor(
            [[self._usual_cell(each) for each in self.columns]], dtype=torch.float64
        )

    def _usual_cell(self, column: Feature) -> tuple[float, float]:
        if not column.categories:
            return (column.mean, NUMBER)
        text = self._usual.get(column.name, "")
        if not text and column.frequencies:
            text = column.categories[int(np.argmax(column.frequencies))]
        return self._category(column, text or column.categories[0])

    def _category(self, column: Feature, text: str) -> tuple[float, float]:
        return (0.0, self._words.code(text)) if of_texts(column) else (float(text), NUMBER)

    def _nothing(self) -> Tensor:
        cells = [(0.0, GONE if each.categories else NUMBER) for each in self.columns]
        return torch.tensor([cells], dtype=torch.float64)

    def _any(self, count: int, seed: int) -> Tensor:
        generator = np.random.default_rng(seed)
        cells: list[list[tuple[float, float]]] = [[] for _ in range(count)]
        for each in self.columns:
            if each.categories:
                shares = np.array(each.frequencies or [1.0] * len(each.categories))
                picked = generator.choice(len(shares), count, p=shares / shares.sum())
                found = [self._category(each, each.categories[place]) for place in picked]
            else:
                drawn = each.mean + each.std * generator.standard_normal(count)
                found = [(float(value), NUMBER) for value in drawn]
            for row, cell in zip(cells, found, strict=True):
                row.append(cell)
        return torch.tensor(cells, dtype=torch.float64)


def of(about: ModelCard, module: nn.Module) -> RowAdapter:
    """The adapter of such a model.

    Raises ``BadModel`` for another kind of module.
    """
    if not isinstance(module, RowScorer):
        raise BadModel(f"'{about.name}' is no model of rows.", "Choose another file.")
    prepared = about.raw["preprocessing"]
    columns = tuple(
        Feature(
            each["name"],
            tuple(each["categories"]),
            each["mean"] or 0.0,
            each["std"] or 0.0,
            each["indicator"],
            tuple(each["frequencies"]),
        )
        for each in prepared["features"]
    )
    return RowAdapter(about.classes, columns, module.words, dict(prepared["usual"]))
