"""The small value that names a model everywhere: in a URL, a cache key, a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_BROUGHT: Final = ("own:", "hf:", "compressed:", "/", "~")  # of what may be of such a model


@dataclass(frozen=True)
class ModelRef:
    """``name`` in the catalogue and ``fingerprint``, the SHA-256 of the weights file."""

    name: str
    fingerprint: str

    @property
    def brought(self) -> bool:
        """Whether it may be a stranger's: anything but what packages announce, what was trained
        here, and one's own code.
        """
        return self.name.startswith(_BROUGHT)
