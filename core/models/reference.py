"""The small value that names a model everywhere: in a URL, a cache key, a call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from core.settings import names_code

COMPRESSED: Final = "compressed:"
_PART = r"[\w][\w .()+-]*"
# No path is among these, and no name that begins as another kind does.
_OURS = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_-]*"  # announced by a package
    rf"|run:{_PART}(/{_PART})*(@[0-9]+)?"  # trained in this workspace, or a sample run
    rf"|{COMPRESSED}{_PART}"  # made smaller from one of these
    r"|"  # none at all
)


@dataclass(frozen=True)
class ModelRef:
    """``name`` in the catalogue and ``fingerprint``, the SHA-256 of the weights file."""

    name: str
    fingerprint: str

    @property
    def brought(self) -> bool:
        """Whether it may be a stranger's: anything but what packages announce, what was trained
        here, one's own code, and what was made smaller from one of these. The name says so alone,
        never a file.
        """
        return not (_OURS.fullmatch(self.name) or names_code(self.name))
