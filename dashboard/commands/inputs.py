"""What people give a command: files and texts as examples, and folders to write to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from core.errors import BadInput, BadParameter, shortened

if TYPE_CHECKING:
    from core.models.card import ModelCard
    from core.tasks import Example

_LARGEST = 2**30  # bytes of a file that is read as a whole
_TEXT_FILES = (".txt", ".text", ".md", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_ROWS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")
_CUTS = ("start", "middle", "end")


def examples(
    model: ModelCard,
    files: Sequence[Path],
    texts: Sequence[str] = (),
    outputs: Sequence[str] = (),
    cut: str = "end",
    column: str = "",
) -> tuple[list[Example], list[str]]:
    """Examples for a model, in the order given, files first; and notes on what was assumed.

    For a model that reads texts or tables a table is one example per row.

    Raises ``BadInput`` for a file that cannot be read and for nothing at all, ``BadParameter`` for
    options that do not fit the model.
    """
    reads_text = model.task.axis == "tokens"
    _check(model, texts, outputs, cut)
    found: list[Example] = []
    notes: list[str] = []
    for path in files:
        if model.task.axis == "columns" and path.suffix.lower() in _ROWS:
            rows, said = _rows(model, path)
            found += rows
            notes += said
        elif reads_text and path.suffix.lower() in _tables():
            from core.data.textlist import read_list

            rows, said = read_list(path, column)
            found += rows
            notes += said
        else:
            found.append(file(path))
    found += [text(each) for each in texts]
    if not found:
        raise BadInput(
            "There is nothing to explain.",
            "Name a file, or give --text 'some words'." if reads_text else "Name an image file.",
        )
    where = cast(Literal["start", "middle", "end"], cut)
    return [replace(each, outputs=tuple(outputs), cut=where) for each in found], notes


def _rows(model: ModelCard, path: Path) -> tuple[list[Example], list[str]]:
    """The rows of a table with the columns that the model reads, and notes on what is not there."""
    import json

    from core.data.matching import as_read, features_of, matched, told
    from core.data.ownexamples import rows as rows_of
    from core.tasks import Example

    table = rows_of(path, "columns")
    given = [json.loads(each.data) for each in table.examples(range(len(table)))]
    matches = matched(features_of(model.raw), given)
    made = [
        Example(f"{path.stem}-{number}.json", json.dumps(row).encode())
        for number, row in enumerate(as_read(matches, given), start=1)
    ]
    return made, [*table.notes, *told(matches, given)]


def file(path: Path) -> Example:
    """A file as an example. Raises ``BadInput`` when it cannot be read."""
    from core.tasks import Example

    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(f"'{path}' has more than {_LARGEST // 2**30} GiB.", "Take a part of it.")
        return Example(path.name, path.read_bytes())
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"'{path}' cannot be read: {reason}.", "Check the path.") from None


def text(words: str) -> Example:
    """A text as an example, bytes that are not UTF-8 and all. Raises ``BadInput`` when empty."""
    from core.tasks import Example

    if not words:
        raise BadInput("The text is empty.", "Write something.")
    return Example("text", words.encode("utf-8", "surrogateescape"))


def given(
    model: ModelCard,
    each: Sequence[str],
    cut: str = "end",
    column: str = "",
    outputs: Sequence[str] = (),
) -> tuple[list[Example], list[str]]:
    """``examples`` of texts and paths of files as they stand on a command line, files first."""
    if model.task.axis != "tokens":
        return examples(model, [Path(path) for path in each], (), outputs, cut, column)
    files: list[Path] = []
    texts: list[str] = []
    for one in each:
        paths, words = file_or_text(one)
        files += paths
        texts += words
    return examples(model, files, texts, outputs, cut, column)


def file_or_text(given: str) -> tuple[list[Path], list[str]]:
    """What a person means: the path of a file that there is, or else a text.

    Raises ``BadInput`` for what looks like the path of a file and is none.
    """
    try:
        if Path(given).is_file():
            return [Path(given)], []
    except (OSError, ValueError):  # too long for a path
        return [], [given]
    single = len(given.split()) == 1
    if single and (Path(given).suffix.lower() in _TEXT_FILES or Path(given).is_dir()):
        raise BadInput(f"There is no file '{shortened(given)}'.", "Check the path.")
    return [], [given]


def names(found: Sequence[Example]) -> list[str]:
    """Stems of files to write, one per example: its own name's, with the suffix where two are of
    the same stem, or a number.
    """
    taken: set[str] = set()
    stems = []
    for each in found:
        path = Path(each.name)
        candidates = [path.stem, path.name.replace(".", "-")]
        candidates += [f"{path.stem}-{number}" for number in range(2, len(found) + 2)]
        stem = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(stem)
        stems.append(stem)
    return stems


def folder(path: Path) -> Path:
    """A folder to write to, made if it is not there. Raises ``BadParameter`` when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(
            f"Cannot write to '{path}': {error.strerror or error}.", "Choose another --out folder."
        ) from None
    return path


def _tables() -> tuple[str, ...]:
    from core.data.textlist import TABLES

    return TABLES


def _check(model: ModelCard, texts: Sequence[str], outputs: Sequence[str], cut: str) -> None:
    if model.task.axis != "tokens" and (texts or outputs):
        raise BadParameter(f"'{model.name}' does not read texts.", "Name image files instead.")
    if outputs and model.classes:
        raise BadParameter(
            f"--output is given, but '{model.name}' writes nothing.",
            "Leave it out; it is for translators and language models.",
        )
    if len(outputs) > 2:
        raise BadParameter(
            f"--output is given {len(outputs)} times.", "Give one, or two to be contrasted."
        )
    if cut not in _CUTS:
        raise BadParameter(
            f"--cut is '{shortened(cut, 60)}', expected one of {', '.join(_CUTS)}.",
            "Leave it out to cut at the end.",
        )
