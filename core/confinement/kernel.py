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
# queue, clocks, names and the power of the machine, its swap, quotas and accounts; memory, messages
# and semaphores that others may share (System V) and named queues; the order in which others run,
# ports, watching what others open; and, where they have calls of their own, new processes.
_REFUSED = {
    "x86_64": (
        59, 322, 41, 42, 49, 101, 310, 311, 321, 298, 323, 272, 308, 165, 166, 155, 161, 175, 313,
        246, 250, 320,
        76, 90, 91, 92, 93, 94, 260, 268, 188, 189, 190, 197, 198, 199, 304, 200, 129, 297,
        159, 164, 227, 305, 169, 170, 171, 167, 168, 179, 163,
        29, 30, 31, 68, 69, 70, 71, 64, 65, 66, 220, 240, 241, 248, 249,
        141, 251, 172, 173, 176, 153, 300, 57, 58,
    ),
    "aarch64": (
        221, 281, 198, 203, 200, 117, 270, 271, 280, 241, 282, 97, 268, 40, 39, 41, 51, 105, 273,
        104, 219, 294,
        45, 52, 53, 54, 55, 5, 6, 7, 14, 15, 16, 265, 130, 138, 240,
        171, 170, 112, 266, 142, 161, 162, 224, 225, 60, 89,
        194, 195, 196, 186, 187, 188, 189, 190, 191, 192, 193, 180, 181, 217, 218,
        140, 30, 106, 58, 262,
    ),
}  # fmt: skip
# io_uring_setup, which would go around all this, signals and files by a process's descriptor, new
# ways of mounting, fchmodat2, the new calls for attributes, and advice on others' memory.
_EVERYWHERE = (
    425, 424, 438, 428, 429, 430, 431, 432, 433, 442, 452, 463, 466, 467, 469, 440, 443, 448,
)  # fmt: skip
# clone3 and openat2 hide what they are asked for from a filter: libraries then use the old ones.
_UNKNOWN = (435, 437)
# clone starts threads only: a process of its own would outlive this one, with all that it may
# write, and so change what was looked over when this one was gone.
_CLONE = {"x86_64": 56, "aarch64": 220}
_THREAD = 0x10000
# Older Landlocks let a file that is opened to be read be emptied: open and openat, and where they
# have their flags.
_OPEN = {"x86_64": ((2, 24), (257, 32)), "aarch64": ((56, 32),)}
# fcntl, by which files send signals to others, hold them up, or tell what they do: of its commands
# F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY.
_FILES = {"x86_64": 72, "aarch64": 25}
_TELLING = (8, 10, 15, 1024, 1026)
# kill, tgkill and prlimit64 reach this process only.
_OWN = {"x86_64": (62, 234, 302), "aarch64": (129, 131, 261)}
_CONTROL = {"x86_64": 16, "aarch64": 29}  # ioctl, which can type into a terminal or take it over:
_TYPING = (0x5412, 0x541C, 0x540E, 0x5410, 0x541D, 0x5423)
# and can make folders, copies and attributes past Landlock (of btrfs, bcachefs, ocfs2, XFS and all
# file systems), and have sockets send signals: by the second byte of what it is asked for.
_KINDS = (0x9400, 0xBC00, 0x6F00, 0x5800, 0x6600, 0x8900)
_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_OLD_CALLS = 0x40000000  # of x32, by which the same calls have other numbers
_LOAD, _AND, _EQUAL, _AT_LEAST, _SKIP, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x05, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_Step = tuple[int, int, int, int]
_YES: _Step = (_RETURN, 0, 0, _ALLOW)
_NO: _Step = (_RETURN, 0, 0, _ERROR | errno.EPERM)
_NEW: _Step = (_RETURN, 0, 0, _ERROR | errno.ENOSYS)
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # where they lie in what a filter is given
_NO_NEW_PRIVILEGES = 38

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE_FILE, _TRUNCATE, _DEVICES = 1 << 1, 1 << 14, 1 << 15
_IN_FOLDERS = sum(1 << bit for bit in range(4, 13))  # remove and make, all kinds
# Make devices, sockets, pipes and links, which others would follow: nowhere.
_NEVER = sum(1 << bit for bit in (6, 9, 10, 11, 12))
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
    """From now on no thread of this process starts a program or another process, opens a socket or
    reaches into another process: such a call fails. Whether the system does that.
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
    for call in _UNKNOWN:
        steps += [(_EQUAL, 0, 1, call), _NEW]
    steps += _only(_CLONE[machine], _FIRST, (_THREAD,), _YES, _NO, _THREAD)
    emptied = (os.O_TRUNC | os.O_RDONLY, os.O_TRUNC | os.O_ACCMODE)
    for call, flags in _OPEN[machine]:
        steps += _only(call, flags, emptied, _NO, _YES, os.O_TRUNC | os.O_ACCMODE)
    kill, thread_kill, limits = _OWN[machine]
    steps += _only(kill, _FIRST, (os.getpid(),), _YES, _NO)
    steps += _only(thread_kill, _FIRST, (os.getpid(),), _YES, _NO)
    steps += _only(limits, _FIRST, (0, os.getpid()), _YES, _NO)
    steps += _only(_CONTROL[machine], _SECOND, _TYPING, _NO, None)
    steps += _only(_CONTROL[machine], _SECOND, _KINDS, _NO, _YES, 0xFF00)
    steps += _only(_FILES[machine], _SECOND, _TELLING, _NO, _YES)
    steps.append(_YES)
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
    file = _WRITE_FILE | (_TRUNCATE if version >= 3 else 0) | (_DEVICES if version >= 5 else 0)
    handled = file | _IN_FOLDERS | (_REFER if version >= 2 else 0)
    about = struct.pack("=Q", handled)
    about += struct.pack("=Q", 3) if version >= 4 else b""  # binding and connecting by TCP
    about += struct.pack("=Q", 3) if version >= 6 else b""  # signals and sockets to outside
    rules = library.syscall(_CREATE, ctypes.create_string_buffer(about, len(about)), len(about), 0)
    if rules < 0:
        return False
    try:
        for place in (*places, Path(os.devnull)):
            allowed = handled & ~_NEVER if place.is_dir() else file
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
    call: int,
    argument: int,
    known: Sequence[int],
    found: _Step,
    other: _Step | None,
    mask: int = 0xFFFFFFFF,
) -> list[_Step]:
    """Steps that answer this call, once its number was loaded: ``found`` where what ``mask`` leaves
    of the argument is one of those that are ``known``, else ``other``; where there is none, what
    comes behind them answers. So it does for every other call.
    """
    checks = [(_EQUAL, len(known) - at, 0, value) for at, value in enumerate(known)]
    end = [other, found] if other is not None else [(_SKIP, 0, 0, 1), found]
    answer = [(_LOAD, 0, 0, argument), (_AND, 0, 0, mask), *checks, *end]
    behind = [] if other is not None else [(_LOAD, 0, 0, _NUMBER)]
    return [(_EQUAL, 0, len(answer), call), *answer, *behind]
