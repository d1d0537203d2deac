"""Paths as people type them, and files as others left them: where a stranger's model was computed,
whatever lies there may be anything.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from core.errors import BadInput

LARGEST_JSON: Final = 64 * 2**20
"""Bytes; in memory it may take twenty times as much."""


def located(path: str | Path) -> Path:
    """The absolute path, with ``~`` as the home folder; whether there is anything is not asked.

    Raises ``BadInput`` for one that cannot be: of a user whom nobody knows, too long, or in a
    folder that may not be looked into.
    """
    try:
        found = Path(path).expanduser().absolute()
        found.exists()
    except (RuntimeError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        shown = str(path) if len(str(path)) <= 80 else f"{str(path)[:77]}…"
        raise BadInput(
            f"'{shown}' cannot be looked at: {reason.rstrip('.')}.",
            "Give the path of a file or folder on this machine.",
        ) from None
    return found


def read_file(path: Path, most: int) -> bytes:
    """What is in a file. Raises ``OSError``, and ``ValueError`` for what is no file, or has more
    than ``most`` bytes, of which no more are read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait
    with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"'{path.name}' is no file")
        if status.st_size > most:
            raise ValueError(f"'{path.name}' has {status.st_size:,} bytes, at most {most:,} fit")
        return file.read(most)


def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """The value in a file of JSON, of which every text can be written again.

    Raises ``OSError``, and ``ValueError`` for what is no JSON, too deep or too large.
    """
    text = read_file(path, most).decode(errors="replace")
    try:
        found = json.loads(text)
        if "\\ud" in text.lower():  # halves of characters, which nobody can send on
            whole = json.dumps(found, ensure_ascii=False).encode(errors="replace")
            found = json.loads(whole)
    except RecursionError:
        raise ValueError(f"'{path.name}' is too deep") from None
    return found
