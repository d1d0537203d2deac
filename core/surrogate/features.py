"""What a surrogate looks at: a few things about each example that people can read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.behaviour import pooled
from core.activations.capture import capture
from core.data.dataset import Dataset
from core.data.observed import observed
from core.data.table import numbers
from core.data.text import decode
from core.errors import NotValid
from core.models.loaded import LoadedModel
from core.models.tabular import TabularAdapter
from core.progress import Meter, Quiet
from core.results.activations import Capture
from core.results.surrogate import FLAG, NUMBER, WORD
from core.surrogate.declared import COLUMNS, LAYER, REGIONS, WORDS
from core.tasks import Example

Floats = npt.NDArray[np.float64]
_MOST_WORDS = 500
_TOGETHER = 256


@dataclass(frozen=True)
class Described:
    """``values`` float64 ``[example, feature]``, NaN where one is missing, with a name and a kind
    for each feature. ``reader`` is the scikit-learn step that makes them of raw examples, if any.
    """

    values: Floats
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    reader: Any = None


def described(
    model: LoadedModel,
    found: Capture,
    data: Dataset,
    on: str,
    fitted: npt.NDArray[np.int64],
    more: Sequence[Example],
    grid: int,
    meter: Meter,
) -> Described:
    """The features of all captured examples and of ``more`` behind them. Words are those of the
    examples ``fitted``, the most frequent 500.

    Raises ``NotValid`` for a basis that does not go with the model, ``UnknownName`` for a layer
    that is not captured, ``BadInput`` for an example that cannot be read.
    """
    if on.startswith(LAYER):
        return _layer(model, found, on.removeprefix(LAYER), more, meter)
    examples = _Examples(data, found.data_rows, more)
    if on == WORDS:
        return _words([decode(each) for part in examples.parts(meter) for each in part], fitted)
    adapter = model.adapter
    if on == COLUMNS and isinstance(adapter, TabularAdapter):
        return _columns(adapter, [each for part in examples.parts(meter) for each in part])
    if on == REGIONS and adapter.axis == "pixels":
        values = [regions(_pictures(model, part), grid) for part in examples.parts(meter)]
        names = tuple(
            f"row {row + 1}, column {column + 1}" for row in range(grid) for column in range(grid)
        )
        return Described(np.concatenate(values), names, (NUMBER,) * len(names))
    raise NotValid(
        f"'{model.ref.name}' does not read {on}.", "Leave out what the tree is fitted on."
    )


def regions(pictures: Sequence[npt.NDArray[np.uint8]], grid: int) -> Floats:
    """The mean brightness, from 0 to 1, of ``grid`` times ``grid`` regions of pictures
    ``[row, column(, channel)]``, row by row: float64 ``[picture, region]``.
    """
    found = np.empty((len(pictures), grid * grid))
    for place, picture in enumerate(pictures):
        grey = picture.mean(axis=2) if picture.ndim == 3 else picture.astype(np.float64)
        edges = [np.arange(grid + 1) * size // grid for size in grey.shape]
        sums = grey / 255
        for axis, edge in enumerate(edges):
            starts = np.minimum(edge[:-1], grey.shape[axis] - 1)
            sums = np.add.reduceat(sums, starts, axis=axis)
        sizes = [np.maximum(np.diff(edge), 1) for edge in edges]
        found[place] = (sums / np.outer(*sizes)).ravel()
    return found


class _Examples:
    """Captured examples of the data and more behind them, some at a time."""

    def __init__(self, data: Dataset, rows: npt.NDArray[np.int64], more: Sequence[Example]) -> None:
        self._data, self._rows, self._more = data, rows, more

    def parts(self, meter: Meter) -> Iterator[Sequence[Example]]:
        """Some examples after the others, read when their turn comes."""
        meter.expect(len(self._rows), "Reading examples")
        for start in range(0, len(self._rows), _TOGETHER):
            rows = self._rows[start : start + _TOGETHER]
            meter.tick(len(rows))
            yield self._data.examples(rows.tolist())
        if self._more:
            yield self._more


def _columns(adapter: TabularAdapter, examples: Sequence[Example]) -> Described:
    frame = adapter.frame(examples)
    planes: list[Floats] = []
    names: list[str] = []
    kinds: list[str] = []
    for each in observed(adapter.columns, frame):
        if each.categories:
            planes.append(each.encode(frame[each.name]).astype(np.float64))
            names += each.inputs
            kinds += [FLAG] * len(each.inputs)
        else:
            planes.append(numbers(frame[each.name])[:, None])
            names.append(each.name)
            kinds.append(NUMBER)
    return Described(np.concatenate(planes, axis=1), tuple(names), tuple(kinds))


def _words(texts: Sequence[str], fitted: npt.NDArray[np.int64]) -> Described:
    from sklearn.feature_extraction.text import CountVectorizer

    reader = CountVectorizer(binary=True, max_features=_MOST_WORDS, dtype=np.float32)
    try:
        reader.fit([texts[place] for place in fitted.tolist()])
    except ValueError:
        raise NotValid(
            "The texts hold no words of at least two letters.", "Fit the tree on a layer."
        ) from None
    names = tuple(str(name) for name in reader.get_feature_names_out())
    reader.vocabulary_ = {name: place for place, name in enumerate(names)}  # of plain numbers
    values = np.asarray(reader.transform(texts).toarray(), np.float64)
    return Described(values, names, (WORD,) * len(names), reader)


def _pictures(model: LoadedModel, examples: Sequence[Example]) -> list[npt.NDArray[np.uint8]]:
    found: dict[int, npt.NDArray[np.uint8]] = {}
    for places, batch in model.adapter.batches(examples, model):
        pairs = zip(places, batch.pictures, strict=True)
        found |= {place: picture for place, picture in pairs if picture is not None}
    return [found[place] for place in range(len(examples))]


def _layer(
    model: LoadedModel, found: Capture, layer: str, more: Sequence[Example], meter: Meter
) -> Described:
    values = pooled(found, layer)
    if more:
        asked = Dataset(more[0].name, [each.name for each in more], more.__getitem__, "more")
        with tempfile.TemporaryDirectory() as folder:
            new = capture(
                model, asked, Path(folder) / "new", [layer], pool="mean", meter=Quiet(meter)
            )
            values = np.concatenate([values, pooled(new, layer)])
    names = tuple(f"unit {unit}" for unit in range(values.shape[1]))
    whole = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    return Described(whole, names, (NUMBER,) * len(names))
