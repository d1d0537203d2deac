"""What a stranger's network may do to a worker, as toy verbs; and to a confined process, as
``python -m confined_verbs DEED …``.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.confinement import process
from core.confinement.folders import HeldFolder
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
    return os.getpid()


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


NAMES = ("grow", "share", "stuck", "spell", "start", "write", "panic", "process_number")
VERBS = Verbs({name: f"confined_verbs:{name}" for name in NAMES}, "confined_verbs:load")


def main() -> None:
    deed = sys.argv[1]
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
    if deed == "tell":
        process.answer(lambda: {"args": sys.argv[1:], "home": tempfile.gettempdir()}, deed)


if __name__ == "__main__":
    main()
