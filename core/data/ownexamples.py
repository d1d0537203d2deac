"""A person's own texts and rows as a data set: of a table, or the lines of a text, on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core.data.cells import short, texts
from core.data.columns import need
from core.data.csvfile import MAX_COLUMNS
from core.data.examples import Dataset, Labels
from core.data.files import LeftOut, Skipped, fingerprint
from core.data.ondemand import Column, OnDemand
from core.data.splits import counted, named_splits, natural
from core.data.spool import MOST_VALUES, Picked, Spool
from core.data.spooled import Numbered, Rows, Spooled, SpooledTable
from core.data.table import LABEL_NAMES
from core.data.tablefile import ENDINGS, TableFile, read
from core.data.textfile import LONGEST_LINE, check_file, encoding_of, lines
from core.data.textlist import TABLES
from core.data.texts import TEXT_NAMES
from core.errors import BadInput
from core.paths import located
from core.provenance import sha256_of_json
from core.tasks import AxisKind, Example

OUTPUT_NAMES: Final = ("target", "translation", "output", "completion")
MOST_COLUMNS: Final = 32
MOST_ROWS: Final = 100_000_000
_BLOCK_ROWS: Final = 4_096
_BLOCK_LETTERS: Final = 2**22
_MOST_OPENED: Final = 4  # tables whose rows stay on disk, for the next to ask
_OPENED: dict[tuple[Any, ...], Dataset] = {}


def rows(
    path: str | Path, axis: AxisKind, text: str = "", label: str = "", *, writes: bool = False
) -> Dataset:
    """The rows of a table, or the lines of a text file that are not empty; they stay on disk.

    ``text`` names the column with the texts, ``label`` that with their classes; by default they go
    by their usual names. For a model that ``writes`` a column ``target`` or ``translation`` holds
    what it should say. For a model of tables (``axis`` columns) an example is the row as a JSON
    object.

    Raises ``BadInput`` when the file cannot be read, has no such column or no text.
    """
    place = located(path)
    key = _key(place)
    asked = (key, place.name, axis, text, label, writes)
    if asked in _OPENED:
        return _OPENED[asked]
    lines = place.is_file() and place.suffix.lower() not in TABLES
    found = _lines(place, key) if lines else _table(place, key, axis, text, label, writes)
    while len(_OPENED) >= _MOST_OPENED:
        _OPENED.pop(next(iter(_OPENED)), None)
    _OPENED[asked] = found
    return found


def _key(place: Path) -> str:
    """The fingerprint of a file, or of the tables in a folder."""
    if not place.is_dir():
        return fingerprint(place) if check_file(place, math.inf) else ""
    tables = sorted(each for each in place.iterdir() if each.suffix.lower() in ENDINGS)
    return sha256_of_json([[each.name, fingerprint(each)] for each in tables if each.is_file()])


def _lines(place: Path, key: str) -> Dataset:
    import pyarrow as pa

    encoding = encoding_of(place, math.inf)
    spool = Spool(place, pa.schema([("text", pa.string())]), Picked(("text",), "text"), MOST_ROWS)
    empty, too_long = LeftOut(), []
    block: list[str] = []
    letters = 0
    for number, line in chain(lines(place, encoding), [(0, None)]):
        if line is None and number:
            too_long.append(number - 1)
            empty.add(f"line {number}", f"longer than {LONGEST_LINE // 2**20} MiB")
        elif number and not (line or "").strip():
            empty.add(f"line {number}", "an empty line")
        block.append(line or "")
        letters += len(line or "")
        if not number or len(block) >= _BLOCK_ROWS or letters > _BLOCK_LETTERS:
            some = block if number else block[:-1]
            spool.add(pa.record_batch([pa.array(some, pa.string())], names=["text"]))
            block, letters = [], 0
    table = Spooled({"": SpooledTable(*spool.done())})
    keep = _kept(table)
    if not len(keep):
        raise BadInput(f"'{place.name}' has no line with a text.", "Choose another file.")
    return _dataset(
        place,
        key,
        Numbered("line", keep),
        lambda row: Example(f"line {keep[row] + 1}", _bytes(table.text("text", keep[row]))),
        OnDemand({"text": partial(table.column_of_texts, "text")}, keep),
        notes=(encoding.note,) if encoding.note else (),
        skipped=empty.listed(),
    )


def _table(place: Path, key: str, axis: AxisKind, text: str, label: str, writes: bool) -> Dataset:
    where = f"'{place.name}'"
    role: dict[str, str] = {}

    def usual(names: Sequence[str], known: Sequence[str]) -> str:
        return next((name for name in names if name.lower().strip() in known), "")

    def choose(names: tuple[str, ...]) -> Picked:
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
        kept = tuple(dict.fromkeys([*role.values(), *names[:most]]))
        shown = tuple(name for name in kept if name not in role.values())[:MOST_COLUMNS]
        coded = (role["label"],) if "label" in role else ()
        return Picked(kept, role.get("text", ""), coded, shown)

    found = read(place, choose, max_rows=MOST_ROWS, max_bytes=math.inf)
    table, notes = found.rows, list(found.notes)
    left_out = found.left_out
    if left_out:
        notes.append(f"{counted(left_out.count, 'row')} that cannot be read left out")
    others = [n for n in table.names if n not in (*role.values(), found.split)]
    keep = _kept(table)
    if not len(keep):
        raise BadInput(f"{where} has no row with a text.", "Choose another column.")
    if gone := len(table) - len(keep):
        notes.append(f"{counted(gone, 'row')} without a text left out")
        for row in table.blank():
            left_out.add(f"row {row + 1}", "without a text")
    labels, classes = _labels(table, role, keep, where, asked=bool(label), notes=notes)
    shown = others[:MOST_COLUMNS]
    notes += table.misfits(shown)
    columns: dict[str, Column] = {name: partial(table.column, name) for name in shown}
    if parts := _parts(found, where):
        columns["part"] = lambda some: parts[0][parts[1][some]]

    def given(row: int) -> str:
        if "text" in role:
            return table.text(role["text"], row)
        return json.dumps({name: table.value(name, row) for name in others}, default=str)

    def example(place: int) -> Example:
        row = int(keep[place])
        said = table.text(role["output"], row) if "output" in role else ""
        return Example(f"row {row + 1}", _bytes(given(row)), (said,) if said.strip() else ())

    if "text" in role:
        columns["text"] = partial(table.column_of_texts, role["text"])
    else:
        columns["text"] = lambda some: np.array([short(given(int(row))) for row in some])
    ids = Numbered("row", keep)
    ondemand = OnDemand(columns, keep)
    skipped = left_out.listed()
    return _dataset(place, key, ids, example, ondemand, labels, classes, notes, skipped, dict(role))


def _kept(table: Spooled) -> Rows:
    """The rows that are not blank."""
    whole = np.ones(len(table), bool)
    whole[table.blank()] = False
    return np.flatnonzero(whole)


def _labels(
    table: Spooled,
    role: dict[str, str],
    keep: Rows,
    where: str,
    *,
    asked: bool,
    notes: list[str],
) -> tuple[Labels | None, tuple[str, ...]]:
    """Labels of the rows that are kept and their classes; none where they are too many."""
    if "label" not in role:
        return None, ()
    coded = table.coded(role["label"])
    if coded is None:
        name = role.pop("label")
        many = f"more than {MOST_VALUES:,} different values"
        if asked:
            raise BadInput(
                f"The column '{name}' of {where} has {many}: these are no classes.",
                "Name another column for the classes.",
            )
        notes.append(f"column '{name}' has {many}: these are no classes")
        return None, ()
    codes, names = coded
    codes = codes[keep]
    used = np.unique(codes)
    _, classes = numbered([names[code] for code in used])
    if not classes:
        return None, ()
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place.get(name, -1) for name in names], np.int64)[codes], classes


def _parts(found: TableFile, where: str) -> tuple[npt.NDArray[np.str_], Rows] | None:
    """The names of parts, and which of them each row belongs to; None without any."""
    given: Mapping[str, Rows] = {}
    if found.split:
        coded = found.rows.coded(found.split)
        if coded is None:
            raise BadInput(
                f"The column '{found.split}' of {where} has more than {MOST_VALUES:,} values.",
                "Expected train, val or test. Rename it.",
            )
        codes, names = coded
        used = np.unique(codes)
        inner = named_splits(
            [names[code] for code in used], f"The column '{found.split}' of {where}"
        )
        given = {part: np.flatnonzero(np.isin(codes, used[which])) for part, which in inner.items()}
    elif "" not in found.rows.tables:
        given = found.rows.parts()
    if not given:
        return None
    of_row = np.zeros(len(found.rows), np.int64)
    for number, places in enumerate(given.values(), start=1):
        of_row[places] = number
    return np.array(["", *given]), of_row


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _dataset(
    place: Path,
    key: str,
    ids: Sequence[str],
    read: Callable[[int], Example],
    columns: OnDemand,
    labels: Labels | None = None,
    classes: tuple[str, ...] = (),
    notes: Iterable[str] = (),
    skipped: tuple[Skipped, ...] = (),
    taken: Mapping[str, str] | None = None,
) -> Dataset:
    facts = [key, len(ids), list(classes), sorted((taken or {}).items())]
    return Dataset(
        name=place.name,
        ids=ids,
        read=read,
        fingerprint=sha256_of_json(facts),
        labels=labels,
        classes=classes,
        columns=columns,
        notes=tuple(notes),
        skipped=skipped,
        taken=taken or {},
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
