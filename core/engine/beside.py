"""Computing beside the engine's workers: calls that load no model and start processes of their own.

Each runs in a thread of this process, which only waits for its process; so opening a file does not
stand in the way of what the worker computes, nor is it stopped with it.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from core.confinement.folders import sweep
from core.engine.call import Call
from core.engine.handle import CallHandle
from core.engine.inline import InlineExecutor
from core.engine.verbs import OPENING, VERBS, Verbs


class BesideExecutor:
    """Hands calls to threads. Equal calls under way are one, with one handle."""

    def __init__(self, verbs: Verbs = OPENING) -> None:
        self._inline = InlineExecutor(verbs=verbs)
        self._verbs = verbs
        sweep()  # what an earlier server left

    def takes(self, call: Call) -> bool:
        """Whether a call is one of these."""
        known = call.verb in self._verbs.functions
        return known and (call.verb not in VERBS.functions or call.model.brought)

    def submit(self, call: Call) -> CallHandle:
        """Hand in a call, which begins at once.

        Raises ``UnknownName`` for a verb that does not exist.
        """
        handle = self._inline.submit(call)
        name = f"beside-{call.verb}"
        threading.Thread(target=_finish, args=(handle,), name=name, daemon=True).start()
        return handle

    def close(self) -> None:
        """Take no more calls; those under way end by themselves."""
        self._inline.close()


def _finish(handle: CallHandle) -> None:
    with suppress(Exception):  # it is for whoever holds the handle
        handle.result()
