"""Reading the event files of a run, also those of other tools, again and again while they grow."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from core.results.history import BlobSeries, HistogramSeries, History, Series
from core.training.records import Ints, scan
from core.training.summaries import Floats, Reader

_PIECE = 16 << 20  # bytes read at a time
_KEPT = 64 << 20  # bytes of images, texts, arrays or histograms kept for each tag
_NEVER = np.iinfo(np.int64).max
_KINDS = {"scalars", "histograms", "images", "texts", "arrays"}
_MOST_FOLDERS = 50_000


def find_runs(root: Path) -> tuple[Path, ...]:
    """The folders at and below ``root`` that hold event files, in order of their names.

    Raises ``BadInput`` where ``root`` is no folder, or has more than 50,000 folders below it.
    """
    if not root.is_dir():
        raise BadInput(
            f"'{root}' is not a folder, expected one with TensorBoard event files in or below it.",
            "Give the log directory of a run, or one that holds the folders of several runs.",
        )
    found = []
    for count, (at, _, names) in enumerate(os.walk(root)):
        if count >= _MOST_FOLDERS:
            raise BadInput(
                f"There are more than {_MOST_FOLDERS:,} folders below '{root}'.",
                "Give the log directory itself, not a folder far above it.",
            )
        if any(map(_is_event_file, names)):
            found.append(Path(at))
    return tuple(sorted(found))


def _is_event_file(name: str) -> bool:
    return "tfevents" in name and not name.endswith(".profile-empty")


class EventLog:
    """The event files of one run: those in ``folder``, or the one that it is. Several threads may
    share it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Path, _File] = {}
        self._history: History | None = None
        self._lock = threading.Lock()

    def reload(self) -> bool:
        """Read what was added since the last time; True when something was, or is gone."""
        with self._lock:
            paths = self._paths()
            gone = self._files.keys() - set(paths)
            for path in gone:
                del self._files[path]
            for path in paths:
                self._files.setdefault(path, _File(path))
            changed = [file.reload() for file in self._files.values()]
            if gone or any(changed):
                self._history = None
                return True
            return False

    def history(self) -> History:
        """All that was read so far: points of a tag in the order of their steps, those of the same
        step in the order of writing.

        Where training was resumed, what had been written for that step and later ones is left out.
        """
        with self._lock:
            if self._history is None:
                self._history = self._merged()
            return self._history

    def _paths(self) -> list[Path]:
        if self.folder.is_file():
            return [self.folder]
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            return []
        names = sorted(e.name for e in entries if _is_event_file(e.name) and e.is_file())
        return [self.folder / name for name in names]

    def _merged(self) -> History:
        files = [self._files[path] for path in sorted(self._files)]
        columns: dict[str, dict[str, list[Points]]] = {kind: {} for kind in _KINDS}
        until = _NEVER
        for file in reversed(files):
            limits = file.limits(until)
            for (kind, tag), column in file.columns.items():
                columns[kind].setdefault(tag, []).append(column.points().before(limits))
            until = limits.first
        merged = {
            kind: {
                tag: points
                for tag in sorted(tags)
                if len((points := Points.of(tags[tag][::-1]).by_step()).steps)
            }
            for kind, tags in columns.items()
        }
        return History(
            self.folder.name,
            scalars={
                tag: Series(p.steps, p.values, p.seconds) for tag, p in merged["scalars"].items()
            },
            histograms={
                tag: HistogramSeries(
                    p.steps,
                    p.seconds,
                    tuple(edges for edges, _ in p.values),
                    tuple(counts for _, counts in p.values),
                )
                for tag, p in merged["histograms"].items()
            },
            **{
                kind: {
                    tag: BlobSeries(p.steps, p.seconds, tuple(p.values))
                    for tag, p in merged[kind].items()
                }
                for kind in ("images", "texts", "arrays")
            },
            notes=tuple(note for file in files for note in file.notes()),
        )


class Limits:
    """Up to which step the records of a file count, as training was resumed from earlier ones."""

    def __init__(self, restarts: Sequence[tuple[int, int]], until: int) -> None:
        orders, steps = np.array(sorted(restarts), np.int64).reshape(-1, 2).T
        self._orders = orders
        self._steps = np.minimum.accumulate(np.append(until, steps[::-1]))[::-1]
        self.first = int(self._steps[0])

    def allow(self, orders: Ints, steps: Ints) -> npt.NDArray[np.bool_] | None:
        """Which points count; None for all."""
        if self.first == _NEVER:
            return None
        limits = self._steps[np.searchsorted(self._orders, orders, side="right")]
        allowed: npt.NDArray[np.bool_] = (steps < limits) | (limits == _NEVER)
        return allowed


class Points:
    """Points of one tag: ``order`` of writing, ``steps``, ``seconds``, ``values``, each
    ``[point]``; values are float64, or objects.
    """

    def __init__(self, order: Ints, steps: Ints, seconds: Floats, values: npt.NDArray[Any]) -> None:
        self.order, self.steps, self.seconds, self.values = order, steps, seconds, values

    @classmethod
    def of(cls, parts: Sequence[Points]) -> Points:
        """Several one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.order for part in parts]),
            np.concatenate([part.steps for part in parts]),
            np.concatenate([part.seconds for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def __getitem__(self, chosen: Any) -> Points:
        return Points(
            self.order[chosen], self.steps[chosen], self.seconds[chosen], self.values[chosen]
        )

    def before(self, limits: Limits) -> Points:
        """Those that count."""
        allowed = limits.allow(self.order, self.steps)
        return self if allowed is None or allowed.all() else self[allowed]

    def by_order(self) -> Points:
        """In the order of writing."""
        return self._sorted(self.order)

    def by_step(self) -> Points:
        """In the order of steps, and else as they are."""
        return self._sorted(self.steps)

    def _sorted(self, keys: Ints) -> Points:
        return self if (keys[1:] >= keys[:-1]).all() else self[np.argsort(keys, kind="stable")]


class Column:
    """The points of one tag in one file, as they come."""

    def __init__(self, kind: str) -> None:
        self._plain = kind == "scalars"
        self._parts: list[Points] = []
        self._size = 0
        self.thinned = False

    def add(self, order: Any, steps: Any, seconds: Any, values: Any) -> None:
        """Further points, each argument ``[point]``."""
        if self._plain:
            items = np.asarray(values, np.float64)
        else:
            items = np.empty(len(values), object)
            for index, value in enumerate(values):
                items[index] = value
                self._size += _size(value)
        self._parts.append(
            Points(
                np.asarray(order, np.int64),
                np.asarray(steps, np.int64),
                np.asarray(seconds, np.float64),
                items,
            )
        )
        if self._size > _KEPT:
            self._thin()

    def points(self) -> Points:
        """All points in the order of writing."""
        self._parts = [Points.of(self._parts).by_order()]
        return self._parts[0]

    def _thin(self) -> None:
        kept = self.points()[::-2][::-1]  # the last one stays
        self._parts = [kept]
        self._size = sum(map(_size, kept.values))
        self.thinned = True


def _size(item: Any) -> int:
    if isinstance(item, tuple):
        return sum(map(_size, item))
    return len(item) if isinstance(item, bytes) else int(item.nbytes)


class _File:
    """What was read of one event file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._forget()

    def _forget(self) -> None:
        self.columns: dict[tuple[str, str], Column] = {}
        self._reader = Reader(self._add)
        self._seen = self._offset = self._count = self._damaged = self._lost = 0
        self._problem = ""

    def _add(self, kind: str, tag: str, order: Any, steps: Any, seconds: Any, values: Any) -> None:
        column = self.columns.get((kind, tag))
        if column is None:
            column = self.columns[kind, tag] = Column(kind)
        column.add(order, steps, seconds, values)

    def limits(self, until: int) -> Limits:
        """What counts of this file, when later ones resume at step ``until``."""
        return Limits(self._reader.restarts, until)

    def reload(self) -> bool:
        """Read what was added; a file that was replaced or has shrunk is read from its beginning.
        Whether anything changed.
        """
        try:
            with self._path.open("rb") as file:
                about = os.fstat(file.fileno())
                identity = (about.st_dev, about.st_ino)
                replaced = self._identity not in (None, identity) or about.st_size < self._seen
                self._identity = identity
                if replaced:
                    self._forget()
                if about.st_size == self._seen and not self._problem:
                    return replaced
                self._problem = ""
                self._read(file.read, file.seek, about.st_size)
        except OSError as error:
            told, self._problem = self._problem, error.strerror or str(error)
            return told != self._problem
        return True

    def _read(self, read: Callable[[int], bytes], seek: Callable[[int], int], size: int) -> None:
        wanted = _PIECE
        while True:
            seek(self._offset)
            data = read(min(wanted, size - self._offset))
            last = self._offset + len(data) >= size or not data
            found = scan(data, last)
            for group in found.groups:
                self._reader.read(group, self._count)
            self._count += found.count
            self._offset += found.end
            self._damaged += found.damaged
            self._lost += found.lost
            if last:
                self._seen = self._offset - found.end + len(data)
                return
            # A record may say that it is longer than a piece; the file's size is the limit.
            wanted = _PIECE if found.end else max(2 * wanted, found.needed)

    def notes(self) -> Iterator[str]:
        """What was wrong with the file."""
        name = self._path.name
        if self._problem:
            yield f"'{name}' cannot be read: {self._problem}."
        if self._damaged:
            yield (
                f"'{name}' is damaged in {_counted(self._damaged, 'place')}: "
                f"{_counted(self._lost, 'byte')} could not be read."
            )
        if self._reader.unreadable:
            yield f"{_counted(self._reader.unreadable, 'value')} in '{name}' could not be read."
        if self._seen > self._offset:
            tail = _counted(self._seen - self._offset, "byte")
            yield f"'{name}' ends within a record, of which {tail} are there so far."
        for (kind, tag), column in self.columns.items():
            if column.thinned:
                limit = _KEPT >> 20
                yield f"Not all {kind} '{tag}' of '{name}' are kept: they exceed {limit} MiB."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
