"""Jobs: long work as a folder that anybody may watch, done by a process of its own.

job.json       what to do: verb, parameters, device
status.json    how far it is, replaced as a whole
log.txt        what its process printed
cancel         is there once somebody asked it to stop
lock           held by its process from before anybody can see the folder until that process is gone
result.npz     what the verb returned, where it returned something
sealed/        where a sealed process keeps status.json and result.npz: it writes nowhere else here

Jobs are numbered in the order of submission. A job waits until no earlier one for the same device
has a process any more; nothing but locks, which the kernel lets go of, says who is alive.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from core.errors import BadInput, EngineError, StorageError, UnknownName
from core.models.reference import ModelRef
from core.paths import read_file, read_json
from core.progress import Progress
from core.store import decode, write_atomically
from core.workspace import Workspace

State = Literal["waiting", "running", "done", "failed", "cancelled", "died"]
UNFINISHED = ("waiting", "running")
FINISHED = ("done", "failed", "cancelled", "died")

# Verbs of jobs, found where they run: called as f(parameters, meter) -> value or None.
JOB_VERBS: Mapping[str, str] = {
    "capture": "core.activations.work:capture_job",
    "estimate": "core.training.estimate:estimate_config",
    "train": "core.training.loop:train_folder",
}

_ABOUT, _STATUS, _LOG, _CANCEL, _APART = "job.json", "status.json", "log.txt", "cancel", "sealed"
LOCK, RESULT = "lock", "result.npz"


@dataclass(frozen=True)
class JobStatus:
    """How far a job is, as its process last wrote it: ``message`` says why it failed, ``next_step``
    what to do about it; ``started`` and ``updated`` are Unix time.
    """

    state: State = "waiting"
    progress: Progress = field(default_factory=Progress)
    message: str = ""
    next_step: str = ""
    pid: int = 0
    started: float = 0.0
    updated: float = 0.0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> JobStatus:
        """The status in a plain dictionary.

        Raises ``TypeError``, ``KeyError`` or ``ValueError`` when there is none in it.
        """
        status = cls(**{**value, "progress": Progress(**value["progress"])})
        kinds = [(vars(status), vars(cls())), (vars(status.progress), vars(Progress()))]
        for given, usual in kinds:
            for name, one in usual.items():
                if not isinstance(given[name], int | float if one == 0 else type(one)):
                    raise TypeError(f"'{name}' is not what it should be")
        if status.state not in UNFINISHED + FINISHED:
            raise ValueError(f"there is no state '{status.state}'")
        return status


@dataclass(frozen=True)
class Job:
    """A job by its folder; what changes while it runs is read anew each time it is asked for."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Job:
        """The job in a folder.

        Raises ``BadInput`` when it is none.
        """
        job = cls(Path(folder).absolute())
        _ = job.about
        return job

    @property
    def id(self) -> str:
        """Its number, by which people name it."""
        return self.folder.name

    @property
    def desk(self) -> Path:
        """The folder that its process writes to."""
        apart = self.folder / _APART
        return apart if apart.is_dir() else self.folder

    @cached_property
    def about(self) -> dict[str, Any]:
        """What to do, which never changes: ``verb``, ``parameters``, ``device``, ``line`` (who
        waits for whom), ``created``.

        Raises ``BadInput`` when it is not there or damaged.
        """
        try:
            about = read_json(self.folder / _ABOUT)
            kinds = {"verb": str, "parameters": dict, "device": str, "line": str, "created": str}
            for name, kind in kinds.items():
                if not isinstance(about[name], kind):
                    raise TypeError(f"'{name}' is not what it should be")
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadInput(
                f"'{self.folder}' is not a job: its {_ABOUT} cannot be read ({reason}).",
                "See `fluoroscope jobs` for the jobs there are.",
            ) from None
        return dict(about)

    @property
    def verb(self) -> str:
        """What is done."""
        return str(self.about["verb"])

    @property
    def parameters(self) -> dict[str, Any]:
        """What it is done with."""
        return dict(self.about["parameters"])

    @property
    def device(self) -> str:
        """Where it is done, as asked for."""
        return str(self.about["device"])

    @property
    def status(self) -> JobStatus:
        """What its process last wrote; a damaged file counts as a job that failed."""
        try:
            return JobStatus.from_json(read_json(self.desk / _STATUS))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            return JobStatus("failed", message=f"Its {_STATUS} cannot be read: {error}.")

    @property
    def alive(self) -> bool:
        """Whether it has a process at this moment."""
        try:
            with (self.folder / LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def state(self) -> State:
        """Where it stands; ``died`` when its process is gone and did not say how it ended."""
        state = self.status.state
        if state in UNFINISHED and not self.alive:
            state = self.status.state  # it may have ended in between
            return "died" if state in UNFINISHED else state
        return state

    @property
    def progress(self) -> Progress:
        """How far it is, and ``remaining`` seconds."""
        return self.status.progress

    @property
    def message(self) -> str:
        """Why it failed or died, in a sentence or two; empty while all is well."""
        status = self.status
        if self.state == "died":
            said = self.log_tail(3).replace("\n", " · ")
            return "Its process ended without a word." + (f" Its log ends: {said}" if said else "")
        return f"{status.message} {status.next_step}".strip()

    @property
    def result(self) -> Any:
        """What the verb returned; None when that was nothing or it is not done.

        Raises ``StorageError`` when it is damaged.
        """
        path = self.desk / RESULT
        try:
            return decode(read_file(path, 2**30)) if path.is_file() else None
        except ValueError as error:
            raise StorageError(f"It cannot be read: {error}.") from None

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to stop."""
        return (self.folder / _CANCEL).exists()

    def cancel(self) -> None:
        """Ask it to stop, which it does within a second or one step; returns at once.

        Raises ``StorageError`` when that cannot be written down.
        """
        try:
            (self.folder / _CANCEL).touch()
        except OSError as error:
            raise StorageError(
                f"Job {self.id} cannot be told to stop: {error.strerror or error}.",
                "Mend the permissions of the workspace.",
            ) from None

    def wait(self) -> State:
        """Wait until it has no process any more; how it ended."""
        with (self.folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
        return self.state

    def log(self, most: int = 2**24) -> str:
        """What its process printed, the last so many bytes of it."""
        with suppress(OSError), (self.folder / _LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read(most).decode(errors="replace")
        return ""

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that its process printed."""
        said = [line for line in self.log(16_000).splitlines() if line.strip()]
        return "\n".join(said[-lines:])

    def write(self, status: JobStatus, *, durable: bool = True) -> None:
        """Replace the status: for the process that does the job.

        Raises ``StorageError``.
        """
        data = json.dumps(asdict(status), ensure_ascii=False).encode()
        try:
            write_atomically(self.desk / _STATUS, data, durable=durable)
        except StorageError:
            if status.state in UNFINISHED:
                raise
            # No room for a second file: what it came to must be said all the same.
            (self.desk / _STATUS).write_bytes(data)


def submit(
    workspace: Workspace,
    verb: str,
    parameters: Mapping[str, Any],
    device: str = "auto",
    *,
    worker: str = "core.engine.job_worker",
) -> Job:
    """Write a job down and start its process, which waits for its turn; returns at once.

    ``parameters`` is what JSON knows; ``worker`` is the module that does the job. Raises
    ``StorageError``, ``EngineError``, or what there is to say of a model that is not there.
    """
    from core.engine.link import command

    root = workspace.jobs
    strange = ModelRef((parameters.get("model") or [""])[0], "").brought
    about = {
        "verb": verb, "parameters": dict(parameters), "device": device, "line": line(device),
        "created": datetime.now(UTC).replace(microsecond=0).isoformat(),
    }  # fmt: skip
    job = Job(root / f".new-{secrets.token_hex(8)}")
    try:
        write_atomically(job.folder / _ABOUT, json.dumps(about, indent=1).encode())
        if strange:
            (job.folder / _APART).mkdir()
        job.write(JobStatus())
        with (job.folder / _LOG).open("wb") as log, (job.folder / LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            job = _numbered(job, root)
            home = job.desk / "tmp" if strange else None
            start, around = command(worker, home, [job.desk, workspace.apart.root])
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*start, str(job.folder), str(lock.fileno())], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=(lock.fileno(),), start_new_session=True,
                env=around,
            )  # fmt: skip
    except (OSError, StorageError) as error:
        shutil.rmtree(job.folder, ignore_errors=True)
        if isinstance(error, StorageError):
            raise
        raise EngineError(
            f"The job cannot be started: {error.strerror or error}.",
            "Free some memory, processes or space on the disk, and try again.",
        ) from error
    threading.Thread(target=process.wait, name=f"job-{job.id}", daemon=True).start()
    return job


def jobs(workspace: Workspace) -> tuple[Job, ...]:
    """All jobs of a workspace, the newest first; folders that are none are passed over."""
    root = workspace.root / "jobs"
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name.isdecimal():
            with suppress(BadInput):
                found.append(Job.open(folder))
    return tuple(sorted(found, key=lambda each: int(each.id), reverse=True))


def job(workspace: Workspace, number: str) -> Job:
    """The job of this number. Raises ``UnknownName``."""
    known = {each.id: each for each in jobs(workspace)}
    if number not in known:
        raise UnknownName.of("job", number, known, "See `fluoroscope jobs`.")
    return known[number]


def line(device: str) -> str:
    """The name of the line in which jobs for ``device`` wait: one for each device.

    ``auto`` is what the driver's files say, because importing torch to ask it takes seconds.
    """
    if device == "auto":
        drivers = (*Path("/dev").glob("nvidia[0-9]*"), Path("/dev/kfd"), Path("/dev/dxg"))
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
        if not hidden and any(path.exists() for path in drivers):
            return "cuda:0"
        apple = sys.platform == "darwin" and platform.machine() == "arm64"
        return "mps" if apple else "cpu"
    return "cuda:0" if device == "cuda" else device


def _numbered(making: Job, root: Path) -> Job:
    """Move a finished folder to the next free number: two who try the same cannot both succeed."""
    taken = [int(folder.name) for folder in root.iterdir() if folder.name.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        try:
            return replace(making, folder=making.folder.rename(root / str(number)))
        except OSError:
            if not (root / str(number)).exists():
                raise
            number += 1
