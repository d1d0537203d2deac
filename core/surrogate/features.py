"""What a surrogate looks at: a few things about each example that people can read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.activations.behaviour import pooled
from core.activations.capture import capture
from core.data.dataset import Dataset, open_dataset
from core.data.observed import observed
from core.data.table import Feature, numbers
from core.data.text import decode
from core.errors import NotValid
from core.models.loaded import LoadedModel
from core.models.tabular import TabularAdapter
from core.progress import Meter, Quiet
from core.provenance import sha256, sha256_of_json
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
    for each feature. ``reader`` is the scikit-learn step that makes them of texts, ``columns`` what
    they are made of in a table.
    """

    values: Floats
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    reader: Any = None
    columns: tuple[Feature, ...] = ()


def described(
    model: LoadedModel,
    found: Capture,
    on: str,
    fitted: npt.NDArray[np.int64],
    more: Sequence[Example],
    grid: int,
    meter: Meter,
) -> Described:
    """The features of all captured examples and of ``more`` behind them. Words are those of the
    examples ``fitted``, the most frequent 500. Those of the captured examples are kept with the
    model, so that another tree costs no reading.

    Raises ``NotValid`` for a basis that does not go with the model, ``UnknownName`` for a layer
    that is not captured, ``BadInput`` for an example that cannot be read.
    """
    facts = [on, grid, found.data.fingerprint, len(found), sha256(fitted.tobytes())]
    key, table = model.memo.get("surrogate", ("", None))
    if key != sha256_of_json(facts):
        table = _captured(model, found, on, fitted, grid, meter)
        model.memo["surrogate"] = (sha256_of_json(facts), table)
    known: Described = table
    if not more:
        return known
    new = _described(model, on, list(more), grid, known, meter)
    return replace(known, values=np.concatenate([known.values, new]))


def _captured(
    model: LoadedModel,
    found: Capture,
    on: str,
    fitted: npt.NDArray[np.int64],
    grid: int,
    meter: Meter,
) -> Described:
    if on.startswith(LAYER):
        units = _finite(pooled(found, on.removeprefix(LAYER)))
        names = tuple(f"unit {unit}" for unit in range(units.shape[1]))
        return Described(units, names, (NUMBER,) * len(names))
    data = open_dataset(found.data)
    meter.expect(len(found), "Reading examples")
    parts = _parts(data, found.data_rows, meter)
    adapter = model.adapter
    if on == WORDS and adapter.axis == "tokens":
        return _words([decode(each) for part in parts for each in part], fitted)
    if on == COLUMNS and isinstance(adapter, TabularAdapter):
        examples = [each for part in parts for each in part]
        columns = observed(adapter.columns, adapter.frame(examples))
        kinds = [FLAG if each.categories else NUMBER for each in columns for _ in _named(each)]
        names = tuple(name for each in columns for name in _named(each))
        values = _columns(adapter, columns, examples)
        return Described(values, names, tuple(kinds), columns=columns)
    if on == REGIONS and adapter.axis == "pixels":
        means = [regions(_pictures(model, part), grid) for part in parts]
        names = tuple(
            f"row {row + 1}, column {column + 1}" for row in range(grid) for column in range(grid)
        )
        return Described(np.concatenate(means), names, (NUMBER,) * len(names))
    raise NotValid(
        f"'{model.ref.name}' does not read {on}.", "Leave out what the tree is fitted on."
    )


def _described(
    model: LoadedModel,
    on: str,
    examples: Sequence[Example],
    grid: int,
    known: Described,
    meter: Meter,
) -> Floats:
    """The same features of other examples, float64 ``[example, feature]``."""
    if on.startswith(LAYER):
        layer = on.removeprefix(LAYER)
        names = [each.name for each in examples]
        asked = Dataset(names[0], names, examples.__getitem__, examples[0].sha256)
        with tempfile.TemporaryDirectory() as folder:
            new = capture(model, asked, Path(folder) / "new", [layer], meter=Quiet(meter))
            return _finite(pooled(new, layer))
    if known.reader is not None:
        texts = [decode(each) for each in examples]
        return np.asarray(known.reader.transform(texts).toarray(), np.float64)
    if known.columns and isinstance(model.adapter, TabularAdapter):
        return _columns(model.adapter, known.columns, examples)
    return regions(_pictures(model, examples), grid)


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


def _parts(data: Dataset, rows: npt.NDArray[np.int64], meter: Meter) -> Iterator[Sequence[Example]]:
    """Some examples after the others, read when their turn comes."""
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        meter.tick(len(part))
        yield data.examples(part.tolist())


def _named(column: Feature) -> tuple[str, ...]:
    return column.inputs if column.categories else (column.name,)


def _columns(
    adapter: TabularAdapter, columns: Sequence[Feature], examples: Sequence[Example]
) -> Floats:
    frame = adapter.frame(examples)
    planes = [
        each.encode(frame[each.name]) if each.categories else numbers(frame[each.name])[:, None]
        for each in columns
    ]
    return np.concatenate(planes, axis=1).astype(np.float64)


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


def _finite(values: npt.NDArray[np.float32]) -> Floats:
    return np.where(np.isfinite(values), values, np.nan).astype(np.float64)
