"""The small value that names a model everywhere: in a URL, a cache key, a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

COMPRESSED: Final = "compressed:"
_BROUGHT: Final = ("own:", "hf:", COMPRESSED, "/", "~")


@dataclass(frozen=True)
class ModelRef:
    """``name`` in the catalogue and ``fingerprint``, the SHA-256 of the weights file; of a
    compressed model also the one that it was made ``of``.
    """

    name: str
    fingerprint: str
    of: str = field(default="", compare=False)

    @property
    def brought(self) -> bool:
        """Whether it may be a stranger's: anything but what packages announce, what was trained
        here, and one's own code. A compressed model is what it was made of, with other numbers.
        """
        compressed = self.name.startswith(COMPRESSED) and self.of
        return (self.of if compressed else self.name).startswith(_BROUGHT)
