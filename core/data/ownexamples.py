"""A person's own texts and rows as a data set: of a table, or the lines of a text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core.data.columns import need, read_columns, texts
from core.data.csvfile import MAX_COLUMNS
from core.data.dataset import Dataset, Labels
from core.data.files import Skipped
from core.data.splits import counted, natural
from core.data.table import LABEL_NAMES, typed
from core.data.textfile import read_lines
from core.data.textlist import TABLES
from core.data.texts import TEXT_NAMES
from core.errors import BadInput
from core.paths import located
from core.provenance import sha256_of_file, sha256_of_json
from core.tasks import AxisKind, Example

OUTPUT_NAMES: Final = ("target", "translation", "output", "completion")
MOST_COLUMNS: Final = 32


def rows(
    path: str | Path, axis: AxisKind, text: str = "", label: str = "", *, writes: bool = False
) -> Dataset:
    """The rows of a table, or the lines of a text file that are not empty.

    ``text`` names the column with the texts, ``label`` that with their classes; by default they go
    by their usual names. For a model that ``writes`` a column ``target`` or ``translation`` holds
    what it should say. For a model of tables (``axis`` columns) an example is the row as a JSON
    object.

    Raises ``BadInput`` when the file cannot be read, has no such column or no text.
    """
    place = located(path)
    if place.is_file() and place.suffix.lower() not in TABLES:
        lines, notes = read_lines(place)
        kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        if not kept:
            raise BadInput(f"'{place.name}' has no line with a text.", "Choose another file.")
        ids = [f"line {number}" for number, _ in kept]
        empty = [
            Skipped(f"line {number}", "an empty line")
            for number, line in enumerate(lines, start=1)
            if not line.strip()
        ]
        found = [line for _, line in kept]
        return _in_memory(place, ids, found, notes=notes, skipped=empty)
    return _table(place, axis, text, label, writes)


def _table(place: Path, axis: AxisKind, text: str, label: str, writes: bool) -> Dataset:
    where = f"'{place.name}'"
    role: dict[str, str] = {}

    def usual(names: Sequence[str], known: Sequence[str]) -> str:
        return next((name for name in names if name.lower().strip() in known), "")

    def choose(names: tuple[str, ...]) -> list[str]:
        role.clear()  # asked once for the file of each part
        if label:
            role["label"] = need(names, label, where)
        elif not writes and (found := usual(names, LABEL_NAMES)):
            role["label"] = found
        rest = [name for name in names if name not in role.values()]
        if axis == "tokens":
            if writes and (found := usual(rest, OUTPUT_NAMES)):
                role["output"] = found
                rest.remove(found)
            only = len(rest) == 1 and not text
            also = () if text else (*TEXT_NAMES, "source")
            role["text"] = rest[0] if only else need(rest, text or "text", where, also)
        most = MAX_COLUMNS if axis == "columns" else MOST_COLUMNS
        return list(dict.fromkeys([*role.values(), *names[:most]]))

    read = read_columns(place, choose)
    frame = read.frame
    said = [each.strip() for each in texts(frame[role["label"]])] if "label" in role else []
    outputs = texts(frame[role["output"]]) if "output" in role else []
    others = [name for name in frame.columns if name not in role.values()]
    if axis == "tokens":
        found = texts(frame[role["text"]])
    else:
        records = frame[others].astype(object).where(frame[others].notna(), None)
        found = [json.dumps(row, default=str) for row in records.to_dict("records")]
    keep = np.array([row for row, each in enumerate(found) if each.strip()], np.int64)
    notes = list(read.notes)
    if read.skipped:
        notes.append(f"{counted(len(read.skipped), 'row')} that cannot be read left out")
    if not len(keep):
        raise BadInput(f"{where} has no row with a text.", "Choose another column.")
    gone = [row for row, each in enumerate(found) if not each.strip()]
    if gone:
        notes.append(f"{counted(len(gone), 'row')} without a text left out")
    skipped = [Skipped(*line.partition(": ")[::2]) for line in read.skipped]
    skipped += [Skipped(f"row {row + 1}", "without a text") for row in gone]
    shown = typed(frame[others[:MOST_COLUMNS]])  # a CSV's numbers are texts so far
    columns = {str(name): plain(shown[name])[keep] for name in shown.columns}
    if read.parts is not None:
        part = np.full(len(found), "", dtype="U5")
        for name, places in read.parts.items():
            part[places] = name
        columns["part"] = part[keep]
    return _in_memory(
        place,
        [f"row {row + 1}" for row in keep.tolist()],
        [found[row] for row in keep.tolist()],
        [said[row] for row in keep.tolist()] if said else [],
        [outputs[row] for row in keep.tolist()] if outputs else [],
        columns,
        notes,
        skipped,
        role,
    )


def _in_memory(
    place: Path,
    ids: Sequence[str],
    found: Sequence[str],
    said: Sequence[str] = (),
    outputs: Sequence[str] = (),
    columns: dict[str, npt.NDArray[Any]] | None = None,
    notes: Iterable[str] = (),
    skipped: Iterable[Skipped] = (),
    taken: Mapping[str, str] | None = None,
) -> Dataset:
    labels, classes = numbered(said)
    return texts_in_memory(
        name=place.name,
        ids=ids,
        found=found,
        outputs=outputs,
        labels=labels,
        classes=classes,
        columns=columns or {},
        notes=tuple(notes),
        skipped=tuple(skipped),
        taken=taken or {},
        fingerprint=sha256_of_file(place) if place.is_file() else "",
    )


def texts_in_memory(
    name: str,
    ids: Sequence[str],
    found: Sequence[str],
    *,
    outputs: Sequence[str] = (),
    labels: Labels | None = None,
    classes: tuple[str, ...] = (),
    columns: dict[str, npt.NDArray[Any]] | None = None,
    notes: tuple[str, ...] = (),
    skipped: tuple[Skipped, ...] = (),
    fingerprint: str = "",
    taken: Mapping[str, str] | None = None,
) -> Dataset:
    """Texts that are in memory already, each with what a model that writes should say to it."""
    known = [] if labels is None else labels.tolist()
    facts = [fingerprint] if fingerprint else [list(found)]

    def read(row: int) -> Example:
        said = (outputs[row],) if outputs and outputs[row].strip() else ()
        return Example(ids[row], found[row].encode("utf-8", "surrogatepass"), said)

    return Dataset(
        name=name,
        ids=ids,
        read=read,
        fingerprint=sha256_of_json([*facts, len(found), list(outputs), known, list(classes)]),
        labels=labels,
        classes=classes,
        columns={**(columns or {}), "text": np.array([short(each) for each in found])},
        notes=notes,
        skipped=skipped,
        taken=taken or {},
        held=True,
    )


def numbered(names: Sequence[str]) -> tuple[Labels | None, tuple[str, ...]]:
    """Names of classes as positions in their sorted list, -1 for no name."""
    classes = tuple(sorted({name for name in names if name}, key=natural))
    if not classes:
        return None, ()
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place.get(name, -1) for name in names], np.int64), classes


def plain(column: Any) -> npt.NDArray[Any]:
    """A column as numbers where all are, else as texts."""
    if column.dtype.kind in "iufb":
        return np.asarray(column.to_numpy(), np.float64)
    return np.array([short(each) for each in texts(column)])


def short(text: str) -> str:
    """A text as it is shown beside a point: whole texts are in the data."""
    return text if len(text) <= 200 else f"{text[:199]}…"
