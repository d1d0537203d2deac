"""Code that numba compiles while it runs: one at a time in this process, and warmed up.

Two threads in numba's default threading layer end the whole process (SIGABRT), so whatever calls
umap-learn or pynndescent does it ``with alone()``.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ALONE = threading.RLock()  # one thread may nest: an urgent call between two steps of another


@contextmanager
def alone() -> Iterator[None]:
    """Hold the process's only right to run compiled code, with its warnings left out."""
    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def warm_up() -> None:
    """Compile what a first map by umap-learn needs, some ten seconds; for the background."""
    import numpy as np

    with alone():
        from umap import UMAP

        values = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
        UMAP(n_neighbors=5, n_epochs=2, random_state=0, n_jobs=1).fit(values)
