"""A capture: what chosen layers answered to every example of a data set, in a folder.

capture.json       which model, which data, which layers, how far it is
ids.jsonl          the id of each example, one JSON string per line
labels.npy         int64 [example], -1 where an example has none; only with labels
columns.npz        what else is known of each example, one array per column
scores.npy         float32 [example, output], what the model answered
000.npy …          one layer each: [example, unit], [example, unit, position …] or, where the
                   network has its units last, [example, position …, unit]

The arrays are mapped into memory: opening costs nothing, and rows are read when they are asked for.
Only numpy is needed to read one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.errors import BadInput, StorageError, UnknownName
from core.paths import read_file, read_json

Pool = Literal["whole", "mean", "max", "first", "last"]
FORMAT = 1
_MOST, _LARGEST = 2**26, 2**28  # examples; bytes of what is read as a whole
_FEW = 16  # examples that tell whether a layer tells any apart
MANIFEST, IDS, LABELS, COLUMNS, SCORES = (
    "capture.json",
    "ids.jsonl",
    "labels.npy",
    "columns.npz",
    "scores.npy",
)


@dataclass(frozen=True)
class CapturedLayer:
    """One captured layer: ``name`` is its module's path, with ``#2`` for a second call in the same
    forward and ``[1]`` or ``[name]`` for a further tensor of its output.

    ``kind`` is the module's class; ``shape`` that of one example, ``(unit,)`` or
    ``(unit, position …)``; ``pool`` what was done with its positions, ``whole`` where there are
    none. With ``ragged`` positions a text has as many as it has tokens, and NaN after them. In the
    file the units come after the positions where ``units_last``.
    ``nonfinite`` counts the values that were NaN or infinite, ``overflowed`` those that the number
    format could not hold.
    """

    name: str
    kind: str
    file: str
    shape: tuple[int, ...]
    pool: Pool = "whole"
    ragged: bool = False
    units_last: bool = False
    nonfinite: int = 0
    overflowed: int = 0

    @property
    def units(self) -> int:
        """Number of units: channels, neurons, the width of a token."""
        return self.shape[0]

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape of one example as it is in the file."""
        return (*self.shape[1:], self.shape[0]) if self.units_last else self.shape


@dataclass(frozen=True)
class DataRef:
    """Which data: ``source`` says how to open them again (``core.data.dataset.open_dataset``)."""

    name: str
    fingerprint: str
    source: Mapping[str, Any]


@dataclass(frozen=True)
class Capture:
    """A folder of captured activations, opened for reading; see ``open_capture``.

    ``model`` and ``weights`` are the name and the SHA-256 of the model; ``classes`` are the names
    of its outputs; ``independent`` says that they are judged one by one. ``read`` of the ``total``
    examples of the data were put through the network so far, and ``done`` are captured: only these
    are seen. ``left_out`` are those that could not be read: their place in the data, and why.
    ``skipped`` are the layers that could not be captured, each with the reason. ``provenance`` is
    what a result says of itself.
    """

    folder: Path
    model: str
    weights: str
    task: str
    classes: tuple[str, ...]
    independent: bool
    data: DataRef
    layers: tuple[CapturedLayer, ...]
    dtype: str
    done: int
    total: int
    skipped: Mapping[str, str]
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]
    read: int
    left_out: tuple[tuple[int, str], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.done + len(self.left_out) == self.read <= self.total <= _MOST:
            raise ValueError(f"{self.done} and {len(self.left_out)} of {self.total} examples")
        for each in self.layers:
            if not each.shape or each.shape[0] < 1:
                raise ValueError(f"{each.name} has shape {each.shape}, expected [unit, …]")

    def __len__(self) -> int:
        """How many examples there are so far."""
        return self.done

    @property
    def complete(self) -> bool:
        """Whether every example is captured."""
        return self.read == self.total

    @cached_property
    def data_rows(self) -> npt.NDArray[np.int64]:
        """The place in the data of each captured example: the same, unless some were left out."""
        return np.delete(np.arange(self.read), [row for row, _ in self.left_out])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the captured layers, in the order in which they compute."""
        return tuple(each.name for each in self.layers)

    @cached_property
    def last(self) -> str:
        """The last layer before the answer that does not say the same of all examples, as layers
        behind an input that is held do.
        """
        answers = len(self.classes)
        inner = [
            each.name
            for each in self.layers
            if each.units not in (1, answers) and "Dropout" not in each.kind
        ]
        few = np.unique(np.linspace(0, max(0, len(self) - 1), _FEW, dtype=np.int64))
        for name in reversed(inner if len(self) else []):
            with suppress(StorageError):  # whoever reads it says so
                some = self.rows(name, few)
                if len(some) > 1 and (some == some[:1]).all():
                    continue
            return name
        return (inner or list(self.names))[-1]

    def about(self, name: str) -> CapturedLayer:
        """What is known of a layer.

        Raises ``UnknownName`` with the nearest names, or with the reason why it is missing.
        """
        for each in self.layers:
            if each.name == name:
                return each
        if name in self.skipped:
            raise UnknownName(
                f"The layer '{name}' is not in this capture: {self.skipped[name]}.",
                "Choose another.",
            )
        raise UnknownName.of("captured layer", name, self.names)

    def layer(self, name: str) -> npt.NDArray[np.floating[Any]]:
        """The activations of a layer, mapped from the disk, read-only: float16 or float32
        ``[example, unit]`` or ``[example, unit, position …]``.

        Raises ``UnknownName``, and ``StorageError`` when the file is gone or damaged.
        """
        about = self.about(name)
        values = self._mapped(about.file, (self.total, *about.stored))
        return np.moveaxis(values, -1, 1) if about.units_last else values

    def rows(
        self, name: str, rows: Sequence[int] | npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.float32]:
        """Some examples' activations in memory, float32 ``[row, unit, …]``."""
        return np.asarray(self.layer(name)[np.asarray(rows, np.int64)], np.float32)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of each example."""
        with _reading(self.folder / IDS):
            lines = read_file(self.folder / IDS, _LARGEST).splitlines()
            return tuple(str(json.loads(lines[row])) for row in self.data_rows.tolist())

    @cached_property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """The true class of each example, -1 where it has none; None if no example has one."""
        if not (self.folder / LABELS).is_file():
            return None
        with _reading(self.folder / LABELS):
            return np.asarray(np.load(self.folder / LABELS, "r")[self.data_rows], np.int64)

    @cached_property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """What else is known of each example: numbers or texts ``[example]`` by name."""
        path = self.folder / COLUMNS
        if not path.is_file():
            return {}
        with _reading(path), np.load(path, allow_pickle=False) as stored:
            if any(e.compress_type or e.file_size > 4 * _LARGEST for e in stored.zip.infolist()):
                raise ValueError("it is compressed, or too large")
            return {name: stored[name][self.data_rows] for name in stored.files}

    @cached_property
    def scores(self) -> npt.NDArray[np.float32]:
        """What the model answered: float32 ``[example, output]``, logits or, of models that write,
        the log-probability of the whole output.
        """
        scores: npt.NDArray[np.float32] = self._mapped(
            SCORES, (self.total, max(1, len(self.classes)))
        )
        return scores

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """The scores as probabilities ``[example, output]``."""
        scores = np.asarray(self.scores, np.float64)
        if not self.classes:
            return np.exp(scores).astype(np.float32)
        if self.independent:
            return (0.5 * (1 + np.tanh(0.5 * scores))).astype(np.float32)
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float32)

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The likeliest class of each example; -1 for models without classes."""
        if not self.classes:
            return np.full(self.done, -1, np.int64)
        return np.asarray(self.scores.argmax(axis=1), np.int64)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of the prediction ``[example]``."""
        return np.asarray(self.probabilities.max(axis=1), np.float32)

    @cached_property
    def loss(self) -> npt.NDArray[np.float32] | None:
        """Cross-entropy of each example in nats, NaN where it has no label; None without labels.
        For models that write it is that of the output, which is in the data or was produced.
        """
        if not self.classes:
            return -np.asarray(self.scores[:, 0], np.float32)
        if self.labels is None:
            return None
        scores = np.asarray(self.scores, np.float64)
        rows = np.arange(self.done)
        if self.independent:
            truth = np.zeros(scores.shape)
            truth[rows, np.maximum(self.labels, 0)] = 1
            loss = (np.logaddexp(0, scores) - truth * scores).sum(axis=1)
        else:
            top = scores.max(axis=1)
            total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
            loss = total - scores[rows, np.maximum(self.labels, 0)]
        return np.where(self.labels < 0, np.nan, loss).astype(np.float32)

    def _mapped(self, file: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.folder / file
        with _reading(path):
            values: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            if values.shape != shape:
                raise ValueError(f"it has shape {values.shape}, expected {shape}")
        return values[: self.done]


_WRONG = (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, MemoryError)


class _reading:  # noqa: N801 - a context manager
    """Turns what goes wrong while a file is read into a sentence."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _WRONG):
            reason = getattr(error, "strerror", None) or str(error)
            raise StorageError(
                f"'{self._path.name}' of the capture '{self._path.parent}' cannot be read: "
                f"{reason.rstrip('.')}.",
                "Remove the folder and capture again.",
            ) from error


def open_capture(path: str | Path) -> Capture:
    """The capture in a folder, finished or not.

    Raises ``BadInput`` when there is none, ``StorageError`` when it is damaged or of another
    version.
    """
    folder = Path(path).expanduser().absolute()
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise BadInput(
            f"There is no capture in '{folder}': it has no {MANIFEST}.",
            "Name a folder that `fluoroscope capture` has written.",
        )
    with _reading(manifest):
        found = read_json(manifest)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        return of_manifest(folder, found)


def of_manifest(folder: Path, found: Mapping[str, Any]) -> Capture:
    """The capture that ``capture.json`` describes.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else.
    """
    layers = [CapturedLayer(**{**each, "shape": tuple(each["shape"])}) for each in found["layers"]]
    for each in layers:
        if Path(each.file).name != each.file:
            raise ValueError(f"'{each.file}' is not in the folder")
    return Capture(
        folder=folder,
        model=str(found["model"]),
        weights=str(found["weights"]),
        task=str(found["task"]),
        classes=tuple(found["classes"]),
        independent=bool(found["independent"]),
        data=DataRef(**found["data"]),
        layers=tuple(layers),
        dtype=str(found["dtype"]),
        done=int(found["done"]),
        total=int(found["total"]),
        skipped=dict(found["skipped"]),
        notes=tuple(found["notes"]),
        provenance=dict(found["provenance"]),
        read=int(found["read"]),
        left_out=tuple((int(row), str(why)) for row, why in found["left_out"]),
    )
