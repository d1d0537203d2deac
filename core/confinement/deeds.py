"""What a process may not do any more once it holds what a stranger made."""

from __future__ import annotations

import sys
from typing import Any

from core.confinement.kernel import refuse_calls

_FORBIDDEN = frozenset({
    "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
    "subprocess.Popen", "socket.connect", "socket.bind", "socket.getaddrinfo", "os.link",
    "os.symlink", "shutil.rmtree", "ctypes.dlopen", "webbrowser.open",
})  # fmt: skip


_refused = False


def forbid(but: str = "") -> None:
    """From now on this process unpickles no object, starts nothing and calls nobody; ``but`` is one
    kind of deed that stays allowed.

    An audit hook, which cannot be taken off again, and the kernel, where it knows how.
    """
    global _refused
    if not _refused:
        _refused = True
        refuse_calls()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN and event != but:
            raise PermissionError(f"the program tried to {event}")

    sys.addaudithook(watch)
