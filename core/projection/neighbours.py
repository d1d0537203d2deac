"""The nearest neighbours of every example, exactly, and the last ones kept."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.confinement.kernel import calls_refused
from core.errors import StorageError
from core.progress import Meter
from core.projection.space import Space
from core.workspace import workspace

if TYPE_CHECKING:
    from core.store import Store

_log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
_CELLS = 2**24  # distances held at once: 64 MiB
_KEPT = 6
_DISK = 512 * 1024**2
_lock = threading.Lock()
_recent: OrderedDict[str, dict[str, Any]] = OrderedDict()


def kept(key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``compute`` gives, at most once: the last six in this process, more of them on disk in
    the workspace, by ``key``.
    """
    with _lock:
        if key in _recent:
            _recent.move_to_end(key)
            return _recent[key]
    store = _store()
    found = store.get(key)
    if not isinstance(found, dict):
        found = compute()
        try:
            store.put(key, found)
        except StorageError as error:  # it is computed all the same
            _log.warning("Neighbours are not kept: %s", error)
    with _lock:
        _recent[key] = found
        while len(_recent) > _KEPT:
            _recent.popitem(last=False)
    return found


def forget() -> None:
    """Empty this process's memory; what lies on disk stays."""
    with _lock:
        _recent.clear()


def neighbours(space: Space, k: int, meter: Meter) -> tuple[Ints, Floats]:
    """Indices and distances ``[example, k]`` of each example's nearest others, nearest first."""
    found = kept(space.key(neighbours=k), lambda: _computed(space.values, k, meter))
    return found["indices"], found["distances"]


def nearest(
    values: Floats, k: int, meter: Meter, queries: Floats | None = None
) -> tuple[Ints, Floats]:
    """Indices and distances ``[query, k]`` of the nearest of ``values [example, unit]``.

    Without ``queries`` each example asks for its nearest others. All pairs are compared, a block
    at a time; the distances returned are computed anew from differences, without cancellation.
    """
    import torch

    known = torch.tensor(values)
    asked = known if queries is None else torch.tensor(queries)
    squares = (known * known).sum(1)
    block = max(1, _CELLS // len(known))
    meter.expect(-(-len(asked) // block), "neighbours")
    indices, distances = [], []
    for start in range(0, len(asked), block):
        meter.tick()
        rows = asked[start : start + block]
        apart = torch.addmm(squares[None], rows, known.T, alpha=-2)
        if queries is None:
            own = torch.arange(len(rows))
            apart[own, start + own] = torch.inf
        found = apart.topk(k, largest=False).indices
        length = torch.stack([(rows - known[each]).norm(dim=1) for each in found.T], 1)
        length, order = length.sort(dim=1, stable=True)
        indices.append(found.gather(1, order).to(torch.int32))
        distances.append(length)
    return torch.cat(indices).numpy(), torch.cat(distances).numpy()


def _computed(values: Floats, k: int, meter: Meter) -> dict[str, Any]:
    indices, distances = nearest(values, k, meter)
    return {"indices": indices, "distances": distances}


def _store() -> Store:
    from core.store import Store

    place = workspace().of(calls_refused())  # of a sealed process apart, as all that it writes
    return Store(place.root / "neighbours", _DISK)
