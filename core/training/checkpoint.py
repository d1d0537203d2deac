"""Checkpoints: what time travel and resuming need, whole or not there at all.

A checkpoint is a folder ``checkpoints/step-<step>`` with ``weights.safetensors``, perhaps
``resume.safetensors`` (optimiser state and whatever else is tensors), ``state.json`` (the rest,
with the places of those tensors) and ``digests.json`` (SHA-256 of each of the others). It is
written under another name, brought to the disk file by file, and only then renamed. Nothing is
pickled.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import StorageError
from core.provenance import sha256_of_file
from core.store import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from core.training.run import Run

_log = logging.getLogger(__name__)
WEIGHTS, RESUME, STATE, DIGESTS = (
    "weights.safetensors",
    "resume.safetensors",
    "state.json",
    "digests.json",
)
_PREFIX, _TEMPORARY = "step-", ".writing-"
_TENSOR, _PAIRS = "~tensor", "~pairs"


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint by its folder; ``whole_epoch`` is False for one within an epoch."""

    folder: Path
    step: int
    epoch: int
    whole_epoch: bool
    resumable: bool

    @property
    def weights(self) -> Path:
        """The file of weights."""
        return self.folder / WEIGHTS

    def check(self) -> None:
        """Compare every file with its digest.

        Raises ``StorageError`` that names the first damaged one.
        """
        try:
            digests = json.loads((self.folder / DIGESTS).read_bytes())
            for name, digest in digests.items():
                if sha256_of_file(self.folder / name) != digest:
                    raise _damaged(self.folder, f"{name} does not match its digest")
        except (OSError, ValueError, AttributeError) as error:
            raise _damaged(self.folder, str(error)) from error


def checkpoints(run: Run) -> tuple[Checkpoint, ...]:
    """All finished checkpoints of a run, by step; unreadable ones are passed over."""
    found = []
    for folder in run.checkpoints.glob(f"{_PREFIX}*"):
        try:
            state = json.loads((folder / STATE).read_bytes())
            digests = json.loads((folder / DIGESTS).read_bytes())
            found.append(
                Checkpoint(
                    folder,
                    int(state["step"]),
                    int(state["epoch"]),
                    bool(state["whole_epoch"]),
                    RESUME in digests,
                )
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("The checkpoint %s cannot be read: %s", folder.name, error)
    return tuple(sorted(found, key=lambda each: each.step))


def save(
    run: Run,
    *,
    step: int,
    epoch: int,
    whole_epoch: bool,
    weights: Mapping[str, Tensor],
    resume: Mapping[str, Any],
) -> Checkpoint:
    """Write a checkpoint with all that resuming needs.

    ``resume`` is a nest of mappings, lists, numbers, strings, None and tensors. Raises
    ``StorageError``; the checkpoints before it stay as they are.
    """
    from safetensors.torch import save as encoded

    tensors: dict[str, Tensor] = {}
    document = {
        "step": step,
        "epoch": epoch,
        "whole_epoch": whole_epoch,
        "resume": _flattened(resume, "", tensors),
    }
    files = {
        WEIGHTS: encoded({name: tensor.detach().cpu().clone() for name, tensor in weights.items()}),
        RESUME: encoded(tensors),
        STATE: json.dumps(document).encode(),
    }
    final = run.checkpoints / f"{_PREFIX}{step:09d}"
    temporary = run.checkpoints / f"{_TEMPORARY}{step:09d}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, data in files.items():
            write_atomically(temporary / name, data)
        _write_digests(temporary)
        if final.exists():  # the same step again, after resuming from an earlier one
            shutil.rmtree(final)
        temporary.rename(final)
        _to_disk(run.checkpoints)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(
            f"A checkpoint cannot be written to '{run.checkpoints}': {error.strerror or error}.",
            "Free some space or mend its permissions, then resume: earlier checkpoints are kept.",
        ) from error
    except StorageError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Checkpoint(final, step, epoch, whole_epoch, True)


def latest(run: Run) -> tuple[Checkpoint, dict[str, Tensor], dict[str, Any], list[str]] | None:
    """The newest undamaged checkpoint that can be resumed, with weights and state, and a sentence
    for each newer one that had to be passed over; None when there never was one.

    Raises ``StorageError`` when none of those there are can be used.
    """
    from safetensors.torch import load_file

    notes: list[str] = []
    for each in reversed(checkpoints(run)):
        if not each.resumable:
            continue
        try:
            each.check()
            document = json.loads((each.folder / STATE).read_bytes())
            resume = _restored(document["resume"], load_file(each.folder / RESUME))
            return each, load_file(each.weights), resume, notes
        except StorageError as error:
            notes.append(f"{error.message} The one before it is used.")
            _log.warning("%s", error.message)
    if any(run.checkpoints.glob(f"{_PREFIX}*")):
        first = notes[0].removesuffix(" The one before it is used.") if notes else ""
        raise StorageError(
            f"The run '{run.name}' cannot be resumed: no checkpoint is whole. {first}".rstrip(),
            "Nothing was changed. Restore the files, or train again into another folder.",
        )
    return None


def forget_after(run: Run, step: int) -> None:
    """Remove checkpoints after a step: training goes on from there, and writes them again."""
    for each in checkpoints(run):
        if each.step > step:
            shutil.rmtree(each.folder, ignore_errors=True)


def tidy(run: Run, *, keep_last: int, keep_every: int, best_epoch: int) -> None:
    """Let go of what the policy does not keep, and of what a killed process left half written.

    The newest ``keep_last`` stay whole. Of the others only the weights stay, of those at the end of
    every ``keep_every``-th epoch and of ``best_epoch``.
    """
    for left in run.checkpoints.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(left, ignore_errors=True)
    resumable = [each for each in checkpoints(run) if each.resumable]
    for each in resumable[: max(0, len(resumable) - keep_last)]:
        kept = each.whole_epoch and (
            each.epoch == best_epoch or (keep_every > 0 and each.epoch % keep_every == 0)
        )
        with suppress(OSError):
            if kept:
                _lighten(each)
            else:
                shutil.rmtree(each.folder)


def _lighten(checkpoint: Checkpoint) -> None:
    """Only the weights stay: what is not in the digests is not used, so they go first."""
    _write_digests(checkpoint.folder, (WEIGHTS, STATE))
    (checkpoint.folder / RESUME).unlink()


def _write_digests(folder: Path, names: Iterable[str] = (WEIGHTS, RESUME, STATE)) -> None:
    digests = {name: sha256_of_file(folder / name) for name in names}
    write_atomically(folder / DIGESTS, json.dumps(digests).encode())
    _to_disk(folder)


def _to_disk(folder: Path) -> None:
    """Bring the names in a folder to the disk; some file systems refuse that and need it not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def _flattened(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` with its tensors taken out into ``tensors`` and named in their place."""
    from torch import Tensor

    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        pairs = [[key, _flattened(item, f"{path}/{key}", tensors)] for key, item in value.items()]
        return {_PAIRS: pairs}  # keys may be numbers, as in the state of an optimiser
    if isinstance(value, (list, tuple)):
        return [_flattened(item, f"{path}/{at}", tensors) for at, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} at '{path}' cannot be kept in a checkpoint")


def _restored(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _restored(item, tensors) for key, item in value[_PAIRS]}
    if isinstance(value, list):
        return [_restored(item, tensors) for item in value]
    return value


def _damaged(folder: Path, reason: str) -> StorageError:
    return StorageError(
        f"The checkpoint {folder.name} of '{folder.parent.parent.name}' is damaged: {reason}.",
        "Choose another one.",
    )
