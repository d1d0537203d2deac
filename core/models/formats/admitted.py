"""Folders of transformers that are used where they lie, let in by the same door as a zip of one.

    opened/<key>/config.json …       rewritten, without what is not obeyed
    opened/<key>/model.safetensors   a link to the weights, which are not copied
    opened/<key>/card.json           what was found when it was opened in a process of its own

The key says where the folder is and when each file in it last changed, so that one that was not
changed is opened once. A cache: may be emptied at any time. Imports no torch.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from core.confinement.folders import remove
from core.confinement.kernel import calls_refused
from core.errors import BadModel, StorageError, shortened
from core.models.exported.description import Description
from core.models.exported.opening import opened
from core.models.formats.folder import link
from core.paths import read_json
from core.progress import Meter
from core.provenance import sha256_of_json
from core.store import write_atomically
from core.workspace import workspace

WORKER = "core.models.formats.taking"
LINKED = "linked"
"""A file that says that weights are linked already, and not copied."""
_VERSION = 1  # of what is looked for: what was let in before is looked at again
_CARD, _SAID, _OF = "card.json", "said.json", "of.json"
_no_waiting: ContextVar[bool] = ContextVar("no_waiting", default=False)


def home(folder: Path, meter: Meter | None = None) -> Path:
    """The folder that stands for ``folder``: opened first, in a process of its own, where it was
    not yet or has changed since.

    Raises ``BadModel`` for what is refused, ``Cancelled``, ``StorageError``; in a block of
    ``at_once``, and where no process can be started, ``BadModel`` where it would have to be opened.
    """
    place = _place(folder)
    if (place / _CARD).is_file():
        return place
    unhurried(folder.name)
    draft = place.with_name(f".new-{secrets.token_hex(20)}")
    try:
        draft.mkdir(parents=True)
        (draft / _SAID).write_text(Description().written(), encoding="utf-8")
        (draft / LINKED).touch()
        link(folder, draft)
        notes = opened(folder, draft / _CARD, WORKER, meter)["notes"]
        of = {"folder": str(folder.absolute()), "notes": notes}
        write_atomically(draft / _OF, json.dumps(of).encode())  # never through a link
        for old in place.parent.glob(f"*/{_OF}"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                same = read_json(old)["folder"] == of["folder"]
                if same and not old.parent.name.startswith("."):
                    remove(old.parent)
        with suppress(FileExistsError):  # somebody else was faster
            draft.rename(place)
    except OSError as error:
        raise StorageError(
            f"'{shortened(folder.name, 80)}' cannot be opened: {error.strerror or error}.",
            "Free some space, or choose another --workspace.",
        ) from error
    finally:
        remove(draft)
    return place


def known(folder: Path) -> bool:
    """Whether it was opened, and has not changed since."""
    with suppress(BadModel):
        return (_place(folder) / _CARD).is_file()
    return False


def notes(folder: Path) -> tuple[str, ...]:
    """What of a folder that was opened is not obeyed or left out."""
    try:
        return tuple(map(str, read_json(_place(folder) / _OF)["notes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def unhurried(name: str) -> None:
    """Raise ``BadModel`` for what would have to be opened or fetched in a block of ``at_once``."""
    if _no_waiting.get() or calls_refused():
        raise BadModel(
            f"'{shortened(name, 80)}' was not opened yet, or has changed since.",
            "Open it once more.",
        )


@contextmanager
def at_once() -> Iterator[None]:
    """Nothing is opened or fetched in this block: for a page, which must not wait, and for names
    that no person gave.
    """
    token = _no_waiting.set(True)
    try:
        yield
    finally:
        _no_waiting.reset(token)


def _place(folder: Path) -> Path:
    files: list[Any] = []
    try:
        for each in sorted(folder.iterdir()):
            status = each.stat()  # of what a link leads to
            files.append(
                [each.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            )
    except OSError as error:
        raise BadModel(
            f"'{shortened(folder.name, 80)}' cannot be read: {error.strerror or error}.",
            "Check the folder and the links in it.",
        ) from None
    key = sha256_of_json([_VERSION, str(folder.absolute()), files])
    return workspace().root / "opened" / key[:32]
