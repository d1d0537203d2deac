"""A run: the folder of one training, readable while it is written, by anybody and without torch.

config.json         what was asked for (``Config``), with code, data and versions
status.json         how far it is (``Status``), replaced as a whole
events.out.tfevents.*   what was measured: `tensorboard --logdir` opens it
checkpoints/        what resuming and the time machine need (``core.training.checkpoint``)
card.json, model.safetensors    the model, as of the best epoch so far
lock                held by the process that trains
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

from core.errors import BadInput, FluoroscopeError, StorageError, UserError
from core.provenance import versions
from core.store import write_atomically
from core.training.config import Config

State = Literal["new", "running", "done", "stopped", "failed"]
STATES = ("new", "running", "done", "stopped", "failed")
_CONFIG, _STATUS, _LOCK = "config.json", "status.json", "lock"
DATA = "data.json"


class Busy(UserError):
    """Another process trains in this folder."""


@dataclass(frozen=True)
class Status:
    """How far a run is. ``seconds`` is time spent training, over all resumptions; ``best`` is the
    lowest validation loss, of ``best_epoch``; ``updated`` is Unix time.
    """

    state: State = "new"
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best: float | None = None
    stage: str = ""
    message: str = ""
    pid: int = 0
    updated: float = 0.0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Status:
        """The status in a plain dictionary; what is not known is passed over.

        Raises ``TypeError`` where a value is of another kind.
        """
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        for name, found in known.items():
            usual = getattr(cls, name)
            number = isinstance(found, (int, float)) and not isinstance(found, bool)
            if name == "best":
                fits = found is None or number
            elif isinstance(usual, float):
                fits = number
            else:
                fits = type(found) is type(usual)
            if not fits:
                raise TypeError(f"{name} is {found!r}")
        return cls(**known)


@dataclass(frozen=True)
class Run:
    """A run by its folder; what changes while it trains is read anew each time it is asked for."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, config: Config, **more: Any) -> Run:
        """Make the folder of a new run; ``more`` goes into ``config.json``.

        Raises ``StorageError`` when it cannot be written, ``BadInput`` when something is in it.
        """
        run = cls(Path(folder).absolute())
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            occupied = any(run.folder.iterdir())
        except OSError as error:
            raise StorageError(
                f"The folder '{folder}' cannot be used: {error.strerror or error}.",
                "Choose another with --out.",
            ) from None
        if occupied:
            raise BadInput(
                f"The folder '{folder}' is not empty.",
                "Choose another with --out, or go on with a run by --resume.",
            )
        about = {
            **config.as_json(),
            "created": datetime.now(UTC).replace(microsecond=0).isoformat(),
            "versions": dict(versions()),
            **more,
        }
        run._write(_CONFIG, about)
        run.update(epochs=config.epochs)
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in a folder.

        Raises ``BadInput`` when it is none.
        """
        run = cls(Path(folder).absolute())
        if not (run.folder / _CONFIG).is_file():
            raise BadInput(
                f"'{folder}' is not a run: there is no {_CONFIG} in it.",
                "See `fluoroscope runs` for the runs there are.",
            )
        _ = run.config  # says so when it is damaged
        return run

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @cached_property
    def about(self) -> dict[str, Any]:
        """All of ``config.json``, which never changes.

        Raises ``BadInput`` when it cannot be read.
        """
        try:
            about = json.loads((self.folder / _CONFIG).read_bytes())
            if not isinstance(about, dict):
                raise TypeError(f"expected an object, got {type(about).__name__}")
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(_CONFIG, error) from None
        return about

    @cached_property
    def config(self) -> Config:
        """What is trained.

        Raises ``BadInput`` when it is damaged or of a recipe that is not there.
        """
        try:
            return Config.from_json(self.about)
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(_CONFIG, error) from None
        except UserError as error:
            raise BadInput(
                f"The run '{self.name}' cannot be used here: {error.message}", error.next_step
            ) from None

    @property
    def status(self) -> Status:
        """How far it is; a damaged file counts as a run that failed."""
        try:
            raw = json.loads((self.folder / _STATUS).read_bytes())
            status = Status.from_json(raw)
        except FileNotFoundError:
            return Status()
        except (OSError, ValueError, TypeError, AttributeError) as error:
            return Status(state="failed", message=f"{_STATUS} cannot be read: {error}")
        return status if status.state in STATES else replace(status, state="failed")

    @property
    def alive(self) -> bool:
        """Whether a process trains in it at this moment."""
        try:
            with (self.folder / _LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def state(self) -> str:
        """Like ``status.state``, but ``died`` where nobody trains although it says ``running``."""
        state = self.status.state
        if state == "running" and not self.alive:
            state = self.status.state  # it may have ended in between
            return "died" if state == "running" else state
        return state

    @property
    def facts(self) -> dict[str, Any]:
        """What was found when it began (``data.json``): fingerprints and sizes of the splits,
        classes, what was skipped; nothing before that.
        """
        try:
            found = json.loads((self.folder / DATA).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def left_out(self) -> list[str]:
        """Sentences on what was left out of the data, or assumed of them."""
        found = self.facts.get("skipped")
        return [str(each) for each in found] if isinstance(found, list) else []

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / "checkpoints"

    def update(self, **changes: Any) -> Status:
        """Replace fields of the status; the time of it is added.

        Raises ``StorageError``.
        """
        status = replace(self.status, **changes, updated=time.time())
        self._write(_STATUS, asdict(status))
        return status

    def write(self, name: str, value: Any) -> None:
        """Write a JSON file into the folder, whole or not at all.

        Raises ``StorageError``.
        """
        self._write(name, value)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the lock of the run; the kernel lets go of it when the process ends, however.

        Raises ``Busy`` when another process has it, ``StorageError`` when it cannot be taken.
        """
        try:
            file = (self.folder / _LOCK).open("ab")
        except OSError as error:
            raise StorageError(
                f"The run '{self.name}' cannot be locked: {error.strerror or error}.",
                "Mend the permissions of its folder.",
            ) from None
        with file:
            if not _locked(file):
                raise Busy(
                    f"The run '{self.name}' is being trained by another process "
                    f"(number {self.status.pid}).",
                    "Wait for it, cancel it, or train into another folder with --out.",
                )
            yield

    def _write(self, name: str, value: Any) -> None:
        data = json.dumps(value, indent=1, ensure_ascii=False).encode()
        write_atomically(self.folder / name, data)

    def _damaged(self, name: str, error: Exception) -> BadInput:
        return BadInput(
            f"'{self.folder.name}' is not a usable run: its {name} cannot be read ({error}).",
            "Train again, or restore the file.",
        )


def _locked(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open; False when another process trains.

    A reader that looks whether somebody trains has the lock for an instant: it is not a reason.
    """
    for pause in (0.01, 0.05, 0.2, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause)
        else:
            return True
    return False


def new_folder(root: Path, config: Config) -> Path:
    """A name for a run that nobody has yet: ``<recipe>-<yyyymmdd-hhmmss>``; nothing is made."""
    stem = f"{config.recipe}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 10_000)))
    return next(root / name for name in names if not (root / name).exists())


def runs(root: Path) -> tuple[Run, ...]:
    """The runs below a folder, the newest first; folders that are none are passed over."""
    found = []
    for at, folders, files in os.walk(root):  # what is gone meanwhile is passed over
        folders.sort()
        if _CONFIG in files:
            folders.clear()  # a run holds no others, and its checkpoints come and go
            with suppress(FluoroscopeError):
                found.append(Run.open(Path(at)))
    return tuple(sorted(found, key=lambda run: str(run.about.get("created", "")), reverse=True))
