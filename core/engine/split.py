"""Computing for somebody at a command line: in this process, but for what a model is asked that
somebody brought, which a sealed process computes as a server's does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.engine.call import Call
from core.engine.handle import CallHandle
from core.engine.inline import InlineExecutor
from core.engine.process import ProcessExecutor
from core.engine.verbs import OPENING, VERBS, Verbs
from core.progress import Progress
from core.workspace import Workspace


class SplitExecutor:
    """An inline executor, and a sealed process from the first call that needs it."""

    def __init__(
        self, device: str = "auto", workspace: Workspace | None = None, *, verbs: Verbs = VERBS
    ) -> None:
        self._here = InlineExecutor(device, workspace, verbs=verbs)
        self._opening = InlineExecutor(verbs=OPENING)
        self._new = partial(ProcessExecutor, device, workspace, verbs=verbs, sealed=True)
        self._sealed: ProcessExecutor | None = None

    def submit(self, call: Call, *, notify: Callable[[Progress], None] | None = None) -> CallHandle:
        """Hand in a call; ``notify`` hears of every pass that is computed here.

        Raises ``UnknownName`` for a verb that does not exist, ``EngineError`` when closed or when
        no process can be started.
        """
        if not call.model.brought:
            return self._here.submit(call, notify=notify)
        if call.verb in OPENING.functions:
            return self._opening.submit(call, notify=notify)
        if self._sealed is None:
            self._sealed = self._new()
        return self._sealed.submit(call)

    def close(self) -> None:
        """Take no more calls, and end the sealed process."""
        self._here.close()
        self._opening.close()
        if self._sealed is not None:
            self._sealed.close()
