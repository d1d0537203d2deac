"""Data sets that people brought, in the workspace: kept once by content, under a name that can
change.

data/<key>/about.json    its name, when it came, its size, what it suits
data/<key>/content/…     the file as it came; nothing is unpacked
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from core.errors import BadInput, StorageError
from core.paths import located
from core.provenance import sha256, sha256_of_json
from core.store import write_atomically
from core.workspace import Workspace

_KEY: Final = re.compile(r"[0-9a-f]{16}")
_LONGEST: Final = 80


@dataclass(frozen=True)
class KeptData:
    """A data set by its ``key``. ``path`` is that of the file, or the folder on this machine that
    it stands for (``linked``); ``axis`` what kind of models read it, empty until one has.
    """

    key: str
    name: str
    created: str
    path: str
    linked: bool = False
    axis: str = ""

    @property
    def stamp(self) -> list[int]:
        """Size and time of what it stands for, which tell a change; zeros when it is gone."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return [0, 0]
        return [status.st_size, status.st_mtime_ns]


@dataclass(frozen=True)
class InHand:
    """Data as an address names them: the key, and the columns to take where a person chose."""

    key: str
    text: str = ""
    label: str = ""

    @classmethod
    def parsed(cls, name: str) -> InHand:
        """What ``str`` made."""
        key, text, label = [*name.split(","), "", ""][:3]
        return cls(key, unquote(text), unquote(label))

    def __str__(self) -> str:
        parts = [self.key, *(quote(each, safe="") for each in (self.text, self.label))]
        return ",".join(parts).rstrip(",")


def keep_data(place: Workspace, name: str, data: bytes) -> KeptData:
    """Keep an uploaded file; the same bytes are kept once, under their first name.

    Raises ``BadInput`` when it is empty, ``StorageError`` when it cannot be written.
    """
    shown = _shown(name) or "data"
    if not data:
        raise BadInput(f"'{shown}' is empty (0 bytes).", "Choose another file.")
    key = sha256(data)[:16]
    with suppress(BadInput):
        return kept_data(place, key)
    stem = re.sub(r"[^\w.-]+", "-", shown, flags=re.ASCII).strip(".-") or "data"
    path = place.data / key / "content" / stem[-_LONGEST:]
    try:
        write_atomically(path, data)
        return _written(place, KeptData(key, shown, _now(), str(path)))
    except StorageError:  # nothing half-written is left
        shutil.rmtree(place.data / key, ignore_errors=True)
        raise


def link_data(place: Workspace, path: str | Path, name: str = "") -> KeptData:
    """Name a file or folder of this machine as data, where it stays.

    Raises ``BadInput`` when there is none.
    """
    target = located(path)
    if not target.exists():
        raise BadInput(f"There is nothing at '{target}'.", "Check the path.")
    key = sha256_of_json(["linked", str(target)])[:16]
    shown = _shown(name) or _shown(target.name) or "data"
    return _written(place, KeptData(key, shown, _now(), str(target), linked=True))


def kept_data(place: Workspace, key: str) -> KeptData:
    """The data with this key.

    Raises ``BadInput`` when there are none (any more).
    """
    gone = BadInput(f"The data '{key[:40]}' are not kept on this machine.", "Bring them again.")
    if not _KEY.fullmatch(key):
        raise gone
    folder = place.root / "data" / key
    try:
        raw = json.loads((folder / "about.json").read_bytes())
        linked = bool(raw["linked"])
        path = str(raw["path"]) if linked else str(next((folder / "content").iterdir()))
        return KeptData(key, str(raw["name"]), str(raw["created"]), path, linked, str(raw["axis"]))
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise gone from None


def all_kept(place: Workspace) -> Iterator[KeptData]:
    """All of them, the newest first."""
    root = place.root / "data"
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        with suppress(BadInput):
            found.append(kept_data(place, folder.name))
    yield from sorted(found, key=lambda each: (each.created, each.key), reverse=True)


def asked(place: Workspace, own: str) -> dict[str, str]:
    """Data that an address names as verbs take them: ``path``, and ``text`` and ``label`` where
    they are told; nothing for an empty name, those that ship with the model.

    Raises ``BadInput`` when they are not kept here.
    """
    if not own:
        return {}
    named = InHand.parsed(own)
    found = {"path": kept_data(place, named.key).path, "text": named.text, "label": named.label}
    return {name: value for name, value in found.items() if value}


def rename_data(place: Workspace, key: str, name: str) -> KeptData:
    """The same data under another name.

    Raises ``BadInput`` for an empty one, and when there are no such data.
    """
    shown = _shown(name)
    if not shown:
        raise BadInput("The name is empty.", f"Give it a name of up to {_LONGEST} characters.")
    return _written(place, replace(kept_data(place, key), name=shown))


def suits(place: Workspace, key: str, axis: str) -> None:
    """Remember what kind of models have read these data."""
    found = kept_data(place, key)
    if found.axis != axis:
        _written(place, replace(found, axis=axis))


def forget_data(place: Workspace, key: str) -> None:
    """Remove data from the workspace; what a link points to stays.

    Raises ``BadInput`` when there are none.
    """
    kept_data(place, key)
    shutil.rmtree(place.root / "data" / key, ignore_errors=True)


def _written(place: Workspace, data: KeptData) -> KeptData:
    about = {name: value for name, value in asdict(data).items() if name != "key"}
    path = place.data / data.key / "about.json"
    write_atomically(path, json.dumps(about, ensure_ascii=False).encode())
    return data


def _shown(name: str) -> str:
    """A file name as people see it: its last part, in printable characters."""
    last = re.split(r"[/\\]", name)[-1]
    return " ".join("".join(c for c in last if c.isprintable()).split())[-_LONGEST:]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
