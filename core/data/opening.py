"""A person's own data: what lies at a path, and how it is read for a model of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.data import arraydata, arrowdata, filedata
from core.data.archive import Archive, is_zip
from core.data.arrays import read_arrays
from core.data.arrowset import INFO, is_saved, saved
from core.data.arrowset import opened as arrow_file
from core.data.examples import Dataset
from core.data.files import ENDINGS, TEXT_ENDINGS, Folder, fingerprint
from core.data.ondemand import taken
from core.data.ownexamples import rows
from core.data.splits import listed, split_name
from core.data.textlist import TABLES
from core.errors import BadInput
from core.models.card import ModelCard
from core.paths import located
from core.provenance import sha256_of_json

WAYS = (
    "Expected a zip or a folder of class folders, an array of images (.npy, .npz), or rows with "
    "pictures (Parquet, or a data set that save_to_disk wrote)."
)


_LOOKED_AT = 256


@dataclass(frozen=True)
class Wanted:
    """What a model reads, and the columns to take it from where a person names them."""

    model: ModelCard
    text: str = ""
    label: str = ""

    @property
    def pictures(self) -> bool:
        """Whether it reads pictures."""
        return self.model.task.axis == "pixels"

    @property
    def writes(self) -> bool:
        """Whether it writes, so that data may say what it should."""
        return not self.model.classes


def opened(path: str | Path, model: ModelCard, text: str = "", label: str = "") -> Dataset:
    """The data at a path as ``core.data.dataset.dataset`` reads them, with their own classes.

    Raises ``BadInput`` when there is nothing that the model can read, with what was expected.
    """
    place = located(path)
    found = _opened(place, Wanted(model, text, label))
    if found.labels is None and not label and (name := _classes_in(found, model)):
        found = _opened(place, Wanted(model, text, name))
        note = f"column '{name}' holds names of classes of the model"
        return replace(found, notes=(*found.notes, note))
    return found


def _classes_in(found: Dataset, model: ModelCard) -> str:
    """The only column whose first values are all names of classes of the model, or nothing."""
    known = {each.strip().casefold() for each in model.classes}
    columns = taken(found.columns, np.arange(min(len(found.ids), _LOOKED_AT)))
    hits = []
    for name in columns:
        if name in (found.taken.get("text"), "text", "part"):
            continue
        values = {str(each).strip().casefold() for each in columns[name]} - {""}
        if values and values <= known and not all(each.isdecimal() for each in values):
            hits.append(name)
    return hits[0] if len(hits) == 1 else ""


def _opened(place: Path, wanted: Wanted) -> Dataset:
    model, text, label = wanted.model, wanted.text, wanted.label
    if place.is_dir():
        return _folder(place, wanted)
    first = _first(place)
    if first.startswith((b"\x93NUMPY", b"ARROW1", b"\xff\xff\xff\xff")):
        return _file(place, place.name, wanted, fingerprint(place))
    if first.startswith(b"PAR1") and wanted.pictures:
        return _file(place, place.name, wanted, fingerprint(place))
    if is_zip(place):
        return _zip(Archive(place), wanted, fingerprint(place))
    if wanted.pictures:
        missing = "is no data set of pictures" if place.is_file() else "does not exist"
        raise BadInput(f"'{place}' {missing}.", WAYS)
    return rows(place, model.task.axis, text, label, writes=wanted.writes)


def _first(place: Path) -> bytes:
    try:
        with place.open("rb") as file:
            return file.read(8)
    except OSError:
        return b""  # whoever reads it says why it cannot be


def _folder(place: Path, wanted: Wanted) -> Dataset:
    if is_saved(place):
        files = saved(place)
        facts = [[each.path.name, fingerprint(each.path)] for each in files]
        return arrowdata.rows(files, place.name, sha256_of_json(facts), wanted)
    if wanted.pictures:
        return filedata.pictures(Folder.opened(place), str(place))
    tables = [each for each in place.iterdir() if each.suffix.lower() in TABLES]
    if wanted.model.task.axis == "tokens" and not tables:
        tree = Folder.opened(place)
        if any(name.lower().endswith(TEXT_ENDINGS) for name in tree.names):
            return filedata.texts(tree, str(place))
    return rows(place, wanted.model.task.axis, wanted.text, wanted.label, writes=wanted.writes)


def _file(place: Path, name: str, wanted: Wanted, key: str) -> Dataset:
    """An array, or a file of rows with pictures."""
    if _first(place).startswith((b"\x93NUMPY", b"PK")):
        return arraydata.examples(read_arrays(place, name), name, key, wanted)
    return arrowdata.rows((arrow_file(place),), name, key, wanted)


def _zip(archive: Archive, wanted: Wanted, key: str) -> Dataset:
    names = {name: name.lower() for name in archive.names}

    def ending(*endings: str) -> list[str]:
        return [name for name, small in names.items() if small.endswith(endings)]

    if names and all(small.endswith(".npy") for small in names.values()):  # what an .npz is
        return _file(archive.path, archive.name, wanted, key)
    if arrows := ending(".arrow"):
        return _saved(archive, arrows, wanted, key)
    pictures = ending(*ENDINGS) if wanted.pictures else []
    alone = len(pictures) == 1 and not archive.folders and ending(".npz", ".npy", ".parquet")
    if pictures and not alone:
        return filedata.pictures(archive, archive.name)
    if len(arrays := ending(".npz", ".npy")) == 1:
        place = archive.unpacked({arrays[0]: f"array{Path(arrays[0]).suffix.lower()}"})
        return _kept(archive, _file(place / _only(place), archive.name, wanted, key))
    if wanted.pictures and (tables := ending(".parquet", ".pq")):
        ours = {name: f"{number:05d}.parquet" for number, name in enumerate(sorted(tables))}
        place = archive.unpacked(ours)
        files = [
            arrow_file(place / ours[name], split_name(_word(name)) or "") for name in sorted(tables)
        ]
        return _kept(archive, arrowdata.rows(tuple(files), archive.name, key, wanted))
    if not wanted.pictures and (tables := ending(*TABLES, ".json")):
        return _tables(archive, tables, wanted, key)
    if wanted.model.task.axis == "tokens" and (found := ending(*TEXT_ENDINGS)):
        if len(found) > 1:
            return filedata.texts(archive, archive.name)
        place = archive.unpacked({found[0]: "lines.txt"})
        read = rows(place / "lines.txt", "tokens", writes=wanted.writes)
        return replace(read, name=archive.name, fingerprint=key)
    inside = listed([each.name for each in archive.skipped] + list(archive.names), 4)
    raise BadInput(
        f"'{archive.name}' holds nothing that this model reads, only {inside or 'nothing'}.",
        WAYS if wanted.pictures else "Expected a table, a data set, or files with texts in it.",
    )


def _saved(archive: Archive, arrows: Sequence[str], wanted: Wanted, key: str) -> Dataset:
    """A data set that ``save_to_disk`` wrote: its files, by part, and what tells the columns."""
    ours: dict[str, str] = {}
    for number, name in enumerate(sorted(arrows)):
        part = split_name(Path(name).parent.name) or ""
        ours[name] = f"{part or 'all'}/{number:05d}.arrow"
        about = f"{Path(name).parent.as_posix()}/{INFO}".removeprefix("./")
        if about in archive.names and archive.size(about) < 2**24:
            ours[about] = f"{part or 'all'}/{INFO}"
    place = archive.unpacked(ours)
    whole = place / "all" if (place / "all").is_dir() else place
    return _kept(archive, arrowdata.rows(saved(whole), archive.name, key, wanted))


def _tables(archive: Archive, tables: Sequence[str], wanted: Wanted, key: str) -> Dataset:
    ours: Mapping[str, str] = {
        name: f"{split_name(_word(name)) or f'table {number}'}{Path(name).suffix.lower()}"
        for number, name in enumerate(sorted(tables), start=1)
    }
    if len(tables) > 1 and len(set(ours.values())) < len(ours):
        raise BadInput(
            f"'{archive.name}' has {len(tables)} tables: {listed(sorted(tables), 6)}.",
            "Keep one, or one for each of train, val and test.",
        )
    place = archive.unpacked(ours)
    found = rows(
        place / _only(place) if len(tables) == 1 else place,
        wanted.model.task.axis,
        wanted.text,
        wanted.label,
        writes=wanted.writes,
    )
    skipped = (*archive.skipped, *found.skipped)
    return replace(found, name=archive.name, fingerprint=key, skipped=skipped)


def _only(place: Path) -> str:
    return next(each.name for each in place.iterdir())


def _word(name: str) -> str:
    """``train`` of ``data/train-00000-of-00002.parquet``."""
    return Path(name).stem.split("-")[0]


def _kept(archive: Archive, found: Dataset) -> Dataset:
    """The same data, which keep what was unpacked for them."""

    def read(row: int) -> object:
        return archive and found.read(row)

    return replace(found, read=read)  # type: ignore[arg-type]
