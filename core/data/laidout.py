"""A person's own data for training as recipes read them: a folder or a file, also out of a zip."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.data.archive import Archive, is_zip
from core.data.files import ENDINGS
from core.errors import BadInput

_MOST: Final = 2
_KEPT: Final[dict[tuple[str, int, int], tuple[Archive, Path]]] = {}


def laid_out(path: Path) -> Path:
    """The same path; of a zip the folder with its files, or the only one, unpacked until this
    process ends or has unpacked two others.

    Raises ``BadInput`` as ``core.data.archive.Archive`` does, ``StorageError`` when they do not fit
    on the disk.
    """
    if not path.is_file() or not is_zip(path):
        return path
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key in _KEPT:
        return _KEPT[key][1]
    archive = Archive(path)
    if not archive.names:
        raise BadInput(f"'{path.name}' holds nothing that is read.", "Make a zip of the files.")
    home = archive.unpacked({name: f"{path.stem or 'data'}/{name}" for name in archive.names})
    while len(_KEPT) >= _MOST:
        _KEPT.pop(next(iter(_KEPT)))
    _KEPT[key] = archive, _down(home / (path.stem or "data"))
    return _KEPT[key][1]


def _down(place: Path) -> Path:
    """The only file in a folder, or the folder that holds all, unless it is one of pictures."""
    inside = list(place.iterdir())
    if len(inside) > 1:
        return place
    (only,) = inside
    if only.is_file():
        return place if only.suffix.lower() in ENDINGS else only
    if any(each.suffix.lower() in ENDINGS for each in only.iterdir()):
        return place
    return _down(only)
