"""The examples that importance is measured over: read, answered, and with what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from core.attribution.describe import describe
from core.data.cells import MISSING_TEXTS
from core.data.dataset import Dataset, open_dataset
from core.data.table import MISSING, OTHER, Feature
from core.errors import BadInput, BadModel, NotValid
from core.models.adapter import Batch
from core.models.loaded import LoadedModel
from core.progress import Meter
from core.results.activations import DataRef
from core.tasks import Example, Target, parse_targets


@dataclass(frozen=True)
class Sample:
    """Examples of a data set as ``batches`` of one size with their places; ``logits`` float32
    ``[example, class]``, ``labels`` int64 ``[example]`` (-1 for none), ``rows`` of the data, and as
    many examples per pass as are best.
    """

    data: Dataset
    rows: npt.NDArray[np.int64]
    examples: tuple[Example, ...]
    batches: tuple[tuple[tuple[int, ...], Batch], ...]
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    batch_size: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """The likeliest class of each, int64 ``[example]``."""
        found: npt.NDArray[np.int64] = self.logits.argmax(axis=1).astype(np.int64)
        return found

    def targets(self, spec: str, classes: Sequence[str]) -> list[Target]:
        """What is explained of each example. Raises ``UnknownName``."""
        return [parse_targets(spec, classes, each)[0] for each in self.logits]


def sampled(
    model: LoadedModel, parameters: Mapping[str, Any], limit: int, seed: int, meter: Meter
) -> Sample:
    """At most ``limit`` examples of ``parameters["data"]``, evenly spread, with their answers.

    Raises ``NotValid`` for a model without classes, ``BadInput`` as ``open_dataset`` does,
    ``BadModel`` for answers that are not finite.
    """
    adapter = model.adapter
    if not adapter.classes:
        raise NotValid(
            f"'{model.ref.name}' writes: what it goes by is asked for each text.",
            "See its Attribution page, or `fluoroscope attribute`.",
        )
    whole = open_dataset(DataRef(**parameters["data"]))
    data = whole.limited(limit)
    rows = np.arange(len(whole), dtype=np.int64)
    if len(data) < len(whole):
        rows = np.arange(len(data), dtype=np.int64) * len(whole) // len(data)
    batch_size = describe(model, meter=meter).batch_size
    meter.expect(len(data), "Reading the data")
    examples = data.examples(range(len(data)))
    batches = tuple(adapter.batches(examples, model))
    logits = np.zeros((len(data), len(adapter.classes)), np.float32)
    for places, batch in batches:
        for start in range(0, len(places), batch_size):
            part = slice(start, start + batch_size)
            here = places[part]
            with model.exclusive(seed) as module, torch.no_grad():
                meter.tick(len(here))
                context = (each[part] for each in batch.context)
                found = adapter.logits(module, batch.features[part], *context).float()
            logits[list(here)] = found.cpu().numpy()
    if not np.isfinite(logits).all():
        raise BadModel(
            f"'{model.ref.name}' answered with NaN or infinite numbers.",
            "Its weights or its preprocessing are wrong: check the card, or train it again.",
        )
    labels = np.full(len(data), -1, np.int64) if data.labels is None else data.labels
    return Sample(data, rows, examples, batches, logits, labels, batch_size)


def table(sample: Sample, model: LoadedModel) -> tuple[Batch, tuple[Feature, ...]]:
    """The one batch of a table and its columns. Raises ``NotValid`` for anything but a table."""
    columns: tuple[Feature, ...] | None = getattr(model.adapter, "columns", None)
    if columns is None or len(sample.batches) != 1:
        raise NotValid(
            f"'{model.ref.name}' does not read tables, so there are no columns to set.",
            "Ask for its importance by word or region.",
        )
    return sample.batches[0][1], columns


def levels(
    model: LoadedModel, examples: Sequence[Example], columns: Sequence[Feature]
) -> npt.NDArray[np.float64]:
    """The values of the columns float64 ``[example, column]``: numbers as in the table, or places
    among the categories; NaN where missing or unknown.
    """
    import pandas as pd

    frame: pd.DataFrame = model.adapter.frame(examples)  # type: ignore[attr-defined]  # of tables
    found = np.full((len(examples), len(columns)), np.nan)
    for place, each in enumerate(columns):
        if not each.categories:
            numbers = pd.to_numeric(frame[each.name], errors="coerce").to_numpy(np.float64)
            found[:, place] = np.where(np.isfinite(numbers), numbers, np.nan)
            continue
        known = {name: index for index, name in enumerate(each.categories)}
        other = known.get(OTHER, np.nan)
        texts = [str(value).strip() for value in frame[each.name]]
        spelt = [MISSING if text.lower() in MISSING_TEXTS else text for text in texts]
        found[:, place] = [known.get(text, other) for text in spelt]
    return found


def enough(sample: Sample) -> None:
    """Raise ``BadInput`` for a single example, which cannot be shuffled."""
    if len(sample) < 2:
        raise BadInput(
            f"The data '{sample.data.name}' have one example: there is nothing to shuffle it with.",
            "Give at least two.",
        )
