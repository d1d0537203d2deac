"""The small value that names a model everywhere: in a URL, a cache key, a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRef:
    """``name`` in the catalogue and ``fingerprint``, the SHA-256 of the weights file."""

    name: str
    fingerprint: str
