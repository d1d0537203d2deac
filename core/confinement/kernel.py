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
# user faults, namespaces, mounts, roots, modules, kexec, keys; then what Landlock does not look at:
# truncating, modes, owners and attributes of files, files by handles, signals to threads and by
# queue, clocks, names and the power of the machine, its swap, quotas and accounts.
_REFUSED = {
    "x86_64": (
        59, 322, 41, 42, 49, 101, 310, 311, 321, 298, 323, 272, 308, 165, 166, 155, 161, 175, 313,
        246, 250, 320,
        76, 90, 91, 92, 93, 94, 260, 268, 188, 189, 190, 197, 198, 199, 304, 200, 129, 297,
        159, 164, 227, 305, 169, 170, 171, 167, 168, 179, 163,
    ),
    "aarch64": (
        221, 281, 198, 203, 200, 117, 270, 271, 280, 241, 282, 97, 268, 40, 39, 41, 51, 105, 273,
        104, 219, 294,
        45, 52, 53, 54, 55, 5, 6, 7, 14, 15, 16, 265, 130, 138, 240,
        171, 170, 112, 266, 142, 161, 162, 224, 225, 60, 89,
    ),
}  # fmt: skip
# io_uring_setup, which would go around all this, signals and files by a process's descriptor, new
# ways of mounting, fchmodat2 and the new calls for attributes.
_EVERYWHERE = (425, 424, 438, 428, 429, 430, 431, 432, 433, 442, 452, 463, 466)
# kill, tgkill and prlimit64 reach this process only.
_OWN = {"x86_64": (62, 234, 302), "aarch64": (129, 131, 261)}
_CONTROL = {"x86_64": 16, "aarch64": 29}  # ioctl, which can type into a terminal:
_TYPING = (0x5412, 0x541C)
_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_OLD_CALLS = 0x40000000  # of x32, by which the same calls have other numbers
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_Step = tuple[int, int, int, int]
_YES: _Step = (_RETURN, 0, 0, _ALLOW)
_NO: _Step = (_RETURN, 0, 0, _ERROR | errno.EPERM)
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # where they lie in what a filter is given
_NO_NEW_PRIVILEGES = 38

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_IN_FOLDERS = sum(1 << bit for bit in range(4, 13))  # remove and make, all kinds
# Make devices, sockets, pipes and links, which others would follow: nowhere.
_NEVER = sum(1 << bit for bit in (6, 9, 10, 11, 12))
_LINK = 1 << 12
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
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _MACHINE[machine]), _NO]
    steps += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _OLD_CALLS), _NO]
    for call in refused:
        steps += [(_EQUAL, 0, 1, call), _NO]
    kill, thread_kill, limits = _OWN[machine]
    steps += _only(kill, _FIRST, (os.getpid(),), _YES, _NO)
    steps += _only(thread_kill, _FIRST, (os.getpid(),), _YES, _NO)
    steps += _only(limits, _FIRST, (0, os.getpid()), _YES, _NO)
    steps += _only(_CONTROL[machine], _SECOND, _TYPING, _NO, _YES)
    steps.append(_YES)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    done: int = library.syscall(_SECCOMP[machine], 1, 1, ctypes.create_string_buffer(program))
    _calls_refused = done == 0
    return _calls_refused


def keep_to(places: Sequence[Path], *, links: bool = False) -> bool:
    """From now on this thread, and those it starts, write to ``places`` (folders with all in them,
    and devices) and to ``/dev/null`` only, and call no address. Links by name are made there only
    where ``links`` says so. Whether the system does that.
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
            allowed = handled & ~(_NEVER & ~_LINK if links else _NEVER) if place.is_dir() else file
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


def _only(
    call: int, argument: int, known: Sequence[int], found: _Step, other: _Step
) -> list[_Step]:
    """Steps that answer this call, once its number was loaded: ``found`` where the argument is one
    of those that are ``known``, else ``other``. Every other call goes on behind them.
    """
    checks = [(_EQUAL, len(known) - at, 0, value) for at, value in enumerate(known)]
    answer = [(_LOAD, 0, 0, argument), *checks, other, found]
    return [(_EQUAL, 0, len(answer), call), *answer]
