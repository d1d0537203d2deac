"""Limits that the system keeps for a process: memory, time, sizes of files."""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

GIB = 2**30


def confine(seconds: int, memory: int, largest_file: int) -> None:
    """Limits of the system for this process, from now on: ``seconds`` of the processor (and half a
    minute more by the clock), ``memory`` in GiB, ``largest_file`` in bytes.
    """
    lower(resource.RLIMIT_CPU, seconds)
    lower(resource.RLIMIT_AS, memory * GIB)
    lower(resource.RLIMIT_FSIZE, largest_file)
    no_dumps()
    signal.alarm(seconds + 30)  # even where nobody is left to end it


def lower(kind: int, value: int) -> None:
    """A limit for good, where there is no lower one, and where the system keeps it: not all know
    one of the memory.
    """
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with suppress(ValueError, OSError):  # macOS refuses some
        resource.setrlimit(kind, (value, value))


def no_dumps() -> None:
    """From now on no program of the system looks into this process where it breaks: at a limit of
    one byte alone Linux starts none (``man 5 core``).
    """
    lower(resource.RLIMIT_CORE, 1 if sys.platform == "linux" else 0)


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container that this process is in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max", or another system
            total = min(total, int(Path(f"/sys/fs/cgroup/{name}").read_text(encoding="ascii")))
    return total


_HELD = ("RssAnon:", "RssShmem:", "VmSwap:")


def held_memory(pid: int) -> int:
    """Bytes of memory that a process holds, files that it maps left out; 0 where the system does
    not say, or the process is gone.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        found = [line.split() for line in lines if line.startswith(_HELD)]
        return sum(int(size) for _, size, *_ in found) * 1024
    except (OSError, ValueError):
        return 0
