"""What a run that cannot go on says: what happened, what is kept, and what to do."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable

from core.device import out_of_memory
from core.errors import FluoroscopeError, OutOfMemory, StorageError, UserError
from core.training import checkpoint
from core.training.run import Run
from core.training.standing import Standing


class Diverged(UserError):
    """The loss is not a finite number any more, or beyond all bounds."""


def diverged(
    run: Run, standing: Standing, loss: float, when: str, began: Callable[[], str]
) -> Diverged:
    """The error for a loss beyond all bounds; ``began`` says where one that is not finite began."""
    if math.isfinite(loss):
        said = f"The loss has grown to {loss:.3g} {when}, from {standing.first:.3g}."
    else:
        said = f"The loss is not a finite number any more {when}: it began in {began()}."
    return Diverged(said + _kept(run), "Train again with a lower lr or --set gradient_clip=1.")


def in_words(error: Exception, run: Run) -> Exception:
    """The error itself if it says enough, memory or disk running out as one of ours."""
    if isinstance(error, StorageError) and _disk_full(error.__cause__):
        return StorageError(
            error.message + _kept(run), "Free some space, then resume the run: it goes on there."
        )
    if isinstance(error, FluoroscopeError):
        return error
    if _disk_full(error):
        return StorageError(
            f"The disk is full: {error}.{_kept(run)}",
            "Free some space, then resume the run: it goes on there.",
        )
    if not out_of_memory(error):
        return error
    size = int(run.config.settings["batch_size"])
    return OutOfMemory(
        f"Memory ran out while training with batches of {size} examples.",
        f"Train with --set batch_size={max(size // 2, 1)}, or on another device.",
    )


def learned_nothing(standing: Standing) -> str:
    """A sentence where in three epochs or more none was better than the very first update."""
    if standing.first is None or standing.epoch < 3 or standing.best < standing.first:
        return ""
    return (
        f"It has learned nothing: its lowest loss, {standing.best:.4g}, is not below the "
        f"{standing.first:.4g} of the first update. Train again with a lower lr."
    )


def _disk_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _kept(run: Run) -> str:
    kept = checkpoint.checkpoints(run)
    return f" The checkpoint of step {kept[-1].step} is kept." if kept else ""
