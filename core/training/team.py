"""Several devices that train one run together: a process for each, all with the same weights.

The process that holds the run reports and writes. The others, its helpers, do the same on a copy of
the run that nobody keeps; only examples are divided among them, and gradients averaged. On several
machines that share a folder, ``torchrun … -m core.training.team RUN`` on each starts them all.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from core.training.run import Run

_PATIENCE_SECONDS = 10.0


@contextmanager
def helpers(run: Run, devices: int) -> Iterator[None]:
    """Inside, ``devices - 1`` other processes train the run too, unless somebody started them."""
    if devices == 1 or "LOCAL_RANK" in os.environ:
        yield
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    command = [sys.executable, "-P", "-m", "core.training.team", str(run.folder)]
    started: list[subprocess.Popen[bytes]] = []
    patience = 0.0
    try:
        for place in range(1, devices):
            environment = {**os.environ, **meeting, "LOCAL_RANK": str(place)}
            process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                command, env=environment, stdin=subprocess.DEVNULL
            )
            started.append(process)
        os.environ.update(meeting, LOCAL_RANK="0")
        yield
        patience = _PATIENCE_SECONDS
    finally:
        for name in (*meeting, "LOCAL_RANK"):
            os.environ.pop(name, None)
        _end(started, patience)


def _end(processes: list[subprocess.Popen[bytes]], patience: float) -> None:
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
    for process in processes:
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def help_train(run: Run) -> None:
    """Train a copy of the run along with the process that holds it."""
    from core.progress import Meter
    from core.training.loop import Loop

    with TemporaryDirectory(prefix="fluoroscope-") as place:
        copy = Path(place) / run.name
        unneeded = shutil.ignore_patterns("events.*", "lock")
        shutil.copytree(run.folder, copy, ignore=unneeded, copy_function=_link)
        Loop(Run.open(copy), Meter()).run()


def _link(source: str, target: str) -> None:
    """The same file under another name, where the file system can: runs never change a file."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def main() -> None:
    """One process of a team, told by the environment which."""
    from core.training.loop import train

    run = Run.open(Path(sys.argv[1]))
    if int(os.environ.get("RANK", os.environ["LOCAL_RANK"])) == 0:
        train(run)
    else:
        help_train(run)


if __name__ == "__main__":
    main()
