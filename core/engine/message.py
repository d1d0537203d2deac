"""What the dashboard's process and its worker say to each other, and how it crosses the pipe.

Messages are encoded without pickle: a worker that a hostile file has taken over can send wrong
numbers, but cannot run code in the server.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import IO, Any

from core import errors
from core.codec import RESULT_TYPES, Codec
from core.engine.call import Call
from core.engine.verbs import Verbs
from core.errors import EngineError, FluoroscopeError, StorageError, shortened
from core.models.reference import ModelRef
from core.progress import Progress

_LENGTH = 8
_LARGEST = 1024**3
_LONGEST = 20_000  # characters of what people are told


@dataclass(frozen=True)
class Setup:
    """To the worker, first: its verbs, and where results are stored (nowhere if None); whether the
    kernel seals it.
    """

    verbs: Verbs
    results: str | None
    limit: int
    sealed: bool = False


@dataclass(frozen=True)
class Ask:
    """To the worker: compute this."""

    number: int
    call: Call


@dataclass(frozen=True)
class Hurry:
    """To the worker: a waiting call has become urgent."""

    number: int


@dataclass(frozen=True)
class Cancel:
    """To the worker: nobody wants this call any more."""

    number: int


@dataclass(frozen=True)
class Warm:
    """To the worker: load this when there is nothing else to do."""

    model: ModelRef
    device: str


@dataclass(frozen=True)
class Started:
    """From the worker: a call is being computed; one that was running is suspended by it."""

    number: int


@dataclass(frozen=True)
class Loaded:
    """From the worker: the model of a call is loaded, from now on it stops soon when cancelled."""

    number: int


@dataclass(frozen=True)
class Ticked:
    """From the worker: how far a call is."""

    number: int
    progress: Progress

    def __post_init__(self) -> None:
        said = self.progress
        numbers = (said.done, said.total, said.seconds)
        if not (all(0 <= float(each) < math.inf for each in numbers) and _short(said.note)):
            raise ValueError("no progress")


@dataclass(frozen=True)
class Done:
    """From the worker: the encoded result."""

    number: int
    payload: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.payload, bytes):
            raise TypeError("no result")


@dataclass(frozen=True)
class Failed:
    """From the worker: a call raised an error of ``core.errors``, named by ``kind``."""

    number: int
    kind: str
    message: str
    next_step: str

    def __post_init__(self) -> None:
        if not all(map(_short, (self.kind, self.message, self.next_step))):
            raise ValueError("no words")

    @classmethod
    def of(cls, number: int, error: FluoroscopeError) -> Failed:
        """The message about an error."""
        said = (shortened(each, _LONGEST - 1) for each in (error.message, error.next_step))
        return cls(number, type(error).__name__, *said)

    @property
    def error(self) -> FluoroscopeError:
        """The error again; one of an unknown kind is an ``EngineError``."""
        kind = getattr(errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, FluoroscopeError)):
            kind = EngineError
        return kind(self.message, self.next_step)


def _short(text: object) -> bool:
    """Whether it is a text that a page can show."""
    return isinstance(text, str) and len(text) <= _LONGEST


_CODEC = Codec(
    (
        *RESULT_TYPES,
        *(Call, ModelRef, Verbs),
        *(Setup, Ask, Hurry, Cancel, Warm, Started, Loaded, Ticked, Done, Failed),
    )
)


def frame(message: Any) -> bytes:
    """The bytes of one message, ready for the pipe.

    Raises ``TypeError`` for a value that cannot be stored, ``EngineError`` for one too large.
    """
    data = _CODEC.encode(message)
    if len(data) > _LARGEST:
        raise EngineError(
            f"{len(data) / 1024**3:.1f} GiB are too much for one call.",
            "Ask for fewer examples or targets at once.",
        )
    return len(data).to_bytes(_LENGTH, "little") + data


def receive(pipe: IO[bytes]) -> Any | None:
    """Read one message; None when the other side has gone.

    Raises ``StorageError`` for anything that is no message.
    """
    prefix = pipe.read(_LENGTH)
    if len(prefix) < _LENGTH:
        return None
    length = int.from_bytes(prefix, "little")
    if length > _LARGEST:
        raise StorageError(f"A message of {length} bytes is no message.")
    data = pipe.read(length)
    return _CODEC.decode(data) if len(data) == length else None
