"""The engine of a server: who computes what.

A model that somebody brought may, through a fault in a library, come to run code of its own. So
what is asked of it is computed by a worker that the kernel seals (``core.confinement.seal``), and
everything else by another, which such a model never reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from core.engine.beside import BesideExecutor
from core.engine.call import Call
from core.engine.handle import CallHandle
from core.engine.process import ProcessExecutor
from core.engine.verbs import VERBS, Verbs
from core.errors import EngineError
from core.models.reference import ModelRef
from core.workspace import Workspace


class Engine:
    """Two workers, each with a queue of its own, and what goes on beside them. ``ordinary`` starts
    at once; ``sealed`` with the first call on a model that somebody brought.
    """

    def __init__(
        self, device: str = "auto", workspace: Workspace | None = None, *, verbs: Verbs = VERBS
    ) -> None:
        self.ordinary = ProcessExecutor(device, workspace, verbs=verbs)
        self.sealed = ProcessExecutor(device, workspace, verbs=verbs, sealed=True)
        self._beside = BesideExecutor()

    def submit(self, call: Call, *, owner: str | None = None) -> CallHandle:
        """Hand in a call; ``owner`` as for a ``ProcessExecutor``.

        Raises ``UnknownName`` for a verb that does not exist, ``EngineError`` when closed or when
        no worker can be started.
        """
        if not self._beside.takes(call):
            return self._worker(call.model).submit(call, owner=owner)
        if call.model.brought:  # it is looked over, and will be asked
            self.warm(call.model)
        return self._beside.submit(call)

    def stored(self, call: Call) -> bool:
        """Whether the result of a call is there already, so that it costs nothing."""
        return self._worker(call.model).stored(call)

    def under_way(self, call: Call) -> bool:
        """Whether somebody waits for this call, so that it can be joined."""
        return self._worker(call.model).under_way(call)

    def warm(self, ref: ModelRef) -> None:
        """Load a model and what computing needs, while there is nothing else to do."""
        with suppress(EngineError):  # whoever asks will hear of it
            self._worker(ref).warm(ref)

    def renew(self) -> None:
        """Start the ordinary worker anew, which imports code as it is then."""
        self.ordinary.renew()

    def give_up(self, handle: CallHandle, present: Callable[[str], bool]) -> None:
        """Cancel a handle, and those of owners on the same call who are not ``present``."""
        self._worker(handle.call.model).give_up(handle, present)

    def close(self) -> None:
        """End the workers; calls under way are cancelled. May be called again."""
        self._beside.close()
        self.sealed.close()
        self.ordinary.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _worker(self, ref: ModelRef) -> ProcessExecutor:
        return self.sealed if ref.brought else self.ordinary
