"""Files as a data set: a picture or a text in each, of the class whose folder they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.checked import faults, reasons_of_files
from core.data.examples import Dataset
from core.data.files import ENDINGS, TEXT_ENDINGS, Files, Skipped
from core.data.image import MAX_BYTES
from core.data.ownexamples import numbered
from core.data.picturefile import Found, PictureFile, arranged
from core.data.splits import counted, natural
from core.errors import BadInput
from core.provenance import sha256_of_json
from core.tasks import Example


def pictures(tree: Files, where: str) -> Dataset:
    """The pictures of a folder or zip: their class is the folder they lie in; without such folders
    they have none. What is no picture by its first and last bytes is skipped.

    Raises ``BadInput`` as ``arranged`` does, and when there is no picture that can be read.
    """
    found = _flat(tree, ENDINGS, "picture") or arranged(tree, where)
    names = [file.name for file in found.files]
    key = sha256_of_json(tree.facts(names))
    bad = faults(key, len(names), lambda: reasons_of_files(tree, names))
    if len(bad) == len(names):
        raise BadInput(f"No picture in '{where}' can be read. {bad[0]}", "Choose others.")
    return _dataset(tree, found, key, bad)


def texts(tree: Files, where: str) -> Dataset:
    """The texts of a folder or zip, one in each file, with the classes of ``pictures``.

    Raises ``BadInput`` as ``arranged`` does.
    """
    found = _flat(tree, TEXT_ENDINGS, "text") or arranged(tree, where, TEXT_ENDINGS, "text")
    key = sha256_of_json(tree.facts([file.name for file in found.files]))
    return _dataset(tree, found, key, {})


def _dataset(tree: Files, found: Found, key: str, bad: Any) -> Dataset:
    files = [file for row, file in enumerate(found.files) if row not in bad]
    skipped = [
        Skipped(found.files[row].name, reason.removeprefix(f"'{found.files[row].name}' "))
        for row, reason in sorted(bad.items())
    ]
    columns: dict[str, npt.NDArray[Any]] = {}
    if any(file.part for file in files):
        columns["part"] = np.array([file.part for file in files])
    labels, classes = numbered([file.label for file in files])
    notes = found.notes
    if bad:
        notes += (f"{counted(len(bad), 'file')} that cannot be read left out",)
    return Dataset(
        name=tree.name,
        ids=[file.name for file in files],
        read=lambda row: Example(files[row].name, tree.read(files[row].name, MAX_BYTES)),
        fingerprint=key,
        labels=labels,
        classes=classes,
        columns=columns,
        notes=notes,
        skipped=(*found.skipped, *skipped),
    )


def _flat(tree: Files, endings: tuple[str, ...], noun: str) -> Found | None:
    """The files where there are no folders."""
    if tree.folders:
        return None
    names = [name for name in tree.names if name.lower().endswith(endings)]
    if not names:
        return None
    files = [PictureFile(name, "", "") for name in sorted(names, key=natural)]
    reason = f"not named as a {noun}"
    others = [Skipped(name, reason) for name in tree.names if not name.lower().endswith(endings)]
    notes = (f"{counted(len(others), 'file')} {reason} left out",) if others else ()
    return Found(files, (*tree.skipped, *others), notes)
