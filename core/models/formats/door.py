"""The one door for models of one's own: what comes is looked at, taken by the way of its kind, and
kept in the workspace as ``own:<name>``. Imports no torch.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from core.confinement.folders import remove
from core.data.archive import Archive
from core.errors import BadModel, StorageError, shortened
from core.models.exported import choice, own
from core.models.exported.description import Description
from core.models.exported.opening import opened
from core.models.formats.kind import KNOWN, Kind, graphs_in, kind_of
from core.models.formats.onnxbytes import digest
from core.paths import read_json
from core.progress import Meter
from core.provenance import sha256, sha256_of_file
from core.store import write_atomically
from core.workspace import Workspace, workspace

_WORKER = "core.models.formats.taking"
_LARGEST_CARD = 32 * 2**20


def add(
    path: Path,
    said: Description | None = None,
    name: str = "",
    place: Workspace | None = None,
    meter: Meter | None = None,
) -> own.Added:
    """Take a file or a folder into the workspace, after it was looked over and opened in a process
    of its own. The same bytes are kept once; what is said of them anew goes before what was said.

    Raises ``UnknownName`` when there is nothing, ``BadModel`` for what is not taken and why,
    ``BadParameter`` for a name that cannot be one or is taken, ``StorageError`` when it cannot be
    stored.
    """
    kind = kind_of(path)
    if kind is Kind.PROGRAM:
        return own.add(path, said, name, place)
    if kind is Kind.ONNX and path.is_dir():
        (graph,) = graphs_in(path)
        return _taken(graph, graph, said, name, place, meter)
    if kind not in (Kind.FOLDER_ZIP, Kind.ONNX_ZIP):
        return _taken(path, path, said, name, place, meter)
    archive, unpacked = _unpacked(path) if kind is Kind.FOLDER_ZIP else _graph_unpacked(path)
    try:
        return _taken(unpacked, path, said, name, place, meter)
    finally:
        del archive  # with it goes what was unpacked


def _taken(
    path: Path,
    came: Path,
    said: Description | None,
    name: str,
    place: Workspace | None,
    meter: Meter | None,
) -> own.Added:
    """``path`` is what is opened of the file that ``came``."""
    file = came.name
    beside = _beside(path)
    root = (place or workspace()).models
    key = _digest(path)
    known = _with(key, root)
    if known is not None and said is None and beside is None and name in ("", known.name):
        about = read_json(known / own.CARD)
        return own.Added(f"{own.PREFIX}{known.name}", about["found"], (), True)
    whole = (said or Description()).over(beside or Description())
    if known is not None:
        before = own.at(known)
        if choice.offered(before.found):
            before = own.looking(before, whole.look_into)
        kept = {n: v for n, v in before.said.held.items() if n not in whole.look_into}
        whole = whole.over(replace(before.said, held=kept))
    chosen = own.chosen_name(root, name, file, known)
    draft = root / f".new-{secrets.token_hex(20)}"
    try:
        draft.mkdir()
        (draft / "said.json").write_text(whole.written(), encoding="utf-8")
        take = opened if meter is None else partial(opened, meter=meter)
        found = take(path, draft / own.CARD, _WORKER)
        (draft / "said.json").unlink()
        about = read_json(draft / own.CARD)
        notes = tuple(map(str, found["notes"]))
        seen = about["found"]
        about["origin"] |= {"file": shortened(file), "sha256": key}
        if missing := about.pop("missing", ()):
            waits = sha256_of_file(came) if came.is_file() else key
            _wait(draft, about, root / f".new-{waits[:32]}")
            raise BadModel(*map(str, missing))
        write_atomically(draft / own.CARD, json.dumps(about, indent=1).encode())
        if known is not None:
            known.rename(draft / ".before")
        draft.rename(chosen)
        remove(chosen / ".before")
    except OSError as error:
        raise StorageError(
            f"'{shortened(file, 80)}' cannot be stored: {error.strerror or error}.",
            "Free some space, or choose another --workspace.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadModel(
            f"'{shortened(file, 80)}' broke the process that opened it.", "Export it again."
        ) from None
    finally:
        remove(draft)
    return own.Added(f"{own.PREFIX}{chosen.name}", seen, notes, known is not None)


def _wait(draft: Path, about: dict[str, Any], place: Path) -> None:
    """Let what was opened wait for what a person has still to say of it, as a program does."""
    write_atomically(draft / own.FOUND, json.dumps(about, indent=1).encode())
    (draft / own.CARD).unlink()
    remove(place)
    draft.rename(place)


def _unpacked(path: Path) -> tuple[Archive, Path]:
    """The files beside the one ``config.json`` in a zip, in a folder that lives as long as the
    archive. Raises ``BadInput`` as ``Archive`` does, ``BadModel`` where there are several.
    """
    archive = Archive(path)
    homes = [each.rpartition("/")[0] for each in archive.names if each.endswith("config.json")]
    homes = [each for each in homes if f"{each}/config.json".lstrip("/") in archive.names]
    if len(set(homes)) != 1:
        raise BadModel(
            f"'{shortened(path.name, 80)}' has {len(set(homes))} folders with a config.json.",
            "Make a zip of the folder of one model.",
        )
    start = f"{homes[0]}/" if homes[0] else ""
    inside = {each: each.removeprefix(start) for each in archive.names if each.startswith(start)}
    flat = {name: ours for name, ours in inside.items() if "/" not in ours}
    home = archive.unpacked({name: f"{_plain(path)}/{ours}" for name, ours in flat.items()})
    return archive, home / _plain(path)


def _graph_unpacked(path: Path) -> tuple[Archive, Path]:
    """The one graph of a zip, with the files beside it."""
    archive = Archive(path)
    graphs = [each for each in archive.names if each.lower().endswith(".onnx")]
    if len(graphs) != 1:  # the one there was is never read
        raise BadModel(f"'{shortened(path.name, 80)}' has no .onnx file to read.", KNOWN)
    start = graphs[0].rpartition("/")[0]
    flat = [each for each in archive.names if each.rpartition("/")[0] == start]
    home = archive.unpacked({each: f"{_plain(path)}/{each.rpartition('/')[2]}" for each in flat})
    return archive, home / _plain(path) / graphs[0].rpartition("/")[2]


def _plain(path: Path) -> str:
    """A name for a folder, after a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "model"


def _beside(path: Path) -> Description | None:
    """What the card beside a file says: ``net.safetensors.json``, or ``net.json``."""
    if path.is_dir():
        return None
    for place in (path.with_name(f"{path.name}.json"), path.with_suffix(".json")):
        if place.is_file() and place != path:
            if place.stat().st_size > _LARGEST_CARD:
                raise BadModel(f"The card '{place.name}' has more than 32 MiB.", "Shorten it.")
            return Description.read(place.read_text(encoding="utf-8", errors="replace"))
    return None


def _digest(path: Path) -> str:
    if path.is_file():
        return digest(path) if kind_of(path) is Kind.ONNX else sha256_of_file(path)
    files = sorted(each for each in path.iterdir() if each.is_file() and not each.is_symlink())
    return sha256("\n".join(f"{each.name} {sha256_of_file(each)}" for each in files).encode())


def _with(digest: str, root: Path) -> Path | None:
    """The folder of the model that these bytes became."""
    for path in sorted(root.glob(f"*/{own.CARD}")):
        try:
            about: Any = read_json(path)
            if about["origin"]["sha256"] == digest:
                return path.parent
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
