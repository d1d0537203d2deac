"""Where a call is carried out: in this process, with the last few models kept loaded."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from core.confinement.guard import Forbidden, armed, memory_limit
from core.engine.call import Call
from core.engine.verbs import Verbs
from core.errors import BadModel, EngineError, FluoroscopeError, OutOfMemory
from core.models.catalogue import resolve
from core.models.reference import ModelRef
from core.progress import Meter

_MODELS_KEPT = 4


class Workbench:
    """Loads models and runs verbs; shared by the inline executor and the worker process."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._models: OrderedDict[tuple[ModelRef, str], Any] = OrderedDict()
        self._lock = threading.RLock()
        self._prepared = False

    def run(self, call: Call, meter: Meter, loaded: Callable[[], None] | None = None) -> Any:
        """The value of a call; ``loaded`` is told when its model is there.

        Raises what the verb raises.
        """
        self._verbs.check(call.verb)
        meter.check()
        verb = resolve(self._verbs.functions[call.verb])
        with armed(call.model.brought):
            bare = call.verb in self._verbs.without
            model = call.model if bare else self.model(call.model, call.device)
            if loaded is not None:
                loaded()
            meter.check()
            return verb(model, call.inputs, call.parameters, call.seed, meter)

    def model(self, ref: ModelRef, device: str) -> Any:
        """The model behind ``ref``. The least recently used of more than four are forgotten, and
        all others where there is no memory for one more.
        """
        with self._lock:
            self.prepare()
            key = (ref, device)
            if key not in self._models:
                while len(self._models) >= _MODELS_KEPT:
                    self._models.popitem(last=False)
                self._models[key] = self._loaded(ref, device)
            self._models.move_to_end(key)
            return self._models[key]

    def _loaded(self, ref: ModelRef, device: str) -> Any:
        load = resolve(self._verbs.loader)
        try:
            return load(ref, device)
        except Exception as error:
            causes = (error, error.__cause__, error.__context__)
            if not self._models or not any(map(_out_of_memory, filter(None, causes))):
                raise
        self._models.clear()
        gc.collect()
        return load(ref, device)

    def prepare(self) -> None:
        """What has to be done once per process, such as choosing the number of threads."""
        with self._lock:
            if not self._prepared:
                self._prepared = True
                for name in self._verbs.prepare:
                    resolve(name)()

    def warm_up(self, ref: ModelRef, device: str, interlude: Callable[[], None]) -> None:
        """Load what a first call would wait for, with ``interlude`` between the steps."""
        self.prepare()
        interlude()
        with armed(ref.brought):
            self.model(ref, device)
        interlude()
        for name in (*self._verbs.functions.values(), *self._verbs.modules):
            importlib.import_module(name.partition(":")[0])
            interlude()


def explained(error: BaseException, call: Call) -> FluoroscopeError:
    """``error`` as one of our own, with a sentence for people."""
    if isinstance(error, FluoroscopeError):
        return error
    doing = f"'{call.verb}' on '{call.model.name}'"
    if isinstance(error, Forbidden):
        return BadModel(
            f"{doing} was stopped: {error}.",
            "No network needs that: do not trust where it comes from.",
        )
    if _out_of_memory(error):
        ours = memory_limit() and (isinstance(error, MemoryError) or "Allocator" in str(error))
        return OutOfMemory(
            f"Memory ran out during {doing}"
            + (f": {memory_limit():g} GiB are allowed." if ours else "."),
            "Use fewer steps or samples, a smaller model, or another device"
            + (", or raise FLUOROSCOPE_WORKER_GIB." if ours else "."),
        )
    reason = (str(error).strip().splitlines() or [""])[0][:200]
    return EngineError(
        f"Something unexpected happened during {doing}: {type(error).__name__}"
        + (f", {reason.rstrip('.')}." if reason else "."),
        "Its details are in the workspace's logs folder: please report them.",
    )


def _out_of_memory(error: BaseException) -> bool:
    if "torch" in sys.modules:
        from core.device import out_of_memory

        return out_of_memory(error)
    return isinstance(error, MemoryError)
