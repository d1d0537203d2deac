"""Progress, time left and cancelling: one meter that every pass through a model ticks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """How far a computation is: ``done`` of ``total`` passes, in ``seconds`` so far."""

    done: float = 0.0
    total: float = 0.0
    seconds: float = 0.0
    note: str = ""

    @property
    def fraction(self) -> float:
        """From 0 to 1; 0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds left at the pace so far; None until the first pass is done."""
        if self.done <= 0 or self.total <= 0:
            return None
        return max(0.0, self.seconds * (self.total - self.done) / self.done)


class Meter:
    """Counts passes; between passes reports progress, lets urgent work in, and stops if cancelled.

    A pass is one example through the network once, forward (and backward where there is one).
    """

    def __init__(
        self,
        notify: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        interlude: Callable[[], None] | None = None,
    ) -> None:
        self._notify = notify
        self._cancelled = cancelled
        self._interlude = interlude
        self._started = time.perf_counter()
        self._total = 0.0
        self._note = ""
        self.done = 0.0

    def expect(self, passes: float, note: str = "") -> None:
        """Announce how many more passes are to come and what they are for."""
        self._total = self.done + passes
        self._note = note
        self._report()

    def tick(self, passes: float = 1.0) -> None:
        """Say that ``passes`` are about to be made.

        Raises ``Cancelled`` when the person asked to stop.
        """
        self.check()
        if self._interlude is not None:
            self._interlude()
        self.done += passes
        self._report()

    def check(self) -> None:
        """Raise ``Cancelled`` when the person asked to stop; costs nothing else."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        seconds = time.perf_counter() - self._started
        return Progress(self.done, max(self._total, self.done), seconds, self._note)

    def _report(self) -> None:
        if self._notify is not None:
            self._notify(self.progress)


class Quiet(Meter):
    """Ticks another meter but does not announce totals of its own: for one verb within another."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def expect(self, passes: float, note: str = "") -> None:
        """Say nothing: the other meter knows what is to come."""

    def tick(self, passes: float = 1.0) -> None:
        """Tick the other meter."""
        self._meter.tick(passes)

    def check(self) -> None:
        """As the other meter does."""
        self._meter.check()
