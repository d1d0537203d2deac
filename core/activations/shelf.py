"""The workspace's captures: where each lies, whether it is there already, and when it goes.

What is asked for decides the folder, so that equal calls find each other's captures. Imports no
torch: pages and commands put calls together with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.confinement.folders import remove
from core.data.dataset import Dataset
from core.errors import BadInput, StorageError
from core.models.reference import ModelRef
from core.parameters import Parameter, checked
from core.provenance import sha256_of_json
from core.results.activations import MANIFEST, Capture, Pool, open_capture
from core.workspace import Workspace

LOCK = ".lock"
POOLS: tuple[Pool, ...] = ("whole", "mean", "max", "first", "last")
MEMORY = 512
SETTINGS = (
    Parameter(
        "pool",
        "choice",
        "mean",
        "What is kept of a layer's positions (pixels, tokens).",
        choices=POOLS,
    ),
    Parameter(
        "dtype", "choice", "float16", "The numbers that are kept.", choices=("float16", "float32")
    ),
    Parameter("memory", "int", MEMORY, "MiB that activations and examples may take.", 1, 1_000_000),
)


def request(
    place: Workspace,
    model: ModelRef,
    data: Dataset,
    layers: Sequence[str] | None = None,
    *,
    out: Path | None = None,
    seed: int = 0,
    **settings: Any,
) -> dict[str, Any]:
    """The parameters of the verb ``capture``: what to capture and, in ``out``, the folder to do it
    in, by default one in the workspace. ``settings`` are those of ``SETTINGS``.

    Raises ``BadParameter`` or ``UnknownName`` for settings that there are not.
    """
    given = checked(SETTINGS, settings, "capture")
    wanted = None if layers is None else sorted(set(layers))
    asked = {"data": asdict(data.ref), "layers": wanted, **given}
    if out is None:
        key = sha256_of_json([model.fingerprint, data.fingerprint, wanted, given, seed])
        out = place.of(model.brought).captures / key[:32]
    return {**asked, "out": str(out.absolute())}


def shelved(parameters: Mapping[str, Any]) -> Capture | None:
    """The capture that was asked for with ``request``, if it is there and complete; one that is
    damaged is removed.
    """
    folder = Path(str(parameters["out"]))
    try:
        found = open_capture(folder)
        if not found.complete:
            return None
        for name in found.names:
            found.layer(name)
    except BadInput:
        return None
    except StorageError:
        _removed(folder)
        return None
    with suppress(OSError):
        os.utime(folder / MANIFEST)  # used just now
    return found


def copied(made: Capture, folder: Path) -> Capture:
    """The same capture in another folder.

    Raises ``BadInput`` where there is something else, ``StorageError`` when it cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            same = (made.folder / MANIFEST).read_bytes()
            if not (folder / MANIFEST).is_file() or (folder / MANIFEST).read_bytes() != same:
                raise BadInput(f"'{folder}' holds something else.", "Choose an empty folder.")
            return open_capture(folder)
        shutil.copytree(made.folder, folder, symlinks=True, dirs_exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"'{folder}' cannot be written: {error.strerror or error}.", "Choose another folder."
        ) from None
    return open_capture(folder)


def tidy(place: Workspace) -> None:
    """Remove the captures that were not used for longest until the rest take no more than results
    may; none that is being written.
    """
    found = []
    for root in (place.root / "captures", place.apart.root / "captures"):
        for folder in root.iterdir() if root.is_dir() else ():
            with suppress(OSError):
                size = sum(each.stat().st_blocks * 512 for each in folder.iterdir())
                used = (folder / MANIFEST) if (folder / MANIFEST).is_file() else folder
                found.append((used.stat().st_mtime, size, folder))
    total = sum(size for _, size, _ in found)
    for _, size, folder in sorted(found):
        if total <= place.results_limit:
            return
        if _removed(folder):
            total -= size


def _removed(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / MANIFEST).unlink(missing_ok=True)  # from here on it is no capture any more
            remove(folder)
    except OSError:
        return False
    return not folder.exists()


def opened(model: ModelRef, parameters: Mapping[str, Any]) -> Capture:
    """The capture in the folder ``parameters["capture"]``, of these weights and complete.

    Raises ``BadInput`` when it is not there, of other weights or not complete.
    """
    found = open_capture(str(parameters.get("capture", "")))
    if found.weights != model.fingerprint:
        raise BadInput(
            f"The capture '{found.folder.name}' is of other weights than '{model.name}' has now: "
            "their fingerprints differ.",
            "Capture again.",
        )
    if not found.complete:
        raise BadInput(
            f"The capture '{found.folder.name}' has {found.done:,} of {found.total:,} examples.",
            "Let it come to its end.",
        )
    return found
