"""Where a result comes from: fingerprints of weights and input, settings, versions, device."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("fluoroscope", "torch", "captum", "numpy")


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: object) -> str:
    """SHA-256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Name and version of every package that can change a number, sorted; without importing any."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return tuple(sorted(found.items()))


@dataclass(frozen=True)
class Provenance:
    """Everything needed to make the same result again, and how long it took.

    ``weights`` and ``inputs`` are SHA-256 digests; ``seconds`` is wall time of the computation
    itself, without loading; ``created`` is UTC in ISO 8601.
    """

    model: str
    weights: str
    inputs: tuple[str, ...]
    verb: str
    parameters: Mapping[str, Any]
    seed: int
    device: str
    seconds: float
    versions: Mapping[str, str] = field(default_factory=lambda: dict(versions()))
    created: str = field(
        default_factory=lambda: datetime.now(UTC).replace(microsecond=0).isoformat()
    )

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary for ``json.dumps``, in reading order."""
        return {
            "model": self.model,
            "weights_sha256": self.weights,
            "input_sha256": list(self.inputs),
            "verb": self.verb,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "device": self.device,
            "seconds": self.seconds,
            "versions": dict(self.versions),
            "created": self.created,
        }
