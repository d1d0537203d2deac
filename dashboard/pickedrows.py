"""The examples in hand that were picked out of a model's data."""

from __future__ import annotations

from contextlib import suppress

from core.data.subset import Subset, kept
from core.errors import FluoroscopeError
from dashboard import cached


def subset(key: str, model: str) -> Subset | None:
    """The examples in hand, if they are of the model's data; nothing for an empty or lost key."""
    if not key:
        return None
    with suppress(FluoroscopeError):
        found = kept(cached.place(), key)
        if found.data.fingerprint == cached.dataset(model).fingerprint:
            return found
    return None
