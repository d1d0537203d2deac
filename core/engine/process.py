"""Computing in one long-lived worker process: for the dashboard, whose own process stays thin.

Nothing here imports torch, and nothing here waits. What the worker sends is decoded without
pickle. When the worker dies, the call that was running fails; the rest is asked of a new one.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.codec import decode
from core.engine.call import Call
from core.engine.handle import CallHandle
from core.engine.link import Link, open_log
from core.engine.message import (
    Ask,
    Cancel,
    Done,
    Failed,
    Hurry,
    Loaded,
    Setup,
    Started,
    Ticked,
    Warm,
)
from core.engine.pending import Pending, died, fault
from core.engine.verbs import VERBS, Verbs
from core.errors import Cancelled, EngineError, StorageError
from core.models.reference import ModelRef
from core.progress import Progress
from core.workspace import Workspace

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 0.8  # between a cancel and the end of a worker that does not hear it
_LOADING_SECONDS = 10.0  # the same while it loads a stranger's model
_IDLE_SECONDS = 900.0  # until a sealed worker goes
_STARTS = 3
_RECENT = 32


class ProcessExecutor:
    """Hands calls to a worker process, urgent ones first, and results back.

    The worker starts at once and in the background; a ``sealed`` one with the first call that needs
    it, and goes when idle. Equal calls under way are computed once. Each ``owner`` (a browser
    session) gets one handle on it, the same however often it asks; without an owner there is a new
    handle each time, which counts for as long as somebody holds it. A call is given up when all
    who wait for it have cancelled.
    """

    def __init__(
        self,
        device: str = "auto",
        workspace: Workspace | None = None,
        *,
        verbs: Verbs = VERBS,
        sealed: bool = False,
    ) -> None:
        self._device = device
        self._verbs = verbs
        self._store = store = workspace.of(sealed).store if workspace else None
        where, limit = (str(store.folder), store.limit) if store else (None, 0)
        self._setup = Setup(verbs, where, limit, sealed)
        self._log_file = open_log(workspace)
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._pending: dict[int, Pending] = {}  # in the order of submission
        self._by_key: dict[str, Pending] = {}  # without the abandoned
        self._stack: list[Pending] = []  # running; the last one is computing, others suspended
        self._recent: OrderedDict[str, Any] = OrderedDict()  # even where nothing can be stored
        self._warm: Warm | None = None
        self._failed_starts = 0
        self._closed = False
        try:
            with self._lock:
                self._link: Link | None = None if sealed else self._start()
        except EngineError:
            self._log_file.close()
            raise
        atexit.register(self.close)

    def submit(self, call: Call, *, owner: str | None = None) -> CallHandle:
        """Hand in a call.

        Raises ``UnknownName`` for a verb that does not exist, ``EngineError`` when closed or when
        no worker can be started.
        """
        self._verbs.check(call.verb)
        call = self._placed(call)
        with self._lock:
            value = self._recent.get(call.key)
            known = value is not None or call.key in self._by_key
        if not known and self._store is not None:
            value = self._store.get(call.key)
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.", "Reload the page to start it again.")
            if value is not None:
                self._remember(call.key, value)
                return CallHandle.finished(call, value)
            if call.key not in self._by_key:
                self._ask(Pending(call, number=next(self._numbers)))
            return self._join(self._by_key[call.key], call, owner)

    def stored(self, call: Call) -> bool:
        """Whether the result of a call is there already, so that it costs nothing."""
        key = self._placed(call).key
        return key in self._recent or (self._store is not None and key in self._store)

    def under_way(self, call: Call) -> bool:
        """Whether somebody waits for this call, so that it can be joined."""
        key = self._placed(call).key
        with self._lock:
            return key in self._by_key

    @property
    def pid(self) -> int | None:
        """The process number of the worker, if there is one now."""
        with self._lock:
            return self._link.pid if self._link is not None else None

    def warm(self, ref: ModelRef) -> None:
        """Load a model and what computing needs, while there is nothing else to do.

        Raises ``EngineError`` when no worker can be started.
        """
        with self._lock:
            self._warm = Warm(ref, self._device)
            if self._link is None and not self._closed:
                self._link = self._start()
            if self._link is not None:
                self._link.send(self._warm)

    def renew(self) -> None:
        """Start the worker anew, for code that has changed; what it was asked is asked again."""
        with self._lock:
            if self._link is not None:
                self._link.kill()

    def close(self) -> None:
        """End the worker; calls under way are cancelled. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            link, self._link = self._link, None
            for work in list(self._pending.values()):
                self._settle(work, error=Cancelled("The engine was closed."))
        atexit.unregister(self.close)
        if link is not None:
            link.close()
        self._log_file.close()

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _placed(self, call: Call) -> Call:
        return replace(call, device=self._device) if call.device == "auto" else call

    def _start(self) -> Link:
        return Link(self._setup, self._log_file, self._heard, self._ended, self._tended)

    def _ask(self, work: Pending) -> None:
        if self._link is None:
            self._link = self._start()
            self._failed_starts = 0
        self._link.send(Ask(work.number, work.call))
        self._pending[work.number] = work
        self._by_key[work.call.key] = work

    def _join(self, work: Pending, call: Call, owner: str | None) -> CallHandle:
        if call.urgent and not work.call.urgent:
            work.call = replace(work.call, urgent=True)
            if self._link is not None:
                self._link.send(Hurry(work.number))
        if owner in work.owned:
            return work.owned[owner]
        handle = CallHandle(work, self._cancel)
        if owner is None:
            work.loose.add(handle)
        else:
            work.owned[owner] = handle
        return handle

    def give_up(self, handle: CallHandle, present: Callable[[str], bool]) -> None:
        """Cancel a handle, and those of owners on the same call who are not ``present`` any more,
        such as the page before a reload.
        """
        with self._lock:
            work = handle.work
            if isinstance(work, Pending):
                for owner, other in list(work.owned.items()):
                    if other is not handle and not present(owner):
                        self._cancel(other)
        handle.cancel()

    def _cancel(self, handle: CallHandle) -> None:
        with self._lock:
            work = handle.work
            if not isinstance(work, Pending) or handle.state not in ("waiting", "running"):
                return
            handle.fail(Cancelled())
            work.loose.discard(handle)
            work.owned = {name: other for name, other in work.owned.items() if other != handle}
            if work.handles:
                return
            work.abandoned = True
            del self._by_key[work.call.key]
            if self._link is not None:
                self._link.send(Cancel(work.number))
            self._watch()

    def _watch(self) -> None:
        """Give an abandoned call that is computing a moment to stop by itself.

        While its model is being loaded it is left alone, for the next call needs that too; a model
        that somebody brought not for long.
        """
        if self._stack and (work := self._stack[-1]).abandoned:
            if work.watched or self._link is None or not (work.loaded or work.call.model.brought):
                return
            work.watched = True
            patience = _PATIENCE_SECONDS if work.loaded else _LOADING_SECONDS
            timer = threading.Timer(patience, self._overdue, (self._link, work))
            timer.daemon = True
            timer.start()

    def _overdue(self, link: Link, work: Pending) -> None:
        with self._lock:
            work.watched = False
            if link is self._link and self._stack and self._stack[-1] is work:
                _log.info("A cancelled call does not stop: the worker is started again")
                link.kill()

    def _tended(self, link: Link) -> None:
        """End a worker that has a fault, which nothing inside it could, and let a sealed one go
        that has long been idle.
        """
        with self._lock:
            current = link is self._link
            work = self._stack[-1] if current and self._stack else None
            unused = self._setup.sealed and not self._pending and link.silent > _IDLE_SECONDS
            if current and unused:
                self._link = self._warm = None
        if unused:
            link.close()
        elif why := fault(link, work.call if work is not None else None):
            link.stop(why)

    def _heard(self, link: Link, message: Any) -> None:
        value: Any = None
        if isinstance(message, Done):
            try:
                value = decode(message.payload)
            except StorageError as error:
                message = Failed.of(message.number, EngineError(str(error)))
        with self._lock:
            work = self._pending.get(getattr(message, "number", 0))
            if work is None or link is not self._link:
                return
            match message:
                case Started():
                    link.served = work.running = True
                    self._failed_starts = 0
                    self._stack.append(work)
                case Loaded():
                    work.loaded, work.watched = True, False
                case Ticked():
                    work.progress = message.progress
                case Done():
                    if value is not None:
                        self._remember(work.call.key, value)
                    self._settle(work, value)
                case Failed():
                    self._settle(work, error=message.error)
            self._watch()

    def _settle(self, work: Pending, value: Any = None, error: Exception | None = None) -> None:
        self._pending.pop(work.number, None)
        if self._by_key.get(work.call.key) is work:
            del self._by_key[work.call.key]
        if work in self._stack:
            self._stack.remove(work)
        work.running = False
        for handle in work.handles:
            if error is None:
                handle.settle(value)
            else:
                handle.fail(error)

    def _remember(self, key: str, value: Any) -> None:
        self._recent[key] = value
        self._recent.move_to_end(key)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _ended(self, link: Link) -> None:
        """The worker is gone: fail what it was computing, ask a new one for the rest."""
        with self._lock:
            if link is not self._link:
                return
            self._link = None
            if not link.killed:
                _log.warning("The worker process is gone: %s", link.ending)
                if self._stack:
                    self._settle(self._stack[-1], error=died(link, self._stack[-1].call))
                elif not link.served:
                    self._failed_starts += 1
            self._stack.clear()
            for work in [work for work in self._pending.values() if work.abandoned]:
                self._settle(work)
            if self._setup.sealed and link.served and not self._pending:
                return  # the next call starts one
            if self._failed_starts >= _STARTS:
                self._give_up(
                    EngineError(
                        f"The worker process ended {_STARTS} times while starting: {link.ending}. "
                        f"It said: {link.tail or 'nothing'}",
                        "Check the installation and the free memory, then try again.",
                    )
                )
                return
            try:
                self._link = self._start()
            except EngineError as error:
                self._give_up(error)
                return
            for work in self._pending.values():
                work.running = work.loaded = False
                work.progress = Progress()
                self._link.send(Ask(work.number, work.call))
            if self._warm is not None:
                self._link.send(self._warm)

    def _give_up(self, error: EngineError) -> None:
        """No worker for now; the next call tries again."""
        _log.error("%s", error)
        for work in list(self._pending.values()):
            self._settle(work, error=error)
