"""The files of a folder or zip by part and class: which there are, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.data.files import ENDINGS, Files, Folder, Skipped
from core.data.image import ACCEPTED, MAX_BYTES
from core.data.splits import counted, natural, split_name
from core.errors import BadInput

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
        return Folder(root).read(self.name, MAX_BYTES)


@dataclass(frozen=True)
class Found:
    """The files that were looked for in natural order, the others, and what to say of them."""

    files: list[PictureFile]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def find_pictures(root: Path) -> Found:
    """The pictures below ``root`` in natural order, and what was left out.

    Raises ``BadInput`` when there are none, or no class folders.
    """
    if not root.is_dir():
        missing = "is a file" if root.is_file() else "does not exist"
        raise BadInput(f"'{root}' {missing}, expected a folder of class folders.", _LAYOUT)
    return arranged(Folder.opened(root), str(root))


def arranged(
    tree: Files, where: str, endings: tuple[str, ...] = ENDINGS, noun: str = "picture"
) -> Found:
    """The files of certain ``endings`` by part and class. ``noun`` is what messages call them.

    Raises ``BadInput`` when there are none, or no class folders.
    """
    tops = _below(tree, "")
    parts = {name: part for name in tops if (part := split_name(name))}
    if len(parts) < len(tops) and not any(_below(tree, f"{name}/") for name in parts):
        parts = {}  # pictures of trains among other vehicles: a class of that name, not a part
    if len(set(parts.values())) < len(parts):
        raise BadInput(
            f"'{where}' has more than one folder for the same part: {', '.join(sorted(parts))}.",
            "Keep one of them.",
        )
    if parts and "train" not in parts.values():
        raise BadInput(f"'{where}' has {', '.join(sorted(parts))} and no folder train.", _LAYOUT)
    starts = {f"{name}/": part for name, part in sorted(parts.items())} or {"": ""}
    for start in starts:
        if not _below(tree, start):
            full = any(name.startswith(start) for name in tree.names)
            what = "has no class folders" if full else "is empty"
            raise BadInput(f"The folder '{where}{'/' * bool(start)}{start[:-1]}' {what}.", _LAYOUT)
    files: list[PictureFile] = []
    skipped = list(tree.skipped)
    for name in tree.names:
        first, _, rest = name.partition("/")
        start = f"{first}/" if first in parts else ""
        label, inside, _ = (rest if start else name).partition("/")
        if parts and not start:
            skipped.append(Skipped(name, "not in a folder train, val or test"))
        elif not name.lower().endswith(endings):
            skipped.append(Skipped(name, f"not named as a {noun}"))
        elif not inside:
            skipped.append(Skipped(name, "not in the folder of a class"))
        else:
            files.append(PictureFile(name, parts.get(first, ""), label))
    if not files:
        found = counted(len(tree.names), "other file")
        raise BadInput(
            f"There are no {noun}s in the class folders of '{where}', only {found}.",
            f"Pictures are files in {ACCEPTED} format with the ending of their format."
            if noun == "picture"
            else "Texts are files whose name ends with .txt or .md.",
        )
    if len(files) > MAX_FILES:
        raise BadInput(
            f"'{where}' has {len(files):,} {noun}s, at most {MAX_FILES:,} are read.",
            "Take a part of them.",
        )
    files.sort(key=lambda file: natural(file.name))
    named = [each for each in skipped if each.reason == f"not named as a {noun}"]
    notes = [f"{counted(len(named), 'file')} not named as a {noun} left out"] if named else []
    left = sorted(set(tops) - set(parts)) if parts else []
    notes += [f"the folder {name} left out" for name in left]
    return Found(files, tuple(skipped), tuple(notes))


def _below(tree: Files, start: str) -> list[str]:
    """The folders directly in a folder, which is given with its ``/``."""
    inside = (name.removeprefix(start) for name in tree.folders if name.startswith(start))
    return sorted(name for name in inside if "/" not in name)
