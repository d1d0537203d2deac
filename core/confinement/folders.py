"""Temporary folders that go when their process goes, also when it is killed.

Whoever made one holds a lock on it, which the kernel lets go of with the process; what is not held
by anybody is swept away by the next who looks.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = "fluoroscope-held-"
_MAKING = ".fluoroscope-"  # not held yet, and so not to be swept


class HeldFolder:
    """A folder that is there until ``close``, the end of this object, or the end of the process."""

    def __init__(self) -> None:
        made = Path(tempfile.mkdtemp(prefix=_MAKING))
        handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):  # some file systems know no locks: then it is swept too early
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.path = made.rename(made.with_name(_NAME + secrets.token_hex(8)))
        self._end = weakref.finalize(self, _remove, self.path, handle)

    def close(self) -> None:
        """Remove it; may be called again."""
        self._end()


@contextmanager
def temporary() -> Iterator[Path]:
    """A temporary folder for as long as the block lasts."""
    folder = HeldFolder()
    try:
        yield folder.path
    finally:
        folder.close()


def sweep() -> int:
    """Remove the folders of this user whose processes are gone; how many there were."""
    swept = 0
    for path in Path(tempfile.gettempdir()).glob(f"{_NAME}*"):
        with suppress(OSError):  # of another user, held, or gone in between
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(handle).st_uid != os.getuid():
                    continue
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
                swept += 1
            finally:
                os.close(handle)
    return swept


def remove(path: Path) -> None:
    """Remove a folder with all in it as far as that can be done, however deep a process that was
    taken over made it.
    """
    try:
        shutil.rmtree(path, ignore_errors=True)
    except RecursionError:
        with suppress(OSError):
            subprocess.run(  # noqa: S603 - a folder of our own
                ["/bin/rm", "-rf", "--", str(path)], stderr=subprocess.DEVNULL, check=False
            )


def _remove(path: Path, handle: int) -> None:
    remove(path)
    os.close(handle)
