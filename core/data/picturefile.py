"""The picture files of an image folder: which there are, their part and class, their bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.data.image import ACCEPTED, MAX_BYTES
from core.data.splits import counted, natural, split_name
from core.errors import BadInput

ENDINGS: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MAX_FILES: Final = 5_000_000
_LAYOUT: Final = (
    "Expected train/ and val/ with one folder of pictures per class in each, or one folder per "
    "class."
)


@dataclass(frozen=True)
class PictureFile:
    """One file of the folder: its path from there with ``/``, part, class and content."""

    name: str
    part: str
    label: str
    digest: str = ""
    reason: str = ""

    def read(self, root: Path) -> bytes:
        """The bytes of the file.

        Raises ``BadInput`` when it is gone, empty, or larger than 64 MiB.
        """
        try:
            path = root / self.name
            size = path.stat().st_size
            if 0 < size <= MAX_BYTES:
                return path.read_bytes()
        except OSError as error:
            raise BadInput(
                f"'{self.name}' cannot be read: {error.strerror or error}.", "Check the file."
            ) from None
        if not size:
            raise BadInput(f"'{self.name}' is empty (0 bytes).", "Remove it.")
        raise BadInput(f"'{self.name}' has more than {MAX_BYTES // 2**20} MiB.", "Make it smaller.")


def find_pictures(root: Path) -> tuple[list[PictureFile], tuple[str, ...]]:
    """The pictures below ``root`` in natural order, and notes on what was left out.

    Raises ``BadInput`` when there are none, or no class folders.
    """
    if not root.is_dir():
        missing = "is a file" if root.is_file() else "does not exist"
        raise BadInput(f"'{root}' {missing}, expected a folder of class folders.", _LAYOUT)
    folders = {each.name: each for each in _folders(root)}
    parts = {name: part for name in folders if (part := split_name(name))}
    if len(parts) < len(folders) and not any(_folders(root / name) for name in parts):
        parts = {}  # pictures of trains among other vehicles: a class of that name, not a part
    if len(set(parts.values())) < len(parts):
        raise BadInput(
            f"'{root}' has more than one folder for the same part: {', '.join(sorted(parts))}.",
            "Keep one of them.",
        )
    if parts and "train" not in parts.values():
        raise BadInput(f"'{root}' has {', '.join(sorted(parts))} and no folder train.", _LAYOUT)
    tops = [(part, root / name) for name, part in sorted(parts.items())] or [("", root)]
    files: list[PictureFile] = []
    others = 0
    for part, top in tops:
        classes = _folders(top)
        for folder in classes:
            for name in _walk(folder, root):
                if name.lower().endswith(ENDINGS):
                    files.append(PictureFile(name, part, folder.name))
                else:
                    others += 1
        if not classes:
            what = "is empty" if not any(top.iterdir()) else "has no class folders"
            raise BadInput(f"The folder '{top}' {what}.", _LAYOUT)
    if not files:
        found = counted(others, "other file")
        raise BadInput(
            f"There are no pictures in the class folders of '{root}', only {found}.",
            f"Pictures are files in {ACCEPTED} format with the ending of their format.",
        )
    if len(files) > MAX_FILES:
        raise BadInput(
            f"'{root}' has {len(files):,} pictures, at most {MAX_FILES:,} are read.",
            "Take a part of them.",
        )
    files.sort(key=lambda file: natural(file.name))
    notes = []
    if others:
        notes.append(f"{counted(others, 'file')} not named as a picture left out")
    left = sorted(set(folders) - set(parts)) if parts else []
    notes += [f"the folder {name} left out" for name in left]
    return files, tuple(notes)


def _folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir() and not _hidden(each.name)]


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _walk(folder: Path, root: Path) -> list[str]:
    names = []
    for where, inner, found in os.walk(folder):
        inner[:] = [name for name in inner if not _hidden(name)]
        here = Path(where).relative_to(root).as_posix()
        names += [f"{here}/{name}" for name in found if not _hidden(name)]
    return names
