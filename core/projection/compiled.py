"""Code that numba compiles while it runs: one at a time in this process.

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
