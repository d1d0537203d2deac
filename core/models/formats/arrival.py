"""What a page has opened for it: a file that was dropped on it, a folder that was named.

    models/.new-file-<sha256>/file/<name>   the file, from when it was dropped until it was opened
    models/.new-file-<sha256>/said.json     what was said of it

``bring`` and ``admit`` are verbs that want no model and start confined processes: they run beside
the engine's worker, in threads of the process that asks. Imports no torch.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import StorageError, UserError
from core.models.exported import own
from core.models.exported.description import Description
from core.models.formats import admitted, door
from core.models.formats.kind import Kind, kind_of
from core.models.reference import ModelRef
from core.progress import Meter
from core.provenance import sha256, sha256_of_file
from core.store import write_atomically
from core.workspace import Workspace

_SAID, _FILE = "said.json", "file"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Arrived:
    """A file that was opened: the model that it became, or what is ``missing`` for that."""

    added: own.Added | None
    missing: str = ""


@dataclass(frozen=True)
class Waiting:
    """A file that was dropped and is to be opened, and the digest of what was said of it."""

    path: Path
    said: str


def keep(place: Workspace, name: str, data: bytes, said: str = "") -> str:
    """Keep a file that was dropped until it was opened; its SHA-256, by which an address names it.

    Raises ``StorageError``.
    """
    digest = sha256(data)
    folder = _folder(place, digest)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        (folder / _FILE).mkdir(parents=True)
        write_atomically(folder / _SAID, said.encode())
        plain = re.sub(r"[^\w.() -]", "-", name)[-60:].lstrip(".") or "x"
        write_atomically(folder / _FILE / plain, data)
    except (OSError, StorageError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"The file cannot be kept: {reason.rstrip('.')}.", "Free some space on the disk."
        ) from None
    return digest


def waiting(place: Workspace, digest: str) -> Waiting | None:
    """The file with this SHA-256, where it is to be opened."""
    if _DIGEST.fullmatch(digest):
        with suppress(OSError, StopIteration):
            folder = _folder(place, digest)
            path = next((folder / _FILE).iterdir())
            return Waiting(path, sha256((folder / _SAID).read_bytes()))
    return None


def forget(place: Workspace, digest: str) -> None:
    """Remove a file that was opened, refused or cancelled."""
    if _DIGEST.fullmatch(digest):
        shutil.rmtree(_folder(place, digest), ignore_errors=True)


def bring(_: Any, __: Any, parameters: Mapping[str, Any], seed: int, meter: Meter) -> Arrived:
    """The verb ``bring``: take the file at ``path`` into the workspace at ``root``.

    Raises what ``core.models.formats.door.add`` does, ``Cancelled``.
    """
    path, place = Path(parameters["path"]), Workspace(Path(parameters["root"]))
    card = (path.parents[1] / _SAID).read_text(encoding="utf-8")
    said = Description.read(card) if card else None
    if kind_of(path) is not Kind.PROGRAM:
        try:
            return Arrived(door.add(path, said, "", place, meter))
        except UserError as error:
            if (place.models / f".new-{sha256_of_file(path)[:32]}" / own.FOUND).is_file():
                return Arrived(None, str(error))
            raise
    staged = own.stage(path, place, meter)
    if staged.known:
        return Arrived(own.Added(f"{own.PREFIX}{staged.folder.name}", staged.found, (), True))
    try:
        return Arrived(own.settle(staged, staged.said))
    except UserError as error:  # something is missing that a form asks for
        return Arrived(None, str(error))


def admit(_: Any, __: Any, parameters: Mapping[str, Any], seed: int, meter: Meter) -> list[str]:
    """The verb ``admit``: have the folder at ``path`` opened where it lies; notes on what of it is
    not obeyed.

    Raises what ``core.models.formats.admitted.home`` does, ``Cancelled``.
    """
    folder = Path(parameters["path"])
    admitted.home(folder, meter)
    return list(admitted.notes(folder))


def named(ref: ModelRef, _: str) -> ModelRef:
    """The loader of these verbs, which loads nothing."""
    return ref


def _folder(place: Workspace, digest: str) -> Path:
    return place.root / "models" / f".new-file-{digest[:32]}"
