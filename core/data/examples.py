"""Examples in a fixed order, read when they are asked for: what every feature over many examples
sees of data, wherever they come from. Nothing here decodes or opens any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.coding import coding
from core.data.files import Skipped
from core.data.ondemand import OnDemand, taken, with_column
from core.errors import BadInput, BadParameter
from core.provenance import sha256_of_json
from core.results.activations import DataRef
from core.tasks import Example

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Examples in a fixed order; ``read(row)`` gives one, from disk if need be.

    ``ids`` name the examples, each by a name of its own. ``labels`` are positions in ``classes``,
    int64 ``[example]``, -1 where an example has none. ``columns`` are further arrays ``[example]``,
    which may be read when they are asked for.
    ``fingerprint`` is a SHA-256 over what decides the examples: contents, or of files their paths,
    sizes and times. ``source`` is what ``open_dataset`` takes to open it again; ``notes`` say what
    was assumed or left out, ``skipped`` lists every file and row that was;
    ``taken`` says which column of a table is the ``text`` or ``label``.
    Examples are ``held`` in memory, or read from disk when they are asked for.
    """

    name: str
    ids: Sequence[str]
    read: Callable[[int], Example] = field(repr=False)
    fingerprint: str
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    held: bool = False

    def __post_init__(self) -> None:
        count = len(self.ids)
        if not count:
            raise BadInput(f"'{self.name}' holds no example.", "Choose other data.")
        at_hand = () if isinstance(self.columns, OnDemand) else self.columns.items()
        for name, values in (("labels", self.labels), *at_hand):
            if values is not None and values.shape != (count,):
                raise ValueError(f"{name} has shape {values.shape}, expected ({count},)")

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.ids)

    def __getitem__(self, row: int) -> Example:
        """One example.

        Raises ``BadInput`` when it cannot be read.
        """
        return self.read(row)

    def examples(self, rows: Sequence[int]) -> tuple[Example, ...]:
        """Some examples, read now."""
        return tuple(self.read(int(row)) for row in rows)

    def batches(self, size: int, start: int = 0) -> Iterator[tuple[range, tuple[Example, ...]]]:
        """The examples from ``start`` on, ``size`` at a time, each with its rows; no more than one
        batch is held.
        """
        for first in range(start, len(self), size):
            rows = range(first, min(first + size, len(self)))
            yield rows, self.examples(rows)

    @property
    def ref(self) -> DataRef:
        """What a result says of the data."""
        return DataRef(self.name, self.fingerprint, dict(self.source))

    def limited(self, count: int) -> Dataset:
        """At most ``count`` of the examples, evenly spread; all of them for 0."""
        if count < 0:
            raise BadParameter(f"A limit of {count} examples is not possible.", "Expected 1 or 0.")
        if not 0 < count < len(self):
            return self
        rows = np.arange(count) * len(self) // count
        return replace(
            self,
            ids=[self.ids[row] for row in rows.tolist()],
            read=lambda row: self.read(int(rows[row])),
            fingerprint=sha256_of_json([self.fingerprint, "limited", count]),
            labels=None if self.labels is None else self.labels[rows],
            columns=taken(self.columns, rows),
            source={**self.source, "limit": count},
        )

    def labelled_as(self, classes: Sequence[str]) -> Dataset:
        """The same with labels that are positions in ``classes``, those of a model.

        Classes are matched by name, without regard to case, or by their coding where it can mean
        one thing only (``core.data.coding``). What has no match gets -1, what the data call it
        becomes the column ``label``; without any match there are no labels.
        """
        if self.labels is None or tuple(classes) == self.classes:
            return self
        to, coded = coding(self.classes, classes)
        to = np.append(to, -1)
        names = np.array([*self.classes, ""])[self.labels]
        if (to < 0).all() and all(_is_place(name, len(classes)) for name in self.classes):
            to[:-1] = [int(name) for name in self.classes]
            said = f"labels are taken as numbers of classes: 0 is {classes[0]}"
            return replace(
                self,
                labels=to[self.labels],
                classes=tuple(classes),
                columns=with_column(self.columns, "label", names),
                notes=(*self.notes, said),
            )
        unknown = [name for name, index in zip(self.classes, to, strict=False) if index < 0]
        notes = self.notes + ((coded,) if coded else ())
        if unknown:
            shown = ", ".join(unknown[:3]) + (" …" if len(unknown) > 3 else "")
            notes += (f"classes that the model does not have: {shown}",)
        return replace(
            self,
            labels=to[self.labels] if len(unknown) < len(self.classes) else None,
            classes=tuple(classes),
            columns=with_column(self.columns, "label", names),
            notes=notes,
        )


def _is_place(name: str, count: int) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 8 and int(name) < count
