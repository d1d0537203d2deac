"""A call that was handed in: the handle that both local executors give."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from core.engine.call import Call
from core.engine.executor import State
from core.errors import Cancelled
from core.progress import Progress


@dataclass(eq=False)
class Work:
    """One computation and how far it is; several handles may wait for it."""

    call: Call
    progress: Progress = field(default_factory=Progress)
    running: bool = False


class CallHandle:
    """A ``Handle`` on a ``Work``, settled once: by a result, an error or a cancel."""

    def __init__(
        self,
        work: Work,
        cancel: Callable[[CallHandle], None],
        compute: Callable[[], None] | None = None,
    ) -> None:
        self.work = work
        self._cancel = cancel
        self._compute = compute
        self._future: Future[Any] = Future()

    @classmethod
    def finished(cls, call: Call, value: Any) -> CallHandle:
        """A handle on a result that was there already."""
        handle = cls(Work(call), lambda _: None)
        handle.settle(value)
        return handle

    @property
    def call(self) -> Call:
        """What was asked."""
        return self.work.call

    @property
    def state(self) -> State:
        """Where it stands."""
        if not self._future.done():
            return "running" if self.work.running else "waiting"
        if self.error is None:
            return "done"
        return "cancelled" if isinstance(self.error, Cancelled) else "failed"

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.work.progress

    @property
    def error(self) -> Exception | None:
        """Why it failed or was cancelled, if it was."""
        error = self._future.exception() if self._future.done() else None
        return error if isinstance(error, Exception) else None

    def cancel(self) -> None:
        """Ask it to stop: ``state`` is ``cancelled`` at once, what computes stops within a
        second. Others who asked for the same are not disturbed.
        """
        self._cancel(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for and return the result; raises what the call raised, or ``TimeoutError``."""
        if self._compute is not None and not self._future.done():
            self._compute()
        error = self._future.exception(timeout)
        if error is not None:
            raise error.with_traceback(None)  # the same error is raised for everyone who asks
        return self._future.result()

    def settle(self, value: Any) -> None:
        """Give it its result."""
        if not self._future.done():
            self._future.set_result(value)

    def fail(self, error: Exception) -> None:
        """Give it its error."""
        if not self._future.done():
            self._future.set_exception(error)
