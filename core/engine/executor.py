"""The seam: where calls are handed in and handles come back, whoever does the computing.

A ``Call`` is a small value whose result depends on nothing but itself, and a ``Handle`` promises
nothing about where that happens: no process, no shared memory, no file. So an executor on a cluster
(Ray) is one more class with ``submit`` and ``close``, which carries calls to
``core.engine.workbench.Workbench.run`` and results back, and no page or command notices.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from core.engine.call import Call
from core.progress import Progress

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Handle(Protocol):
    """A call that was handed in. All methods may be used from any thread and never block,
    except ``result``.
    """

    @property
    def call(self) -> Call:
        """What was asked."""

    @property
    def state(self) -> State:
        """Where it stands."""

    @property
    def progress(self) -> Progress:
        """How far it is."""

    @property
    def error(self) -> Exception | None:
        """Why it failed or was cancelled, if it was."""

    def cancel(self) -> None:
        """Ask it to stop; within a second ``state`` is ``cancelled`` (or ``done``, if it was).

        Others who asked for the same are not disturbed: it goes on computing for them.
        """

    def result(self, timeout: float | None = None) -> Any:
        """Wait for and return the result; raises what the call raised, or ``TimeoutError``."""


class Executor(Protocol):
    """Someone who computes: inline, a worker process, or a cluster."""

    def submit(self, call: Call) -> Handle:
        """Hand in a call. An equal call that is still under way, or whose result is stored, is
        not computed again.
        """

    def close(self) -> None:
        """Stop computing and free the device."""
