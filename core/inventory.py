"""What lies in a workspace: everything by kind with its size and date, what is in use, and how it
is renamed or removed.

Things go by ``kind/name``, such as ``runs/digits-20261129-101500``. Results are one thing, and so
are finished jobs and logs.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.activations.shelf import LOCK
from core.compression.source import OWN
from core.confinement.folders import remove
from core.data.kept import all_kept, rename_data
from core.engine.job import FINISHED, UNFINISHED, jobs
from core.errors import BadInput, BadParameter, StorageError, UnknownName
from core.paths import read_json
from core.store import write_atomically
from core.training.run import runs
from core.workspace import Workspace

KINDS: Final = {
    "models": "Models",
    "compressed": "Smaller models",
    "opened": "Opened folders",
    "data": "Data",
    "runs": "Training runs",
    "captures": "Activations",
    "results": "Results",
    "uploads": "Uploads",
    "subsets": "Selections",
    "eventlogs": "Event files",
    "jobs": "Finished jobs",
    "logs": "Logs",
}
ALL: Final = "all"  # the name of what is one thing only
_NAME: Final = re.compile(r"[\w][\w .()+-]{0,79}")
_LONGEST: Final = 80


@dataclass(frozen=True)
class Kept:
    """One thing: ``size`` in bytes, ``used`` is Unix time of the last change, ``busy`` says why it
    cannot be removed at the moment; empty if it can.
    """

    kind: str
    name: str
    title: str
    size: int
    used: float
    paths: tuple[Path, ...]
    busy: str = ""

    @property
    def id(self) -> str:
        """How a person names it."""
        return f"{self.kind}/{self.name}"


def inventory(place: Workspace, busy: Iterable[str] = ()) -> tuple[Kept, ...]:
    """Everything in the workspace, the largest first within its kind, in the order of ``KINDS``.

    ``busy`` are texts in which the paths of what is used at the moment occur, such as parameters of
    calls under way; those of unfinished jobs are looked at anyway.
    """
    waiting = [json.dumps(job.parameters) for job in jobs(place) if job.state in UNFINISHED]
    texts = [*waiting, *busy]
    found = [each for kind in KINDS for each in _of(place, kind, texts)]
    order = list(KINDS)
    return tuple(sorted(found, key=lambda each: (order.index(each.kind), -each.size, each.name)))


def find(things: Iterable[Kept], text: str) -> Kept:
    """The thing called ``kind/name``, or by its title where only one is called so.

    Raises ``UnknownName`` with the nearest names, ``BadParameter`` where several have the title.
    """
    known = tuple(things)
    same = [each for each in known if text == each.id]
    same = same or [each for each in known if text in (each.title, each.name)]
    if len(same) > 1:
        names = ", ".join(each.id for each in same[:4])
        raise BadParameter(f"'{text}' may be one of {names}.", "Name it with its kind.")
    if not same:
        raise UnknownName.of(
            "thing in the workspace", text, (each.id for each in known), "`fluoroscope workspace`"
        )
    return same[0]


def delete(thing: Kept) -> int:
    """Remove it, and say how many bytes that frees.

    Raises ``BadParameter`` when it is in use, ``StorageError`` when it cannot be removed.
    """
    if thing.busy:
        raise BadParameter(
            f"'{thing.title}' is in use: {thing.busy}.", "Wait for it, or cancel it."
        )
    for path in thing.paths:
        try:
            if path.is_dir():
                gone = path.with_name(f".{path.name[:40]}-{secrets.token_hex(4)}.deleted")
                path.rename(gone)  # at once: nobody finds half of it
                remove(gone)
                if gone.exists():
                    raise OSError(errno.ENOTEMPTY, "not all of it can be removed")
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"'{path}' cannot be removed: {error.strerror or error}.", "Check its permissions."
            ) from None
    return thing.size


def rename(place: Workspace, thing: Kept, name: str) -> None:
    """Give it another name.

    Raises ``BadInput`` for an empty or unusable name, ``BadParameter`` for a thing that has none or
    a run that is in use.
    """
    words = " ".join("".join(c for c in name if c.isprintable()).split())[:_LONGEST]
    if not words:
        raise BadInput("The name is empty.", f"Give it a name of up to {_LONGEST} characters.")
    if thing.kind == "data":
        rename_data(place, thing.name, words)
    elif thing.kind == "runs":
        _rename_run(place, thing, words)
    elif (about := _about(thing)) is not None:
        path, key = about
        raw = _read(path)
        if not raw:
            raise BadInput(f"'{thing.title}' cannot be renamed: {path.name} is damaged.")
        said = raw.get("description")
        (said if isinstance(said, dict) else raw)[key] = words
        write_atomically(path, json.dumps(raw, ensure_ascii=False).encode())
    else:
        raise BadParameter(
            f"{KINDS[thing.kind]} have no names.", "Data, models, runs and uploads can be renamed."
        )


def _rename_run(place: Workspace, thing: Kept, name: str) -> None:
    if thing.busy:
        raise BadParameter(
            f"'{thing.title}' is in use: {thing.busy}.", "Wait for it, or cancel it."
        )
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise BadInput(f"'{name}' cannot be the name of a run.", "Use letters, digits, - and _.")
    target = thing.paths[0].with_name(name)
    if target.exists():
        raise BadInput(f"There is a run '{name}' already.", "Choose another name.")
    thing.paths[0].rename(target)
    # A cache: what names the model by its old name is made anew.
    for each in _visible(place.root / "captures"):
        if f'"run:{thing.name}' in json.dumps(_read(each / "capture.json")):
            shutil.rmtree(each, ignore_errors=True)


def _busy(thing: Kept) -> BadParameter:
    said = f"'{thing.title}' is in use: {thing.busy}."
    return BadParameter(said, "Wait for it, or cancel it.")


def _about(thing: Kept) -> tuple[Path, str] | None:
    """The file that says what it is called, and under which key."""
    first = thing.paths[0]
    known = {
        "models": (first / "card.json", "title"),
        "compressed": (first / "card.json", "title"),
        "uploads": (first.with_suffix(".json"), "name"),
        "subsets": (first, "name"),
    }
    return known.get(thing.kind)


def _of(place: Workspace, kind: str, texts: list[str]) -> Iterator[Kept]:
    root = place.root / kind
    if kind in ("results", "logs"):
        inside = [each for where in (root, place.apart.root / kind) for each in _visible(where)]
        if inside:
            yield _thing(kind, ALL, KINDS[kind], inside, "")
    elif kind == "jobs":
        over = [each.folder for each in jobs(place) if each.state in FINISHED]
        if over:
            yield _thing(kind, ALL, f"{len(over):,} finished", over, "")
    elif kind == "data":
        for data in all_kept(place):
            title = data.name + (f" (in {data.path})" if data.linked else "")
            yield _thing(kind, data.key, title, [root / data.key], _used(data.path, texts))
    elif kind == "runs":
        for run in runs(root):
            name = run.folder.relative_to(root).as_posix()
            busy = "it trains" if run.alive else _used(str(run.folder), texts)
            yield _thing(kind, name, name, [run.folder], busy)
    elif kind == "uploads":
        for path in _visible(root):
            if path.suffix != ".json":
                about = path.with_suffix(".json")
                title = str(_read(about).get("name", "")) or path.name[:12]
                yield _thing(kind, path.name, title, [path, about], "")
    elif kind == "subsets":
        for path in _visible(root):
            raw = _read(path)
            count = len(raw.get("rows", ()))
            title = str(raw.get("name") or "") or f"{count:,} examples"
            yield _thing(kind, path.stem, title, [path], "")
    else:
        for own, where in (("", root), (OWN, place.apart.root / kind)):
            for path in _visible(where):
                busy = _used(str(path), texts) or ("it is being written" if _locked(path) else "")
                yield _thing(kind, f"{own}{path.name}", _title(kind, path), [path], busy)


def _title(kind: str, path: Path) -> str:
    if kind == "captures":
        raw = _read(path / "capture.json")
        model, data = raw.get("model"), raw.get("data")
        over = str(data.get("name", "")) if isinstance(data, dict) else ""
        return " over ".join(filter(None, (str(model or ""), over))) or path.name
    if kind == "opened":  # which lie elsewhere: here are their configurations, and links
        return str(_read(path / "of.json").get("folder", "")) or path.name
    raw = _read(path / "card.json")
    said = raw.get("description")
    title = str((said if isinstance(said, dict) else raw).get("title") or "")
    if not title and isinstance(raw.get("titles"), list):  # of a compressed model: what was done
        title = f"{', '.join(map(str, raw['titles']))} · {raw.get('of', '')}"
    return title or path.name


def _thing(kind: str, name: str, title: str, paths: Iterable[Path], busy: str) -> Kept:
    places = tuple(paths)
    size, used = 0, 0.0
    for path in places:
        more, when = _weighed(path)
        size, used = size + more, max(used, when)
    return Kept(kind, name, title, size, used, places, busy)


def _weighed(path: Path) -> tuple[int, float]:
    """Bytes of a file or of all files below a folder, and the last change of any."""
    size, used = 0, 0.0
    with suppress(OSError):  # gone meanwhile
        status = path.lstat()
        used = status.st_mtime
        size = 0 if path.is_dir() else status.st_size
    with suppress(RecursionError):  # whoever made it so deep wants no sum
        for where, _, names in os.walk(path):
            for name in names:
                with suppress(OSError):
                    status = (Path(where) / name).lstat()
                    size, used = size + status.st_size, max(used, status.st_mtime)
    return size, used


def _visible(root: Path) -> list[Path]:
    """What lies in a folder; nothing where there is none."""
    if not root.is_dir():
        return []
    seen = (each for each in root.iterdir() if each.name.isprintable())
    return sorted(each for each in seen if not each.name.startswith("."))


def _used(path: str, texts: Iterable[str]) -> str:
    quoted = json.dumps(path)[1:-1]
    return "work under way needs it" if any(quoted in text for text in texts) else ""


def _locked(path: Path) -> bool:
    """Whether a process writes a capture at this moment."""
    try:
        with (path / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = read_json(path)
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
