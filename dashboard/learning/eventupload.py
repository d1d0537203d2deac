"""Uploaded event files, kept in the workspace; archives are read member by member."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from core.data.members import DAMAGE, Bounds, opened
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
    archive, files = opened(
        io.BytesIO(data),
        name,
        bounds=Bounds(0, _LARGEST, _RATIO),
        counts=_is_event_file,
        again="Pack it anew, or give the path of the log directory instead.",
    )
    wanted = [each for each in files if _is_event_file(each)]
    if len(wanted) > _MOST_MEMBERS:
        raise BadInput(
            f"'{name}' holds {len(wanted):,} event files, at most {_MOST_MEMBERS:,} are taken from "
            "an archive.",
            "Give the path of the log directory instead.",
        )
    if not wanted:
        raise BadInput(f"'{name}' holds no event files.", "Expected names with 'tfevents' in them.")
    try:
        with archive:
            return {PurePosixPath(each): archive.read(files[each]) for each in wanted}
    except DAMAGE as error:
        raise BadInput(f"'{name}' cannot be unpacked: {error}.", "Pack it anew.") from None


def _is_event_file(path: str) -> bool:
    return "tfevents" in PurePosixPath(path).name
