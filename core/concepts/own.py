"""A person's own examples of a concept: pictures, a ZIP archive of them, lines of a text, rows.

Imports no torch. Pictures are decoded only where computing happens.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from core.concepts.sets import ConceptSet
from core.data.dataset import Dataset, dataset
from core.data.files import ENDINGS
from core.data.splits import counted
from core.errors import BadInput
from core.models.card import ModelCard
from core.paths import located
from core.tasks import Example

MOST = 500  # examples of one concept that are read
_NOUNS = {"pixels": "picture", "tokens": "text", "columns": "row"}


def of_file(file: Example, about: ModelCard, name: str = "") -> ConceptSet:
    """The examples in one file, as ``core.data.dataset.dataset`` reads it for this model: a ZIP
    archive of pictures, a text with one text per line, a table …; or a single picture. The first
    500 are taken.

    Raises ``BadInput`` when there is none in it.
    """
    last = PurePath(file.name).name
    title = name or PurePath(last).stem
    if about.task.axis == "pixels" and PurePath(last).suffix.lower() in ENDINGS:
        return ConceptSet(title, examples=(file,), about=f"1 picture of {last}")
    with TemporaryDirectory() as folder:  # under its own last name, which messages say
        path = Path(folder) / last
        path.write_bytes(file.data)
        return _of_data(title, dataset(about, path), last, about)


def of_path(name: str, path: Path, about: ModelCard) -> ConceptSet:
    """The examples in a file or folder. Raises ``BadInput`` when there is none."""
    place = located(path)
    if about.task.axis == "pixels" and place.suffix.lower() in ENDINGS:
        try:
            return of_file(Example(place.name, place.read_bytes()), about, name)
        except OSError as error:
            raise BadInput(
                f"'{place}' cannot be read: {error.strerror or error}.", "Check the path."
            ) from None
    return _of_data(name, dataset(about, place), place.name, about)


def packed(name: str, files: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Several pictures as one archive, which an address can name: its file name and bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, (each, data) in enumerate(files, start=1):
            info = zipfile.ZipInfo(f"{number:03} {PurePath(each).name}")  # with a fixed date, so
            archive.writestr(info, data)  # that equal pictures make equal bytes
    return f"{name}.zip", buffer.getvalue()


def _of_data(name: str, data: Dataset, where: str, about: ModelCard) -> ConceptSet:
    taken = data.examples(range(min(len(data), MOST)))
    noun = counted(len(taken), _NOUNS[about.task.axis])
    return ConceptSet(name, examples=taken, about=f"{noun} of {where}")
