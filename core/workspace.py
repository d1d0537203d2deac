"""The folder where results, uploads, models, runs and logs of one installation live."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import BadInput, StorageError
from core.provenance import sha256
from core.settings import root, setting
from core.store import Store, write_atomically
from core.tasks import Example

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIB = 1024**3
APART: Final = "brought"


@dataclass(frozen=True)
class Workspace:
    """A folder, made when it is first needed. ``results_limit`` is the size of the results' cache
    in bytes.
    """

    root: Path
    results_limit: int = 2 * _GIB

    @property
    def results(self) -> Path:
        """Stored results, a cache: may be emptied at any time."""
        return self._folder("results")

    @property
    def uploads(self) -> Path:
        """Uploaded files by their SHA-256."""
        return self._folder("uploads")

    @property
    def models(self) -> Path:
        """Models that people brought."""
        return self._folder("models")

    @property
    def data(self) -> Path:
        """Data sets that people brought."""
        return self._folder("data")

    @property
    def runs(self) -> Path:
        """Training runs."""
        return self._folder("runs")

    @property
    def compressed(self) -> Path:
        """Models that were made smaller."""
        return self._folder("compressed")

    @property
    def jobs(self) -> Path:
        """Long work, by its number."""
        return self._folder("jobs")

    @property
    def captures(self) -> Path:
        """Captured activations, a cache: may be emptied at any time."""
        return self._folder("captures")

    @property
    def subsets(self) -> Path:
        """Examples that were picked out of data sets."""
        return self._folder("subsets")

    @property
    def logs(self) -> Path:
        """What the worker processes wrote."""
        return self._folder("logs")

    @property
    def apart(self) -> Workspace:
        """Where what is computed with models that people brought lies: the one folder in here that
        a sealed worker writes to, so that it can change nothing of other models'.
        """
        return Workspace(self.root / APART, self.results_limit)

    def of(self, brought: bool) -> Workspace:
        """Where that lies which is computed with a model."""
        return self.apart if brought else self

    @property
    def store(self) -> Store:
        """The results as a store; its folder is made with the first result."""
        return Store(self.root / "results", self.results_limit)

    def save_upload(self, name: str, data: bytes) -> str:
        """Keep an uploaded file and return its SHA-256, by which an address can name it.

        Raises ``BadInput`` when it is empty, ``StorageError`` when it cannot be written.
        """
        shown = "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())[-200:]
        example = Example(shown or "upload", data)
        path = self.uploads / example.sha256
        new = not path.is_file() or sha256(path.read_bytes()) != example.sha256
        if new:
            write_atomically(path, data)
        # The first name is kept: results and links made under it stay valid.
        about = path.with_suffix(".json")
        try:
            if not about.is_file():
                write_atomically(about, json.dumps({"name": example.name}).encode())
        except StorageError:
            if new:
                path.unlink(missing_ok=True)
            raise
        return example.sha256

    def read_upload(self, digest: str) -> Example:
        """The upload with this SHA-256.

        Raises ``BadInput`` when it is no digest, not stored (any more), or damaged.
        """
        if not _SHA256.fullmatch(digest):
            raise BadInput(f"'{digest[:80]}' does not name an upload.", "Upload the file again.")
        path = self.root / "uploads" / digest
        try:
            data = path.read_bytes()
        except OSError:
            raise BadInput(
                f"The upload {digest[:12]}… is not stored on this machine.",
                "Upload the file again.",
            ) from None
        if sha256(data) != digest:
            raise BadInput(f"The stored upload {digest[:12]}… is damaged.", "Upload it again.")
        try:
            name = str(json.loads(path.with_suffix(".json").read_bytes())["name"])
        except (OSError, ValueError, KeyError, TypeError):
            name = f"upload-{digest[:8]}"
        return Example(name, data)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(folder, error.strerror or str(error)) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._unusable(folder, "it is not writable")
        return folder

    @staticmethod
    def _unusable(folder: Path, reason: str) -> StorageError:
        return StorageError(
            f"The folder '{folder}' cannot be used: {reason}.",
            "Choose another with --workspace or FLUOROSCOPE_WORKSPACE.",
        )


def workspace(path: str | os.PathLike[str] | None = None) -> Workspace:
    """The workspace at ``path``, else at ``FLUOROSCOPE_WORKSPACE``, else in the user's data folder.

    The setting ``results_gib`` limits the stored results (default 2). Nothing is created yet.
    """
    folder = root(path)
    return Workspace(folder, int(setting("results_gib", folder).value * _GIB))
