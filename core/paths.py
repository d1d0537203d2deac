"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path

from core.errors import BadInput


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
