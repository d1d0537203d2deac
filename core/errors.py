"""Every error that Fluoroscope raises on purpose.

    FluoroscopeError
    ├── UserError             something asked for cannot be done: shown as a sentence, exit status 2
    │   ├── BadInput          an image, text, table or file that cannot be read
    │   ├── BadModel          a model that cannot be loaded or does not behave
    │   ├── UnknownName       a model, method, target, layer or parameter that does not exist
    │   ├── BadParameter      a parameter of the wrong type or out of range
    │   ├── NotValid          a method that does not fit this model, with the reason
    │   ├── MissingExtra      an optional package that is not installed
    │   └── StorageError      a result that cannot be written or read back
    ├── Cancelled             the person asked to stop; nothing is wrong
    ├── OutOfMemory           memory ran out even at the smallest batch
    └── EngineError           the place where computing happens failed
        └── WorkerDied        the worker process ended in the middle of a call

Each message says what was wrong and what was expected; ``next_step`` says what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def shortened(text: object, length: int = 200) -> str:
    """What a person gave, for a message: its beginning where it is long."""
    whole = str(text)
    return whole if len(whole) <= length else f"{whole[:length]}…"


class FluoroscopeError(Exception):
    """Base class. ``str(error)`` is one or two whole sentences, the last one the next step."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class UserError(FluoroscopeError):
    """Something asked for cannot be done; the command line exits with status 2."""


class BadInput(UserError):
    """An image, text, table or file that cannot be read."""


class BadModel(UserError):
    """A model that cannot be loaded or that does not behave (NaN weights, wrong keys)."""


class UnknownName(UserError):
    """A model, method, target, layer or parameter that does not exist."""

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[object], listing: str = "") -> UnknownName:
        """An error that offers the nearest known names, or where to list them all."""
        names = [str(candidate) for candidate in known]
        lowered = {candidate.lower(): candidate for candidate in names}
        near = difflib.get_close_matches(shortened(name).lower(), list(lowered), n=3, cutoff=0.5)
        if near:
            offer = "Did you mean " + " or ".join(f"'{lowered[match]}'" for match in near) + "?"
        elif not names:
            offer = ""
        elif len(names) <= 24:
            offer = "Known: " + ", ".join(names) + "."
        else:
            offer = f"There are {len(names)} to choose from."
        return cls(f"There is no {kind} '{shortened(name)}'.", f"{offer} {listing}".strip())


class BadParameter(UserError):
    """A parameter of the wrong type or out of range."""


class NotValid(UserError):
    """A method that does not fit this model; the message carries the reason."""


class MissingExtra(UserError):
    """An optional package that is not installed."""


class StorageError(UserError):
    """A result that cannot be written or read back."""


class Cancelled(FluoroscopeError):
    """The person asked to stop."""

    def __init__(self, message: str = "Cancelled.", next_step: str = "") -> None:
        super().__init__(message, next_step)


class OutOfMemory(FluoroscopeError):
    """Memory ran out even at the smallest batch."""


class EngineError(FluoroscopeError):
    """The place where computing happens failed."""


class WorkerDied(EngineError):
    """The worker process ended in the middle of a call."""
