"""A worker that computes with what strangers made, among other things, for as long as it lives.

Unlike the process that opens a file, it needs its libraries and writes results. So its audit hook
looks at where it writes and who asks, and only while a stranger's network is in use: then nothing
is unpickled, started, called or written outside the workspace. Memory is limited all the time.
This stops what a library would do at a file's bidding; code that has taken the process over in
machine language, only the kernel stops (``core.confinement.seal``), where it can.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from core.confinement.limits import GIB, lower, no_dumps

_log = logging.getLogger(__name__)
_NEVER = frozenset({
    "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
    "os.kill", "os.killpg", "os.symlink", "subprocess.Popen", "socket.connect", "socket.bind",
    "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg", "pty.spawn",
    "webbrowser.open", "sys.remote_exec",
})  # fmt: skip
_CHANGES = frozenset({
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown",
    "os.link", "os.utime", "os.setxattr", "shutil.rmtree", "shutil.move", "shutil.chown",
})  # fmt: skip
_TWO_PATHS = ("os.rename", "os.link", "shutil.move")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Our own confined processes, and a compiler that keeps what it compiled, as pickles, beside itself.
_TRUSTED = ("core.confinement.", "numba.core.", "numba.np.")
_IN_A_FOLDER = frozenset({
    "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.utime",
})  # fmt: skip
_DEVICES = ("/dev/null", "/dev/shm/", "/dev/nvidia")  # noqa: S108 - not files


class Forbidden(PermissionError):
    """A deed that was stopped."""


_armed = [False]
_installed = False
_limit = [0.0]


def guard(memory: float, places: Sequence[Path] = ()) -> None:
    """Limit this process to ``memory`` GiB of its own, and have its deeds looked at while it is
    ``armed``: then it writes to temporary folders, caches and ``places`` only. For good.
    """
    global _installed
    _limit[0] = memory
    lower(resource.RLIMIT_DATA, int(memory * GIB))
    no_dumps()
    if _installed:
        return
    _installed = True
    sys.addaudithook(_watch(_open_to(places)))


@contextmanager
def armed(needed: bool) -> Iterator[None]:
    """Whether deeds are looked at in this block; one inside another has its own say."""
    _armed.append(needed)
    try:
        yield
    finally:
        _armed.pop()


def memory_limit() -> float:
    """The GiB that this process was limited to; 0 where it was not."""
    return _limit[0]


def arm() -> None:
    """Have deeds looked at until the end of the block that this is called in."""
    _armed[-1] = True


def _open_to(places: Sequence[Path]) -> list[str]:
    import platformdirs

    caches = platformdirs.user_cache_dir("fluoroscope", appauthor=False)
    return [_folder(each) for each in [Path(tempfile.gettempdir()), Path(caches), *places]]


def _folder(path: Path | str) -> str:
    return os.path.realpath(path) + os.sep


def _watch(open_to: Sequence[str]) -> Callable[[str, tuple[Any, ...]], None]:
    homes = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), "/usr", "/lib", "/opt"}
    libraries = tuple(_folder(each) for each in homes)

    def writable(path: Any) -> bool:
        if isinstance(path, int):  # open already
            return True
        place = os.path.realpath(os.fsdecode(path))
        if place.startswith(_DEVICES):
            return True
        return any((place + os.sep).startswith(each) for each in open_to)

    def allowed(event: str, given: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, flags = given
            writing = any(each in mode for each in "wax+") if mode else bool(flags & _WRITING)
            return not writing or writable(path)
        if event == "ctypes.dlopen":
            name = given[0] and os.fsdecode(given[0])
            return not name or "/" not in name or os.path.realpath(name).startswith(libraries)
        if event in _CHANGES:
            if event in _IN_A_FOLDER and given[-1] != -1 and "/" not in os.fsdecode(given[0]):
                return True  # of a folder that is open already, as removing one opens those in it
            return all(writable(each) for each in given[: 2 if event in _TWO_PATHS else 1])
        return False

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if not _armed[-1]:
            return
        if event not in _NEVER and event not in _CHANGES and event not in ("open", "ctypes.dlopen"):
            return
        if allowed(event, given) or _trusted():
            return
        what = given[0] if given else None
        shown = f" ({os.fsdecode(what)[:120]})" if isinstance(what, str | bytes | Path) else ""
        _log.warning("Refused: %s%s", event, shown)
        raise Forbidden(f"it tried to {event}{shown}")

    return watch


def _trusted() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_TRUSTED):
            return True
        frame = frame.f_back
    return False
