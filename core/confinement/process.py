"""A stranger's file is opened, and a stranger's network looked over, in a process of its own, with
limits on memory, time and disk. This is the one way to start such a process.

It is ``python -m MODULE …`` with seconds and GiB as its last two arguments, sealed by the kernel
before it imports anything (``core.confinement.seal``). Whatever goes wrong in there, whoever asked
gets an ``Ended``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import core
from core import settings
from core.confinement import seal
from core.confinement.folders import sweep, temporary
from core.errors import UserError, shortened
from core.progress import Meter

SECONDS, GIB = "open_seconds", "open_gib"  # the settings
RAISE = "raise FLUOROSCOPE_OPEN_SECONDS or FLUOROSCOPE_OPEN_GIB."
_SAID = "FLUOROSCOPE "
_MORE_SECONDS = 30  # by the clock than of the processor
_PATIENCE = 0.2  # seconds between two looks whether somebody cancelled
_MOST_SAID = 2**26  # bytes


@dataclass(frozen=True)
class Ended:
    """How a confined process ended: its exit ``status``, what it ``told`` (``found`` or ``error``),
    and whether it was ``late``; ``seconds`` and ``memory`` in GiB were its limits.
    """

    status: int
    seconds: int
    memory: int
    late: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """What it did, where it told nothing: the rest of a sentence."""
        if self.late:
            return f"needs more than {self.seconds} seconds"
        if self.status == -signal.SIGKILL:
            return "was ended by the system, as where memory runs out,"
        return "broke its process"


def run(module: str, arguments: Sequence[str], meter: Meter | None = None, usual: float = 12.0,
        note: str = "", places: Sequence[Path] = ()) -> Ended:  # fmt: skip
    """Run ``module`` in a confined process and wait for its end; ``usual`` seconds are expected.
    It writes to ``places`` and to its temporary folder only.

    The settings ``open_seconds`` and ``open_gib`` are its limits. What it leaves in its temporary
    folder goes with it. Raises ``Cancelled``, ``BadParameter`` for settings that are no numbers,
    and ``OSError`` when it cannot be started.
    """
    seconds = max(1, int(settings.value(SECONDS)))
    memory = max(1, int(settings.value(GIB)))
    meter = meter or Meter()
    meter.expect(usual, note)
    sweep()
    try:
        with temporary() as folder:
            command = seal.start(module, [folder, *places])
            command += [*arguments, str(seconds), str(memory)]
            said = folder / "said"
            with said.open("wb") as out:
                process = subprocess.Popen(  # noqa: S603 - our own command
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.DEVNULL,
                    env={**environment(), "TMPDIR": str(folder)},
                    start_new_session=True,
                )
            with suppress(OSError):  # only Linux has it: the first to go where memory runs out
                Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000", encoding="ascii")
            started = time.monotonic()
            status = _awaited(process, started + seconds + _MORE_SECONDS, meter)
            took = time.monotonic() - started
            late = status in (-signal.SIGXCPU, -signal.SIGALRM)
            late = late or (status == -signal.SIGKILL and took >= seconds)
            return Ended(status, seconds, memory, late, _told(said))
    finally:
        sweep()


def answer(work: Callable[[], Mapping[str, Any]], name: str) -> None:
    """In the confined process: do the work, and print what was found or what is wrong with what is
    called ``name``.
    """
    try:
        told: dict[str, Any] = {"found": work()}
    except UserError as error:
        told = {"error": [error.message, error.next_step]}
    except BaseException as error:  # a stranger's file may break whatever reads it in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        told = {
            "error": [
                f"'{shortened(name, 80)}' cannot be read: {shortened(reason, 160).rstrip('.')}.",
                "Save it again with the tool that made it.",
            ]
        }
    print(_SAID + json.dumps(told), flush=True)


def environment() -> Mapping[str, str]:
    """That of a confined process: our own code, no GPU, one thread, no network for hubs."""
    home = str(Path(core.__file__ or "").parent.parent)
    path = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def _awaited(process: subprocess.Popen[bytes], until: float, meter: Meter) -> int:
    """The exit status; the process and all that it started are ended when it takes too long or is
    cancelled.
    """
    try:
        while time.monotonic() < until:
            meter.tick(_PATIENCE)
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_PATIENCE)
        return -signal.SIGALRM
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _told(said: Path) -> Mapping[str, Any]:
    """The last line that is ours; nothing where there is none or it is torn."""
    try:
        with said.open("rb") as file:
            lines = file.read(_MOST_SAID).decode(errors="replace").splitlines()
        line = next(each for each in reversed(lines) if each.startswith(_SAID))
        told = json.loads(line.removeprefix(_SAID))
    except (OSError, ValueError, StopIteration, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
