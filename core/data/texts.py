"""Texts with labels, and pairs of sentences that say the same in two languages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from core.data.cells import texts
from core.data.columns import MAX_ROWS, need, read_columns
from core.data.splits import (
    HELD_OUT,
    Positions,
    check_labels,
    counted,
    listed,
    split,
    split_name,
    with_validation,
)
from core.data.table import LABEL_NAMES, check_classes
from core.data.tablefile import MAX_SKIPPED
from core.data.textfile import read_lines
from core.errors import BadInput
from core.paths import located

Labels = npt.NDArray[np.int64]

TEXT_NAMES: Final = (
    "text",
    "sentence",
    "description",
    "review",
    "content",
    "document",
    "message",
    "title",
)


@dataclass(frozen=True)
class LabelledTexts:
    """One part: texts as they stand in the file, and their classes int64 ``[example]``."""

    texts: tuple[str, ...]
    labels: Labels

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def fingerprint(self) -> str:
        """SHA-256 over texts and labels."""
        return _fingerprint(self.texts, map(str, self.labels.tolist()))


@dataclass(frozen=True)
class SentencePairs:
    """One part: sentences, and the same ones in another language."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.sources)

    def fingerprint(self) -> str:
        """SHA-256 over all sentences."""
        return _fingerprint(self.sources, self.targets)


@dataclass(frozen=True)
class TextData:
    """What ``read_texts`` found: ``parts`` by name (train, val, test), ``skipped`` rows with a
    reason, ``notes`` on what was assumed.
    """

    parts: Mapping[str, LabelledTexts]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PairData:
    """What ``read_pairs`` found: ``parts`` by name, ``names`` of source and target, ``skipped`` and
    ``notes`` as in ``TextData``.
    """

    parts: Mapping[str, SentencePairs]
    names: tuple[str, str]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def read_texts(
    path: str | Path,
    *,
    text: str = "text",
    label: str = "label",
    seed: int = 0,
    held_out: Mapping[str, float] = HELD_OUT,
    max_rows: int = MAX_ROWS,
    max_skipped: float = MAX_SKIPPED,
) -> TextData:
    """Texts and labels from two columns of a table (CSV, TSV, JSON Lines or Parquet; or a folder
    with one file per part).

    Rows without a text or label are skipped. Parts are those of a column ``split``, or drawn by
    ``seed``; a text that occurs more than once is drawn as often.

    Raises ``BadInput`` as ``read_columns`` does, and for a missing column (it says which there
    are), a single class, a label that training does not have, and labels that are no classes.
    """
    where = f"'{Path(path).name}'"
    picked: list[str] = []

    def choose(names: tuple[str, ...]) -> list[str]:
        of_label = need(names, label, where, LABEL_NAMES if label == "label" else ())
        others = [name for name in names if name != of_label]
        of_text = need(others, text, where, TEXT_NAMES if text == "text" else ())
        picked[:] = [of_text, of_label]
        return picked.copy()

    columns = read_columns(path, choose, max_rows=max_rows, max_skipped=max_skipped)
    found = [each.strip() for each in texts(columns.frame[picked[0]])]
    spelt = np.asarray([each.strip() for each in texts(columns.frame[picked[1]])], dtype=object)
    usable = np.asarray([bool(a and b) for a, b in zip(found, spelt, strict=True)])
    notes = [*columns.notes, *_left_out(usable, "row", "without a text or label")]
    if not usable.any():
        raise BadInput(f"{where} has no row with a text and a label.", "Choose other columns.")
    check_classes(spelt[usable].tolist(), f"The column '{picked[1]}' of {where}")
    if columns.parts is None:
        check_labels({"train": spelt[usable]}, where)
    else:
        check_labels({part: spelt[r[usable[r]]] for part, r in columns.parts.items()}, where)
    parts = _parts(columns.parts, usable, spelt, seed, held_out)
    classes = check_labels({part: spelt[rows] for part, rows in parts.items()}, where)
    number = {name: position for position, name in enumerate(classes)}
    divided = {
        part: LabelledTexts(
            tuple(found[row] for row in rows),
            np.asarray([number[each] for each in spelt[rows]], np.int64),
        )
        for part, rows in parts.items()
    }
    notes += _repeated({part: each.texts for part, each in divided.items()})
    return TextData(divided, classes, columns.skipped, tuple(notes))


def read_pairs(
    path: str | Path,
    other: str | Path | None = None,
    *,
    source: str = "source",
    target: str = "target",
    seed: int = 0,
    held_out: Mapping[str, float] = HELD_OUT,
    max_rows: int = MAX_ROWS,
    max_skipped: float = MAX_SKIPPED,
) -> PairData:
    """Pairs of sentences: line n of the text file ``path`` and line n of ``other``.

    Without ``other``, ``path`` is a folder with two text files, named by their languages
    (``en.txt`` and ``es.txt``: in the order of their names), or per part (``train.en``,
    ``train.es``, ``val.en`` …); or a table with columns ``source`` and ``target`` (or with two
    columns). Pairs of which one side is empty are skipped.

    Raises ``BadInput`` when the files do not have the same number of lines, and as ``read_columns``
    and ``read_lines`` do.
    """
    place = located(path)
    if other is not None:
        files = {"": (place, located(other))}
        return _parallel(files, seed, held_out)
    if place.is_dir() and (found := _pairs_of_files(place)):
        return _parallel(found, seed, held_out)
    if place.is_file() and place.suffix.lower() == ".txt":
        raise BadInput(
            f"'{place.name}' is one text file, two are needed.",
            "Give a folder with two text files of equal length, or a table with two columns.",
        )
    where = f"'{place.name}'"
    picked: list[str] = []

    def choose(names: tuple[str, ...]) -> list[str]:
        if len(names) == 2 and (source, target) == ("source", "target") and source not in names:
            picked[:] = names
        else:
            picked[:] = [need(names, source, where), need(names, target, where)]
        return picked.copy()

    columns = read_columns(place, choose, max_rows=max_rows, max_skipped=max_skipped)
    notes = list(columns.notes)
    if picked != [source, target]:
        notes.append(f"columns '{picked[0]}' and '{picked[1]}' are taken as source and target")
    sides = [[each.strip() for each in texts(columns.frame[name])] for name in picked]
    return _paired(
        where,
        (picked[0], picked[1]),
        (sides[0], sides[1]),
        columns.parts,
        (seed, held_out),
        columns.skipped,
        notes,
    )


def _parallel(
    files: Mapping[str, tuple[Path, Path]], seed: int, held_out: Mapping[str, float]
) -> PairData:
    sources: list[str] = []
    targets: list[str] = []
    notes: list[str] = []
    parts: dict[str, Positions] = {}
    for part, (first, second) in files.items():
        (ours, said), (theirs, also_said) = read_lines(first), read_lines(second)
        for lines, others in ((ours, theirs), (theirs, ours)):
            while len(lines) > len(others) and not lines[-1].strip():
                lines.pop()  # empty lines at the end of a file are no sentences
        if len(ours) != len(theirs):
            raise BadInput(
                f"'{first.name}' has {counted(len(ours), 'line')} and '{second.name}' "
                f"{counted(len(theirs), 'line')}: they are not parallel.",
                "Line n of one must be the translation of line n of the other.",
            )
        parts[part] = np.arange(len(sources), len(sources) + len(ours))
        sources += [line.strip() for line in ours]
        targets += [line.strip() for line in theirs]
        notes += [*said, *also_said]
    first, second = next(iter(files.values()))
    names = (first.stem, second.stem) if "" in files else (first.suffix[1:], second.suffix[1:])
    where = f"'{first.name}' and '{second.name}'"
    given = None if "" in files else parts
    return _paired(where, names, (sources, targets), given, (seed, held_out), (), notes)


def _paired(
    where: str,
    names: tuple[str, str],
    sides: tuple[Sequence[str], Sequence[str]],
    given: Mapping[str, Positions] | None,
    drawing: tuple[int, Mapping[str, float]],
    skipped: Sequence[str],
    notes: Iterable[str],
) -> PairData:
    usable = np.asarray([bool(a and b) for a, b in zip(*sides, strict=True)])
    if not usable.any():
        raise BadInput(f"There is no pair of sentences in {where}.", "Check the files.")
    parts = _parts(given, usable, None, *drawing)
    divided = {
        part: SentencePairs(*(tuple(side[row] for row in rows) for side in sides))
        for part, rows in parts.items()
    }
    said = [*notes, *_left_out(usable, "pair", "of which one side is empty")]
    said += _repeated({part: each.sources for part, each in divided.items()})
    return PairData(divided, names, tuple(skipped), tuple(said))


def _parts(
    given: Mapping[str, Positions] | None,
    usable: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.object_] | None,
    seed: int,
    held_out: Mapping[str, float],
) -> dict[str, Positions]:
    spelt = None if labels is None else labels.astype(str)
    if given is not None:
        kept = {part: rows[usable[rows]] for part, rows in given.items()}
        return with_validation(kept, spelt, seed)
    rows = np.flatnonzero(usable)
    drawn = split(None if spelt is None else spelt[rows], len(rows), seed, held_out)
    return {part: rows[positions] for part, positions in drawn.items()}


def _pairs_of_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Two text files per part; empty where the folder has none such (it may hold tables)."""
    tables = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
    files = sorted(
        each
        for each in folder.iterdir()
        if each.is_file() and not each.name.startswith(".") and each.suffix.lower() not in tables
    )
    by_part: dict[str, list[Path]] = {}
    for each in files:
        part = split_name(each.stem)
        if part:
            by_part.setdefault(part, []).append(each)
    if "train" not in by_part:
        texts_alone = [each for each in files if each.suffix.lower() == ".txt"] or files
        by_part = {"": texts_alone} if texts_alone else {}
    order = [part for part in ("", "train", "val", "test") if part in by_part]
    for part in order:
        if len(by_part[part]) != 2:
            what = f" for {part}" if part else ""
            raise BadInput(
                f"'{folder}' has {counted(len(by_part[part]), 'text file')}{what} "
                f"({listed([each.name for each in by_part[part]])}), expected two.",
                "Put one file per language there, of equal length.",
            )
    return {part: (by_part[part][0], by_part[part][1]) for part in order}


def _left_out(usable: npt.NDArray[np.bool_], noun: str, why: str) -> list[str]:
    count = int((~usable).sum())
    return [f"{counted(count, noun)} {why} skipped"] if count else []


def _repeated(parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Notes on texts that are held out and were seen in training all the same."""
    train = set(parts["train"])
    counts = {part: sum(text in train for text in each) for part, each in parts.items()}
    return [
        f"{count:,} of {counted(len(parts[part]), 'text')} in {part} also in train"
        for part, count in counts.items()
        if count and part != "train"
    ]


def _fingerprint(*columns: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for column in columns:
        for text in column:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(f"{len(raw)} ".encode())
            digest.update(raw)
        digest.update(b"\n")
    return digest.hexdigest()
