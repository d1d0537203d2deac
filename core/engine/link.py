"""The server's end of the pipe to one worker process."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import core
from core.confinement import seal
from core.confinement.folders import HeldFolder
from core.confinement.limits import held_memory
from core.engine.message import Setup, frame, receive
from core.errors import EngineError, StorageError
from core.workspace import Workspace

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
_CLOSE_SECONDS = 2.0
_TAIL_BYTES = 4000
_TAIL_LINES = 3
_LOGS_KEPT = 20


class Link:
    """A worker process, a thread that writes to it, one that hears it, and one that looks after it;
    nothing here blocks.

    ``heard(link, message)`` is called for every message and then ``ended(link)`` once, when the
    process is gone, both in the link's own thread; ``tended(link)`` several times a second.
    """

    def __init__(
        self,
        setup: Setup,
        log: IO[bytes],
        heard: Callable[[Link, Any], None],
        ended: Callable[[Link], None],
        tended: Callable[[Link], None],
    ) -> None:
        self.killed = False
        self.fault = ""
        self._spoke = time.monotonic()
        self._over = threading.Event()
        self._tended = tended
        self.served = False
        self._heard = heard
        self._ended = ended
        self._log = log
        self._log_start = log.seek(0, os.SEEK_END)
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._home: HeldFolder | None = None
        places = [Path(setup.results).parent] if setup.results else []
        try:
            self._home = HeldFolder() if setup.sealed else None
            home = None if self._home is None else self._home.path
            start, around = command("core.engine.worker", home, places)
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                start,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=around,
                start_new_session=setup.sealed,  # away from the terminal
            )
        except OSError as error:
            if self._home is not None:
                self._home.close()
            raise EngineError(
                f"The worker process cannot be started: {error.strerror or error}.",
                "Free some memory or processes and reload the page.",
            ) from error
        self.send(setup)
        self._writer = threading.Thread(target=self._write, name="engine-write", daemon=True)
        self._reader = threading.Thread(target=self._read, name="engine-read", daemon=True)
        self._writer.start()
        self._reader.start()
        threading.Thread(target=self._look, name="engine-look", daemon=True).start()

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    @property
    def memory(self) -> int:
        """Bytes that it holds, as far as the system says."""
        return held_memory(self.pid)

    @property
    def silent(self) -> float:
        """Seconds since it last said something."""
        return time.monotonic() - self._spoke

    @property
    def ending(self) -> str:
        """How the process ended, in words."""
        if self.fault:
            return self.fault
        status = self._process.returncode
        if status is None or status >= 0:
            return f"it ended with exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"it was ended by {name}{hint}"

    @property
    def tail(self) -> str:
        """The last lines that it wrote to its log."""
        try:
            end = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(self._log_start, end - _TAIL_BYTES))
            text = self._log.read().decode(errors="replace")
        except (OSError, ValueError):
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-_TAIL_LINES:])

    def send(self, message: Any) -> None:
        """Send a message; one to a process that is gone is lost.

        Raises ``TypeError`` or ``EngineError`` when it is not fit to be sent.
        """
        self._outbox.put(frame(message))

    def kill(self) -> None:
        """End the process now, on purpose."""
        self.killed = True
        self._process.kill()

    def stop(self, fault: str) -> None:
        """End the process now, for a fault of what it computes."""
        self.fault = fault
        self._process.kill()

    def close(self) -> None:
        """End the process, gently if it can; returns when it is gone."""
        self._outbox.put(None)
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        for thread in (self._writer, self._reader):
            if thread is not threading.current_thread():
                thread.join(_CLOSE_SECONDS)

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - Popen was asked for it
        with suppress(OSError):  # the process is gone; the reader notices
            while (data := self._outbox.get()) is not None:
                pipe.write(data)
                pipe.flush()
        with suppress(OSError):
            pipe.close()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - Popen was asked for it
        try:
            while (message := receive(pipe)) is not None:
                self._spoke = time.monotonic()
                self._heard(self, message)
        except Exception as error:  # whatever it says, this thread must see to its end
            _log.warning("The worker process said something unintelligible: %r", error)
        finally:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)  # it closed the pipe, so it is about to end
            self._process.kill()
            self._process.wait()
            pipe.close()
            self._outbox.put(None)
            if self._home is not None:
                self._home.close()
            self._over.set()
            self._ended(self)

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._tended(self)


def command(
    module: str, home: Path | None, places: Sequence[Path] = ()
) -> tuple[list[str], dict[str, str]]:
    """The command line of ``python -m module``, and its environment: ours, with the folder of this
    package first, wherever the server was started. The kernel seals it where it has a ``home``, and
    leaves it ``places`` to write to, as ``core.confinement.seal.command`` says.
    """
    package = str(Path(core.__file__ or "").parent.parent)
    path = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    around = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    if home is None:
        # -P: what lies in the current folder must not stand in for a library.
        return [sys.executable, "-P", "-m", module], around
    start, more = seal.command(module, home, places)
    return start, {**around, **more}


def open_log(workspace: Workspace | None) -> IO[bytes]:
    """A file for what the worker prints, of which the newest few are kept."""
    if workspace is not None:
        try:
            folder = workspace.logs
            old = sorted(folder.glob("worker-*.log"), key=lambda path: path.stat().st_mtime)
            for path in old[: 1 - _LOGS_KEPT]:
                path.unlink(missing_ok=True)
            handle, name = tempfile.mkstemp(".log", "worker-", folder)
            os.close(handle)
            return Path(name).open("a+b")  # the worker appends wherever we read
        except (OSError, StorageError) as error:
            _log.warning("The worker's log is not kept: %s", error)
    handle, name = tempfile.mkstemp(".log", "fluoroscope-")
    os.close(handle)
    file = Path(name).open("a+b")  # noqa: SIM115 - closed by the executor
    with suppress(OSError):
        Path(name).unlink()
    return file
