"""A call that the worker process knows of, why that is ended, and what is said when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakSet

from core import settings
from core.confinement.limits import GIB
from core.engine.call import Call
from core.engine.handle import CallHandle, Work
from core.engine.link import Link
from core.errors import BadParameter, WorkerDied


@dataclass(eq=False)
class Pending(Work):
    """A call that the worker knows of; ``abandoned`` when nobody waits for it any more."""

    number: int = 0
    owned: dict[str, CallHandle] = field(default_factory=dict)
    loose: WeakSet[CallHandle] = field(default_factory=WeakSet)
    loaded: bool = False
    abandoned: bool = False
    watched: bool = False

    @property
    def handles(self) -> list[CallHandle]:
        """Everyone who waits."""
        return [*self.owned.values(), *self.loose]


def died(link: Link, call: Call) -> WorkerDied:
    """The error of the call that a worker process was computing when it ended."""
    next_step = (
        "It has been started again: use fewer steps or samples or a smaller model, or raise that "
        "limit."
        if link.fault
        else "It has been started again: try once more, with fewer steps or samples if memory was "
        "short."
    )
    return WorkerDied(
        f"The worker process ended during '{call.verb}' on '{call.model.name}': {link.ending}.",
        next_step,
    )


def fault(link: Link, call: Call | None) -> str:
    """Why a worker process that computes ``call`` is to be ended, as the rest of a sentence; empty
    where it is not.
    """
    try:
        most, longest = (settings.value(name) for name in ("worker_gib", "step_seconds"))
    except BadParameter:  # the page says so
        return ""
    if link.memory > most * GIB:
        return f"it needed more than {most:g} GiB of memory (FLUOROSCOPE_WORKER_GIB)"
    if call is not None and call.model.brought and link.silent > longest:
        return f"one step took more than {longest:g} seconds (FLUOROSCOPE_STEP_SECONDS)"
    return ""
