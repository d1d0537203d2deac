"""Where a row of a table may move: column by column, within what the data have."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from core.data.observed import observed
from core.data.table import MISSING, Feature, encode
from core.models.loaded import LoadedModel
from core.models.rowadapter import RowAdapter
from core.models.tabular import TabularAdapter
from core.progress import Meter
from core.tasks import Example

_TOGETHER = 8192  # rows in a forward


class Room:
    """Rows as inputs of the network, float32 ``[row, input]`` on the model's device.

    ``here`` ``[input]`` is the row in hand, ``others`` are those of the data, which say what values
    a column may have. ``owner`` int64 ``[input]`` is the column of each input, ``first`` int64
    ``[column]`` its first input; ``slides`` bool ``[column]`` says that a column is a number that
    the row has, so that it can move little by little: the others are switched.
    """

    def __init__(
        self,
        model: LoadedModel,
        adapter: TabularAdapter,
        row: Example,
        others: Sequence[Example],
        to: int,
        seed: int,
        meter: Meter,
    ) -> None:
        self.model, self.adapter, self.to = model, adapter, to
        self._seed, self._meter = seed, meter
        self.frame = adapter.frame([row, *others])
        self.columns, self._cells = adapter.columns, None
        if isinstance(adapter, RowAdapter):
            self.columns = observed(adapter.columns, self.frame)
            self._cells = _cells(adapter, self.columns, row, model)
        rows = torch.from_numpy(encode(self.columns, self.frame)).to(model.device)
        self.here, self.others = rows[0], rows[1:]
        widths = [len(each.inputs) for each in self.columns]
        device = rows.device
        self.owner = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))
        self.owner = self.owner.to(device)
        self.first = (torch.tensor(widths).cumsum(0) - torch.tensor(widths)).to(device)
        numbers = torch.tensor([not each.categories for each in self.columns], device=device)
        self._gap = torch.tensor([each.indicator for each in self.columns], device=device)
        self.slides = numbers & ~self._missing(rows[:1])[0]
        self.tried = 0
        self.top = int(self.logits(rows[:1])[0].argmax())

    def logits(self, rows: Tensor) -> Tensor:
        """What the model says, ``[row, class]``."""
        found = []
        for part in rows.split(_TOGETHER):
            with self.model.exclusive(self._seed) as module, torch.no_grad():
                self._meter.check()
                found.append(self.adapter.logits(module, self._features(part)).float())
        self.tried += len(rows)
        return torch.cat(found) if found else rows.new_zeros(0, len(self.adapter.classes))

    def said(self, examples: Sequence[Example]) -> Tensor:
        """What the model says to rows as they are written, ``[row, class]``."""
        batch = self.adapter.encode(examples, self.model)
        with self.model.exclusive(self._seed) as module, torch.no_grad():
            self._meter.check()
            self.tried += len(batch)
            return self.adapter.logits(module, batch.features, *batch.context).float()

    def inputs(self, examples: Sequence[Example]) -> Tensor:
        """Rows as they are written as inputs, ``[row, input]``."""
        inputs = torch.from_numpy(encode(self.columns, self.adapter.frame(examples)))
        return inputs.to(self.model.device)

    def margin(self, rows: Tensor) -> Tensor:
        """By how much the logit of the class asked for, or else of the best other one, is above
        the rest, ``[row]``: positive where the answer has changed.
        """
        return self.turned(self.logits(rows))

    def turned(self, logits: Tensor) -> Tensor:
        """The same of logits ``[row, class]``."""
        logits = logits.clone()
        if self.to < 0:
            old = logits[:, self.top].clone()
            logits[:, self.top] = -torch.inf
            return logits.amax(dim=1) - old
        new = logits[:, self.to].clone()
        logits[:, self.to] = -torch.inf
        return new - logits.amax(dim=1)

    def costs(self, rows: Tensor) -> Tensor:
        """How far each column is from where it was, ``[row, column]``: in standard deviations of
        the training rows, 1 for a switch.
        """
        apart = torch.zeros(len(rows), len(self.first), device=rows.device)
        apart = apart.index_add(1, self.owner, (rows - self.here).abs())
        by = (rows[:, self.first] - self.here[self.first]).abs()
        slides = self.slides & ~self._missing(rows)
        return torch.where(slides, by, (apart > 0).to(apart.dtype))

    def slid(self, rows: Tensor) -> Tensor:
        """The numbers that have moved, bool ``[row, column]``."""
        return self.slides & ~self._missing(rows) & (self.costs(rows) > 0)

    def mixed(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The row in hand with ``columns`` bool ``[row, column]`` taken from ``rows``."""
        return torch.where(columns[:, self.owner], rows, self.here)

    def sensible(self, rows: Tensor) -> Tensor:
        """Columns whose value can be taken, bool ``[row, column]``: a number is not made missing,
        and a category is one that the model knows.
        """
        total = torch.zeros(len(rows), len(self.first), device=rows.device)
        total = total.index_add(1, self.owner, rows)
        categories = torch.tensor(
            [bool(each.categories) for each in self.columns], device=rows.device
        )
        return torch.where(categories, total > 0, ~self._missing(rows))

    def _features(self, rows: Tensor) -> Tensor:
        if self._cells is None:
            return self.adapter.laid_out(rows)
        mine, codes = self._cells
        features = mine.repeat(len(rows), 1, 1)
        same = self.costs(rows) == 0
        for place, each in enumerate(self.columns):
            start = int(self.first[place])
            values = rows[:, start : start + len(each.inputs)].double()
            if each.categories:
                cells = values @ codes[place]
            else:
                cells = torch.stack([values[:, 0] * each.std + each.mean, values[:, 0] * 0], dim=1)
            features[:, place] = torch.where(same[:, place, None], features[:, place], cells)
        return features

    def _missing(self, rows: Tensor) -> Tensor:
        """Where a number is missing, bool ``[row, column]``."""
        last = torch.cat([self.first[1:], self.first.new_tensor([len(self.owner)])]) - 1
        return self._gap & (rows[:, last] > 0.5)


def _cells(
    adapter: RowAdapter, columns: Sequence[Feature], row: Example, model: LoadedModel
) -> tuple[Tensor, dict[int, Tensor]]:
    """What a model that reads raw values is given for the row in hand, ``[column, 2]``, and for
    each category of a column, ``[category, 2]``.
    """
    values = adapter.frame([row]).iloc[0].to_dict()
    codes = {}
    for place, each in enumerate(columns):
        if each.categories:
            told = [None if name == MISSING else name for name in each.categories]
            rows = [
                Example("row", json.dumps({**values, each.name: name}).encode()) for name in told
            ]
            codes[place] = adapter.encode(rows, model).features[:, place].double()
    return adapter.encode([row], model).features[0].double(), codes
