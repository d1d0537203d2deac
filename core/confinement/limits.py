"""Limits that the system keeps for a process: memory, time, sizes of files."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

GIB = 2**30


def confine(seconds: int, memory: int, largest_file: int) -> None:
    """Limits of the system for this process, from now on: ``seconds`` of the processor (and half a
    minute more by the clock), ``memory`` in GiB, ``largest_file`` in bytes. It is the first to go
    where memory runs out for all.
    """
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    lower(resource.RLIMIT_CPU, seconds)
    lower(resource.RLIMIT_AS, memory * GIB)
    lower(resource.RLIMIT_FSIZE, largest_file)
    lower(resource.RLIMIT_CORE, 0)
    signal.alarm(seconds + 30)  # even where nobody is left to end it


def lower(kind: int, value: int) -> None:
    """A limit for good, where there is no lower one."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container that this process is in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max", or another system
            total = min(total, int(Path(f"/sys/fs/cgroup/{name}").read_text(encoding="ascii")))
    return total


def private_memory(pid: int) -> int | None:
    """Bytes that a process holds for itself alone, files that it maps left out; None where the
    system does not say or the process is gone.
    """
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
