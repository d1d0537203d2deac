"""What the kernel refuses a process, whatever code it has come to run: on Linux, x86-64 and ARM.

An audit hook sees what Python does. Here the kernel itself keeps a confined process from starting
programs, opening sockets and looking into other processes (seccomp), and from writing anywhere but
where its result goes (Landlock). Where a system has neither, the hook and the limits are what there
is. ``man 2 seccomp``, ``man 7 landlock``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

# execve, execveat, socket, connect, bind, ptrace, reading and writing another process, bpf, perf,
# user faults, namespaces, mounts, roots, modules, kexec, keys.
_REFUSED = {
    "x86_64": (
        59, 322, 41, 42, 49, 101, 310, 311, 321, 298, 323, 272, 308, 165, 166, 155, 161, 175, 313,
        246, 250,
    ),
    "aarch64": (
        221, 281, 198, 203, 200, 117, 270, 271, 280, 241, 282, 97, 268, 40, 39, 41, 51, 105, 273,
        104, 219,
    ),
}  # fmt: skip
_EVERYWHERE = (425, 438)  # io_uring_setup, which would go around all this, and pidfd_getfd
_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_OLD_CALLS = 0x40000000  # of x32, by which the same calls have other numbers
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES = 38

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_IN_FOLDERS = sum(1 << bit for bit in range(4, 13))  # remove and make, all kinds
_REFER = 1 << 13

_calls_refused = False


def able() -> bool:
    """Whether this system does both, so that a process can be sealed: ``refuse_calls`` and
    ``keep_to``.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _REFUSED:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    knows: int = library.syscall(_SECCOMP[machine], 2, 0, ctypes.byref(ctypes.c_uint32(_ERROR)))
    versions: int = library.syscall(_CREATE, None, 0, 1)
    return knows == 0 and versions >= 1


def calls_refused() -> bool:
    """Whether ``refuse_calls`` holds in this process."""
    return _calls_refused


def refuse_calls() -> bool:
    """From now on no thread of this process starts a program, opens a socket or reaches into
    another process: such a call fails. Whether the system does that.
    """
    global _calls_refused
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _REFUSED:
        return False
    refused = (*_REFUSED[machine], *_EVERYWHERE)
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _MACHINE[machine]), (_RETURN, 0, 0, _error())]
    steps += [(_LOAD, 0, 0, 0), (_AT_LEAST, len(refused) + 1, 0, _OLD_CALLS)]
    steps += [(_EQUAL, len(refused) - at, 0, call) for at, call in enumerate(refused)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _error())]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    done: int = library.syscall(_SECCOMP[machine], 1, 1, ctypes.create_string_buffer(program))
    _calls_refused = done == 0
    return _calls_refused


def keep_to(places: Sequence[Path]) -> bool:
    """From now on this thread, and those it starts, write to ``places`` (folders with all in them,
    and devices) and to ``/dev/null`` only, and call no address. Whether the system does that.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    version = library.syscall(_CREATE, None, 0, 1)
    if version < 1:
        return False
    file = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    handled = file | _IN_FOLDERS | (_REFER if version >= 2 else 0)
    about = struct.pack("=Q", handled)
    about += struct.pack("=Q", 3) if version >= 4 else b""  # binding and connecting by TCP
    about += struct.pack("=Q", 3) if version >= 6 else b""  # signals and sockets to outside
    rules = library.syscall(_CREATE, ctypes.create_string_buffer(about, len(about)), len(about), 0)
    if rules < 0:
        return False
    try:
        for place in (*places, Path(os.devnull)):
            allowed = handled if place.is_dir() else file
            handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", allowed, handle)
                given = ctypes.create_string_buffer(rule, len(rule))
                if library.syscall(_ADD, rules, 1, given, 0):
                    return False
            finally:
                os.close(handle)
        if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            return False
        done: int = library.syscall(_RESTRICT, rules, 0)
        return done == 0
    finally:
        os.close(rules)


def _error() -> int:
    return _ERROR | errno.EPERM
