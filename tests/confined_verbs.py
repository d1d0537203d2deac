"""What a stranger's network may do to a worker, as toy verbs; and to a confined process, as
``python -m confined_verbs DEED …``.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.confinement import process
from core.confinement.folders import HeldFolder
from core.engine import job_worker
from core.engine.verbs import Verbs
from core.models.reference import ModelRef
from core.progress import Meter
from core.tasks import Example

Asked = tuple[Any, Sequence[Example], Mapping[str, Any], int, Meter]
BLOCK = 2**25
TRAP = "a" * 40 + "!"  # for a pattern that doubles its time with each letter


def load(ref: ModelRef, device: str) -> ModelRef:
    return ref


def arrived(parameters: Mapping[str, Any]) -> None:
    if "pipe" in parameters:  # whoever reads it waits for this
        Path(parameters["pipe"]).write_text(str(os.getpid()))


def grow(*asked: Any) -> int:
    """Takes memory without end, in the way that Python does."""
    taken = []
    while True:
        taken.append(bytearray(BLOCK))


def share(*asked: Any) -> int:
    """The same in a way that no limit of the process counts."""
    taken = []
    while True:
        taken.append(mmap.mmap(-1, BLOCK))
        taken[-1].write(b"x" * BLOCK)


def stuck(*asked: Any) -> bool:
    """One call of a library, in which nobody else in the process gets a word in."""
    if "life" in asked[2]:  # open for as long as this process lives
        os.write(os.open(asked[2]["life"], os.O_WRONLY), b"x")
    arrived(asked[2])
    return re.match("(a+)+$", TRAP) is None


def spell(*asked: Any) -> int:
    """A tokenizer whose pattern takes minutes for a text of this length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json("a*a*$"))
    arrived(asked[2])
    return len(tokenizer.encode("a" * 4000 + "!").ids)


def start(*asked: Any) -> str:
    """Starts a process."""
    done = subprocess.run([sys.executable, "-c", "print('ran')"], capture_output=True, check=True)
    return done.stdout.decode().strip()


def write(*asked: Any) -> bool:
    """Writes a file where the parameters say."""
    path = Path(asked[2]["path"])
    path.write_text("x")
    return path.is_file()


def panic(*asked: Any) -> int:
    """Raises what is no ``Exception``, as libraries in Rust do."""

    class PanicException(BaseException):
        pass

    raise PanicException("gave up")


def process_number(*asked: Any) -> int:
    if "life" in asked[2]:
        os.open(asked[2]["life"], os.O_WRONLY)
    if "gate" in asked[2]:
        Path(asked[2]["gate"]).read_text()  # once somebody has written
    return os.getpid()


def machine(*asked: Any) -> dict[str, int]:
    """What machine code would do, past all that Python watches: the error of each deed, or 0."""
    return machine_job(asked[2])


def machine_job(parameters: Mapping[str, Any], meter: Meter | None = None) -> dict[str, int]:
    """The same as the verb of a job."""
    library = ctypes.CDLL(None, use_errno=True)
    nothing = (ctypes.c_char_p * 1)(None)

    def write(place: str) -> int:
        path = os.fsencode(parameters[place])
        return int(library.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    deeds: dict[str, Callable[[], int]] = {
        "socket": lambda: library.socket(2, 1, 0),
        "exec": lambda: library.execv(b"/nonexistent", nothing),
        "peek": lambda: library.process_vm_readv(os.getppid(), None, 0, None, 0, 0),
        "signal": lambda: library.kill(int(parameters["other"]), 0),
        "outside": lambda: write("outside"),
        "inside": lambda: write("inside"),
        "nothing": lambda: library.open(b"/dev/null", os.O_WRONLY),
    }
    return {name: 0 if deed() >= 0 else ctypes.get_errno() for name, deed in deeds.items()}


def tokenizer_json(pattern: str) -> str:
    """A tokenizer that splits at a pattern."""
    split = {"Regex": pattern}
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": None, "post_processor": None, "decoder": None,
        "pre_tokenizer": {
            "type": "Split", "pattern": split, "behavior": "Isolated", "invert": False,
        },
        "model": {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
    })  # fmt: skip


NAMES = ("grow", "share", "stuck", "spell", "start", "write", "panic", "process_number",
         "machine")  # fmt: skip
VERBS = Verbs({name: f"confined_verbs:{name}" for name in NAMES}, "confined_verbs:load")


def main() -> None:
    deed = sys.argv[1]
    if Path(deed).is_dir():  # a job
        sys.exit(job_worker.main({"machine": "confined_verbs:machine_job"}))
    if deed == "leave":  # a folder held by a process that will be killed, and one by its child
        folder = HeldFolder()
        Path(tempfile.gettempdir(), "left").write_text("x")
        print(folder.path, flush=True)
    if deed == "kill":
        os.kill(os.getpid(), 9)
    if deed == "probe":
        from tokenizers import Tokenizer

        from core.confinement import probe

        probe.SECONDS = 1
        encode = Tokenizer.from_str(tokenizer_json(sys.argv[2])).encode
        process.answer(lambda: {"none": probe.probed(encode)}, deed)
    if deed in ("leave", "hang"):
        stuck(None, (), {"pipe": sys.argv[2]} if deed == "hang" else {})
    if deed == "machine":
        process.answer(lambda: machine_job(json.loads(sys.argv[2])), deed)
    if deed == "tell":
        process.answer(lambda: {"args": sys.argv[1:], "home": tempfile.gettempdir()}, deed)


if __name__ == "__main__":
    main()
