"""The worker process: ``python -m core.engine.worker``, started by ``core.engine.process``.

Messages come in on standard input and go out on standard output; whatever is printed goes to
standard error, the log. One thread computes, another listens, so that a cancel is noticed while
something computes. The process ends when its parent does.
"""

from __future__ import annotations

import faulthandler
import itertools
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from core import settings
from core.codec import encode
from core.confinement.guard import guard
from core.confinement.limits import GIB, machine_memory
from core.engine.call import Call
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
    frame,
    receive,
)
from core.engine.workbench import Workbench, explained
from core.errors import Cancelled, FluoroscopeError, StorageError
from core.models.formats import factory
from core.progress import Meter, Progress
from core.store import Store
from core.workspace import Workspace

_log = logging.getLogger(__name__)
_REPORT_SECONDS = 0.1
_GRACE_SECONDS = 0.5
_STEPS = 6  # as many times the longest step, where only this process itself can end it


class Worker:
    """A queue of calls, urgent ones first, and the thread that computes them."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], setup: Setup) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._bench = Workbench(setup.verbs)
        self._store = Store(Path(setup.results), setup.limit) if setup.results else None
        self._fleeting = setup.verbs.fleeting
        self._order = itertools.count()
        self._waiting: dict[int, tuple[bool, int, Call]] = {}
        self._warm: list[Warm] = []
        self._cancelled: set[int] = set()
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._closing = False
        self._finished = threading.Event()

    def listen(self) -> None:
        """Take messages until the parent is gone, then end the process."""
        try:
            while (message := receive(self._incoming)) is not None:
                self.take(message)
        except StorageError:
            _log.exception("The parent said something unintelligible")
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify()
            self._finished.wait(_GRACE_SECONDS)  # a result may be on its way to the disk
            os._exit(0)  # whatever computes has nobody left to compute for

    def compute(self) -> None:
        """Serve calls one after the other, and warm up in between."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting or self._warm)
                if self._closing:
                    self._finished.set()
                    return
                warm = None if self._waiting else self._warm.pop(0)
            if warm is None:
                self.serve(urgent_only=False)
            else:
                self._warm_up(warm)

    def take(self, message: Any) -> None:
        """Act on one message."""
        with self._changed:
            match message:
                case Ask(number, call):
                    # Not urgent sorts after urgent; then in the order of arrival.
                    self._waiting[number] = (not call.urgent, next(self._order), call)
                case Hurry(number) if number in self._waiting:
                    self._waiting[number] = (False, *self._waiting[number][1:])
                case Cancel(number) if self._waiting.pop(number, None):
                    self._send(Failed.of(number, Cancelled()))
                case Cancel(number):
                    self._cancelled.add(number)
                case Warm():
                    self._warm.append(message)
            self._changed.notify()

    def serve(self, urgent_only: bool) -> None:
        """Compute the next waiting call, if there is one."""
        with self._changed:
            if not self._waiting:
                return
            number, (later, _, call) = min(self._waiting.items(), key=lambda item: item[1][:2])
            if later and urgent_only:
                return
            del self._waiting[number]
            self._send(Started(number))
        try:
            self._answer(number, call, urgent=not later)
        finally:
            self._cancelled.discard(number)

    def _answer(self, number: int, call: Call, urgent: bool) -> None:
        last = 0.0

        def notify(progress: Progress) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= _REPORT_SECONDS:
                last = now
                self._send(Ticked(number, progress))

        meter = Meter(
            notify,
            lambda: self._closing or number in self._cancelled,
            None if urgent else self._interlude,
        )
        try:
            value = self._bench.run(call, meter, lambda: self._send(Loaded(number)))
            payload = encode(value)
            self._send(Done(number, payload))
        except BaseException as error:  # in libraries in Rust a panic is no Exception
            if not isinstance(error, FluoroscopeError):
                _log.exception("%s on %s failed", call.verb, call.model.name)
            self._send(Failed.of(number, explained(error, call)))
            return
        if self._store is not None and call.verb not in self._fleeting:
            try:
                self._store.put_encoded(call.key, payload)
            except StorageError as error:
                _log.warning("A result is not kept: %s", error)

    def _interlude(self) -> None:
        """Between two passes of a long call: whatever is urgent, in the same thread."""
        while any(not later for later, _, _ in list(self._waiting.values())):
            self.serve(urgent_only=True)

    def _warm_up(self, warm: Warm) -> None:
        def interlude() -> None:
            while self._waiting and not self._closing:
                self.serve(urgent_only=False)

        try:
            self._bench.warm_up(warm.model, warm.device, interlude)
        except BaseException:  # the first call will say it to the person
            _log.exception("Warming up with %s failed", warm.model.name)

    def _send(self, message: Any) -> None:
        data = frame(message)
        with self._sending:
            try:
                self._outgoing.write(data)
                self._outgoing.flush()
            except OSError:  # the parent is gone; the listener notices
                _log.info("Nobody listens any more")


def _pulse(seconds: float) -> None:
    """End this process when none of its threads but one had a turn for so long, and so nobody has
    noticed whether the parent is still there: a library may hold Python's lock for ever.
    """
    while True:
        faulthandler.dump_traceback_later(seconds, exit=True)
        time.sleep(seconds / 4)


def main() -> None:
    """Run until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the parent, which ends us
    # Standard output belongs to the messages: what libraries print goes to the log.
    incoming = os.fdopen(os.dup(0), "rb")
    outgoing = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - the descriptor is what is wanted
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    faulthandler.enable()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    setup = receive(incoming)
    if not isinstance(setup, Setup):
        return
    place = Workspace(Path(setup.results).parent) if setup.results else None
    places = [place.of(not setup.sealed).root] if place is not None else []  # apart already
    memory, seconds = machine_memory() / GIB, 600.0
    try:
        memory, seconds = settings.value("worker_gib"), settings.value("step_seconds")
    except FluoroscopeError as error:  # a setting that is no number: the page says so too
        _log.warning("%s", error)
    guard(memory, places)
    if not setup.sealed:  # where no stranger's network comes, a person's own code may run
        factory.permit_listed(place.root if place is not None else None)
    threading.Thread(target=_pulse, args=(_STEPS * seconds,), name="pulse", daemon=True).start()
    worker = Worker(incoming, outgoing, setup)
    threading.Thread(target=worker.listen, name="listen", daemon=True).start()
    worker.compute()


if __name__ == "__main__":
    main()
