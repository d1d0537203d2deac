"""Computing in this very thread: for the command line, notebooks and tests."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from core.engine.call import Call
from core.engine.handle import CallHandle, Work
from core.engine.verbs import VERBS, Verbs
from core.engine.workbench import Workbench, explained
from core.errors import Cancelled, EngineError, StorageError
from core.progress import Meter, Progress
from core.workspace import Workspace

_log = logging.getLogger(__name__)
_SHARED = Workbench(VERBS)  # models stay loaded between the executors of one process


class InlineExecutor:
    """Computes in the thread that first asks a handle for its result.

    Until then a call waits, so that progress can be shown and another thread can cancel. Results
    are stored in ``workspace``, if there is one, under the same keys as everywhere else.
    """

    def __init__(
        self, device: str = "auto", workspace: Workspace | None = None, *, verbs: Verbs = VERBS
    ) -> None:
        self._device = device
        self._verbs = verbs
        self._bench = _SHARED if verbs is VERBS else Workbench(verbs)
        self._workspace = workspace
        self._stores = (
            {each: workspace.of(each).store for each in (False, True)} if workspace else {}
        )
        self._pending: WeakValueDictionary[str, CallHandle] = WeakValueDictionary()
        self._closed = False

    def submit(self, call: Call, *, notify: Callable[[Progress], None] | None = None) -> CallHandle:
        """Hand in a call; ``notify`` hears of every pass while it is computed.

        Raises ``UnknownName`` for a verb that does not exist.
        """
        self._verbs.check(call.verb)
        if self._closed:
            raise EngineError("This executor is closed.", "Make another.")
        if call.device == "auto":
            call = replace(call, device=self._device)
        pending = self._pending.get(call.key)
        if pending is not None and pending.state in ("waiting", "running"):
            return pending
        store = self._stores.get(call.model.brought)
        if store is not None and (value := store.get(call.key)) is not None:
            return CallHandle.finished(call, value)
        task = _Task(call, self._bench, self._finish, self._report_bug, notify)
        self._pending[call.key] = task.handle
        return task.handle

    def stored(self, call: Call) -> bool:
        """Whether the result of a call is there already, so that it costs nothing."""
        if call.device == "auto":
            call = replace(call, device=self._device)
        store = self._stores.get(call.model.brought)
        return store is not None and call.key in store

    def close(self) -> None:
        """Take no more calls."""
        self._closed = True

    def _finish(self, call: Call, value: Any) -> None:
        store = self._stores.get(call.model.brought)
        if store is not None and call.verb not in self._verbs.fleeting:
            try:
                store.put(call.key, value)
            except StorageError as error:  # the result is there all the same
                _log.warning("A result is not kept: %s", error)

    def _report_bug(self, error: Exception) -> None:
        """Keep the details of the last unexpected error for whoever mends it."""
        if self._workspace is not None:
            with suppress(OSError, StorageError):
                details = "".join(traceback.format_exception(error))
                (self._workspace.logs / "inline.log").write_text(details, encoding="utf-8")


class _Task:
    """One handle and the computing of it."""

    def __init__(
        self,
        call: Call,
        bench: Workbench,
        finish: Callable[[Call, Any], None],
        report_bug: Callable[[Exception], None],
        notify: Callable[[Progress], None] | None,
    ) -> None:
        self._bench = bench
        self._finish = finish
        self._report_bug = report_bug
        self._notify = notify
        self._cancelled = threading.Event()
        self._once = threading.Lock()
        self.handle = CallHandle(Work(call), self._cancel, self._compute)

    def _cancel(self, handle: CallHandle) -> None:
        self._cancelled.set()
        handle.fail(Cancelled())

    def _compute(self) -> None:
        if not self._once.acquire(blocking=False):
            return  # another thread is at it
        work, handle = self.handle.work, self.handle
        work.running = True
        try:
            value = self._bench.run(work.call, Meter(self._report, self._cancelled.is_set))
            self._finish(work.call, value)
        except Exception as error:
            failure = explained(error, work.call)
            if failure is not error:
                failure.__cause__ = error
                self._report_bug(error)
            handle.fail(failure)
        except BaseException:  # Ctrl+C: for the person at the keyboard
            handle.fail(Cancelled())
            raise
        else:
            handle.settle(value)
        finally:
            work.running = False

    def _report(self, progress: Progress) -> None:
        self.handle.work.progress = progress
        if self._notify is not None:
            self._notify(progress)
