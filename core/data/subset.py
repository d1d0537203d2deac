"""Examples that somebody picked out of a data set, named and kept in the workspace.

A subset is a small JSON file named by what is in it, so that an address can carry it; the same
examples picked twice are one file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.examples import Dataset
from core.errors import BadInput
from core.provenance import sha256_of_json
from core.results.activations import DataRef
from core.store import write_atomically
from core.workspace import Workspace

_KEY = re.compile(r"[0-9a-f]{16}")
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Subset:
    """Some rows of a data set, in ascending order; ``name`` is empty until somebody gives one."""

    data: DataRef
    rows: tuple[int, ...]
    name: str = ""
    created: str = ""

    @property
    def key(self) -> str:
        """What an address knows it by: it follows from the data and the rows alone."""
        return sha256_of_json([self.data.fingerprint, list(self.rows)])[:16]

    @property
    def title(self) -> str:
        """Its name, or how many examples it has."""
        return self.name or f"{len(self.rows):,} example{'s' * (len(self.rows) != 1)}"

    def __len__(self) -> int:
        return len(self.rows)

    def mask(self, data: Dataset) -> npt.NDArray[np.bool_]:
        """Which of the data's examples belong to it, bool ``[example]``.

        Raises ``BadInput`` when it was picked out of other data.
        """
        if data.fingerprint != self.data.fingerprint:
            raise BadInput(
                f"'{self.title}' was picked out of other data ('{self.data.name}').",
                "Choose the model whose data these are, or pick anew.",
            )
        found = np.zeros(len(data), bool)
        found[list(self.rows)] = True
        return found


def picked(data: Dataset, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Subset:
    """These rows of a data set, each once.

    Raises ``BadInput`` when there is none, or one that the data do not have.
    """
    chosen = np.unique(np.asarray(rows, np.int64))
    if not len(chosen):
        raise BadInput("No example was picked.", "Draw around some points.")
    if chosen[0] < 0 or chosen[-1] >= len(data):
        raise BadInput(
            f"There is no example {int(chosen[-1])} in '{data.name}', which has {len(data):,}.",
            "Pick anew.",
        )
    return Subset(data.ref, tuple(chosen.tolist()))


def keep(place: Workspace, subset: Subset) -> str:
    """Keep a subset and return its key; a name that is given replaces an older one.

    Raises ``StorageError``.
    """
    path = place.subsets / f"{subset.key}.json"
    if not path.is_file() or subset.name:
        now = subset.created or datetime.now(UTC).isoformat(timespec="seconds")
        document = {
            "name": subset.name[:_LONGEST_NAME],
            "created": now,
            "data": {
                "name": subset.data.name,
                "fingerprint": subset.data.fingerprint,
                "source": dict(subset.data.source),
            },
            "rows": list(subset.rows),
        }
        write_atomically(path, json.dumps(document, ensure_ascii=False).encode())
    return subset.key


def kept(place: Workspace, key: str) -> Subset:
    """The subset with this key.

    Raises ``BadInput`` when there is none, or its file is damaged.
    """
    gone = BadInput(f"The selection '{key[:80]}' is not kept on this machine.", "Pick anew.")
    if not _KEY.fullmatch(key):
        raise gone
    try:
        found = json.loads((place.root / "subsets" / f"{key}.json").read_bytes())
        subset = Subset(
            DataRef(**found["data"]),
            tuple(int(row) for row in found["rows"]),
            str(found["name"]),
            str(found["created"]),
        )
    except FileNotFoundError:
        raise gone from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"The selection '{key}' is damaged: {error}.", "Pick anew.") from None
    if subset.key != key:
        raise BadInput(f"The selection '{key}' is damaged: its rows differ.", "Pick anew.")
    return subset


def named(place: Workspace, fingerprint: str) -> dict[str, Subset]:
    """The subsets of a data set that have a name, by key, the newest first."""
    found = {}
    root = place.root / "subsets"
    for path in root.glob("*.json") if root.is_dir() else ():
        try:
            subset = kept(place, path.stem)
        except BadInput:
            continue
        if subset.name and subset.data.fingerprint == fingerprint:
            found[path.stem] = subset
    return dict(sorted(found.items(), key=lambda item: item[1].created, reverse=True))


def renamed(subset: Subset, name: str) -> Subset:
    """The same under another name.

    Raises ``BadInput`` for an empty one.
    """
    words = " ".join("".join(c for c in name if c.isprintable()).split())
    if not words:
        raise BadInput("The name is empty.", "Give it a name of up to 80 characters.")
    return replace(subset, name=words[:_LONGEST_NAME])
