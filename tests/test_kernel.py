"""What the kernel refuses a process that Landlock does not see, each with its control: the same
where nothing is refused.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.confinement.kernel import able

pytestmark = pytest.mark.skipif(not able(), reason="this system has no Landlock or no seccomp")

DEEDS = """
import ctypes, json, os, signal, sys, threading
from core.confinement import kernel
folder, how, other = os.fsencode(sys.argv[1]), sys.argv[2], int(sys.argv[3])
library = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"
CLONE, SHARED, QUEUE = (220, 194, 180) if ARM else (56, 29, 240)
reading, writing = os.pipe()
kept = folder + b"/kept"
opened, place = os.open(kept, os.O_RDONLY), os.open(folder, os.O_RDONLY)
assert how == "free" or kernel.refuse_calls()
room = ctypes.create_string_buffer(4096)

def born(number):
    if number == 0:
        os._exit(0)
    return number

def shared():
    number = library.syscall(SHARED, 0, 4096, 0o1600)
    return number if number < 0 else library.shmctl(number, 0, None)

deeds = {
    "fork": lambda: born(library.fork()),
    "vfork": lambda: born(library.syscall(57)) if not ARM else born(library.fork()),
    "clone": lambda: born(library.syscall(CLONE, signal.SIGCHLD, 0, 0, 0, 0)),
    "clone3": lambda: library.syscall(435, room, 0),
    "openat2": lambda: library.syscall(437, -100, kept, room, 0),
    "emptied": lambda: library.open(kept, os.O_RDONLY | os.O_TRUNC),
    "emptied by nobody": lambda: library.open(kept, os.O_ACCMODE | os.O_TRUNC),
    "attributes": lambda: library.ioctl(opened, ctypes.c_ulong(0x80086601), room),
    "snapshot": lambda: library.ioctl(place, ctypes.c_ulong(0x50009401), room),
    "signals": lambda: library.fcntl(reading, 8, other),
    "which signal": lambda: library.fcntl(reading, 10, 0),
    "shared memory": shared,
    "queue": lambda: library.syscall(QUEUE, b"fluoroscope", 0, 0, None),
    "order": lambda: library.setpriority(0, other, library.getpriority(0, other)),
    "own signal": lambda: library.fcntl(reading, 11),
    "read": lambda: library.open(kept, os.O_RDONLY),
    "written": lambda: library.open(kept, os.O_WRONLY | os.O_TRUNC),
    "size": lambda: library.ioctl(reading, ctypes.c_ulong(0x541B), room),
}
told = {name: 0 if deed() >= 0 else ctypes.get_errno() for name, deed in deeds.items()}
thread = threading.Thread(target=told.update, args=({"thread": 0},))
thread.start()
thread.join()
print(json.dumps(told))
"""
HELD = (
    "fork", "vfork", "clone", "emptied", "emptied by nobody", "attributes", "snapshot", "signals",
    "which signal", "shared memory", "queue", "order",
)  # fmt: skip
HIDDEN = ("clone3", "openat2")
ALLOWED = ("own signal", "read", "written", "size", "thread")
# Without their like on this file system, or without an argument that makes sense.
BY_THEMSELVES = (0, errno.ENOTTY, errno.EINVAL, errno.ENOENT)


@pytest.mark.parametrize("how", ["held", "free"])
def test_calls_that_reach_past_landlock_are_refused(how: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    command = [sys.executable, "-c", DEEDS, str(tmp_path), how, str(os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {*HELD, *HIDDEN, *ALLOWED}
    assert {told[name] for name in ALLOWED} == {0}
    if how == "held":
        assert {told[name] for name in HELD} == {errno.EPERM}
        assert {told[name] for name in HIDDEN} == {errno.ENOSYS}
    else:
        assert {told[name] for name in (*HELD, *HIDDEN)} <= set(BY_THEMSELVES)
