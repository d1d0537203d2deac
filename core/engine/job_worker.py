"""The process of one job: ``python -m core.engine.job_worker FOLDER``, started by ``submit``.

It waits for its turn, does the job, and writes down how it goes. To stop it, put a file ``cancel``
into the folder or send SIGTERM: before the first tick of the meter it stops wherever it is, from
then on between two ticks. What is printed goes to the log.
"""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import settings
from core.confinement.guard import guard
from core.confinement.kernel import calls_refused
from core.engine.job import JOB_VERBS, LOCK, RESULT, UNFINISHED, Job, JobStatus, jobs
from core.errors import BadInput, Cancelled, FluoroscopeError, StorageError, UnknownName, UserError
from core.models.catalogue import resolve
from core.models.formats import factory
from core.progress import Meter, Progress
from core.store import encode, write_atomically
from core.workspace import Workspace

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2


class JobWorker:
    """Does one job in the main thread, while another thread writes its status."""

    def __init__(self, job: Job, verbs: Mapping[str, str]) -> None:
        self._job, self._verbs = job, verbs
        self._status = JobStatus(pid=os.getpid(), started=time.time())
        self._progress = Progress()
        self._asked = threading.Event()
        self._over = threading.Event()
        self._gently = True  # whether a cancel waits for the next tick

    def work(self) -> JobStatus:
        """Wait for the job's turn, do it, and say how it ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        watch = threading.Thread(target=self._watch, name="watch", daemon=True)
        watch.start()
        try:
            self._gently = False
            self._queue()
            self._do()
            self._gently = True
            end = replace(self._status, state="done")
        except Cancelled:
            end = replace(self._status, state="cancelled", message="Cancelled.")
        except (Exception, SystemExit) as error:
            self._gently = True
            said = explained(error, self._job)
            end = replace(
                self._status, state="failed", message=said.message, next_step=said.next_step
            )
        self._gently = True
        self._over.set()
        watch.join()
        end = replace(end, progress=self._progress, updated=time.time())
        _log.info("Job %s is over: %s %s", self._job.id, end.state, end.message)
        self._job.write(end)
        return end

    def _queue(self) -> None:
        """Wait until no earlier job for this device has a process."""
        for earlier in self._earlier():
            if earlier.alive and not self._asked.is_set():
                _log.info("Waiting for job %s", earlier.id)
                self._progress = Progress(note=f"Waiting for job {earlier.id}")
            while earlier.alive and not self._asked.wait(_LOOK_SECONDS):
                pass
        if self._asked.is_set():
            raise Cancelled

    def _earlier(self) -> list[Job]:
        """The jobs for the same device that were submitted before this one, the first one first."""
        everyone, mine = jobs(Workspace(self._job.folder.parents[1])), self._job
        return [
            each
            for each in reversed(everyone)
            if int(each.id) < int(mine.id) and each.about["line"] == mine.about["line"]
        ]

    def _do(self) -> None:
        self._status = replace(self._status, state="running", started=time.time())
        self._progress = Progress()
        verb, parameters = self._job.verb, self._job.parameters
        _log.info("Job %s: %s %s", self._job.id, verb, parameters)
        if verb not in self._verbs:
            raise UnknownName.of("kind of job", verb, self._verbs)
        function: Callable[[Mapping[str, Any], Meter], Any] = resolve(self._verbs[verb])
        value = function(parameters, Meter(self._heard, self._asked.is_set))
        if value is not None:
            write_atomically(self._job.desk / RESULT, encode(value))

    def _heard(self, progress: Progress) -> None:
        self._progress = progress
        self._gently = progress.done > 0

    def _signalled(self, number: int, _: object) -> None:
        """Stop; runs in the main thread between two of its instructions."""
        self._asked.set()
        if not self._gently:
            self._gently = True
            raise Cancelled

    def _watch(self) -> None:
        """Look for the cancel file and write how far it is, until the job is over."""
        written: tuple[JobStatus, Progress] | None = None
        while True:
            now = (self._status, self._progress)
            if now != written:
                status = replace(now[0], progress=now[1], updated=time.time())
                with suppress(StorageError):  # a full disk need not end the job
                    self._job.write(status, durable=False)
                written = now
            if self._job.cancelled and not self._asked.is_set():
                _log.info("Somebody asked job %s to stop", self._job.id)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if self._over.wait(_LOOK_SECONDS):
                return


def explained(error: BaseException, job: Job) -> FluoroscopeError:
    """``error`` as one of our own; its details go to the log."""
    if isinstance(error, UserError):
        _log.error("%s", error)
        return error
    _log.error("Job %s failed", job.id, exc_info=error)
    if isinstance(error, FluoroscopeError):
        return error
    reason = (str(error).strip().splitlines() or [""])[0][:200]
    return FluoroscopeError(
        f"Something unexpected happened: {type(error).__name__}"
        + (f", {reason.rstrip('.')}." if reason else "."),
        f"`fluoroscope jobs logs {job.id}` has the details: please report them.",
    )


def hold(job: Job, handle: int | None) -> None:
    """Hold the job's lock, which may have been handed over as an open descriptor, for as long as
    this process lives.
    """
    if handle is None:
        handle = os.open(job.folder / LOCK, os.O_RDONLY | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
    os.set_inheritable(handle, False)
    held = handle
    # A process that is forked off, such as a data loader's, must not keep it for longer.
    os.register_at_fork(after_in_child=lambda: os.close(held))


def main(verbs: Mapping[str, str] = JOB_VERBS) -> int:
    """Do the job in the folder that the command line names; the exit status.

    A second argument is the descriptor of the job's lock, held by whoever submitted it.
    """
    faulthandler.enable()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    if len(sys.argv) not in (2, 3):
        print("usage: python -m core.engine.job_worker FOLDER", file=sys.stderr)
        return 2
    try:
        job = Job.open(Path(sys.argv[1]))
        place = Workspace(job.folder.parents[1])
        guard(settings.value("worker_gib"), [job.desk, place.apart.root])
        if not calls_refused():  # not sealed: a person's own code may run
            factory.permit_listed(place.root)
        hold(job, int(sys.argv[2]) if len(sys.argv) == 3 else None)
        if job.status.state != UNFINISHED[0]:
            raise BadInput(
                f"Job {job.id} was started before: it is {job.state}.", "Submit it once more."
            )
        end = JobWorker(job, verbs).work()
    except FluoroscopeError as error:
        print(f"fluoroscope: {error}", file=sys.stderr)
        return 2
    return {"done": 0, "cancelled": 130}.get(end.state, 2)


if __name__ == "__main__":
    sys.exit(main())
