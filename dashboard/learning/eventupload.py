"""Uploaded event files, kept in the workspace; archives are read member by member."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from core.errors import BadInput
from core.provenance import sha256
from core.store import write_atomically
from core.workspace import Workspace

_LARGEST = 512 * 1024**2
_MOST_MEMBERS = 2_000
_RATIO = 200  # event files do not compress better than that


def keep(place: Workspace, name: str, data: bytes) -> Path:
    """The folder in which an upload now lies: one event file, or the event files of a zip.

    Raises ``BadInput`` for anything else, ``StorageError`` when it cannot be written.
    """
    folder = place.logs.parent / "eventlogs" / sha256(data)[:16]
    if zipfile.is_zipfile(io.BytesIO(data)):
        members = _members(name, data)
    elif "tfevents" in name:
        members = {PurePosixPath(PurePosixPath(name).name): data}
    else:
        raise BadInput(
            f"'{name}' is neither an event file nor a zip of some.",
            "Expected events.out.tfevents.…, or a zip of the log directory.",
        )
    for path, content in members.items():
        write_atomically(folder / path, content)
    return folder


def _members(name: str, data: bytes) -> dict[PurePosixPath, bytes]:
    """Event files of an archive by their place in it."""
    found: dict[PurePosixPath, bytes] = {}
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [
                info
                for info in archive.infolist()
                if "tfevents" in PurePosixPath(info.filename).name and not info.is_dir()
            ]
            if len(infos) > _MOST_MEMBERS:
                raise BadInput(
                    f"'{name}' holds {len(infos):,} event files, at most {_MOST_MEMBERS:,} are "
                    "taken from an archive.",
                    "Give the path of the log directory instead.",
                )
            for info in infos:
                path = PurePosixPath(info.filename)
                if path.is_absolute() or ".." in path.parts or "\\" in info.filename:
                    raise BadInput(f"'{name}' names a file outside of itself.", "Pack it anew.")
                total += info.file_size
                if total > _LARGEST or info.file_size > _RATIO * max(info.compress_size, 1):
                    raise BadInput(
                        f"'{name}' holds more than {_LARGEST // 1024**2} MiB when unpacked.",
                        "Give the path of the log directory instead.",
                    )
                found[path] = archive.read(info)
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError) as error:
        raise BadInput(f"'{name}' cannot be unpacked: {error}.", "Pack it anew.") from None
    if not found:
        raise BadInput(f"'{name}' holds no event files.", "Expected names with 'tfevents' in them.")
    return found
