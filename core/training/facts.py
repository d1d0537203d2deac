"""What a run found when it began: its data and the number of threads, in ``data.json``."""

from __future__ import annotations

import torch

from core.device import probe_threads
from core.errors import BadInput
from core.parameters import Value
from core.training.run import DATA, Run
from core.training.trainable import Trainable


def choose_threads(run: Run, asked: Value) -> None:
    """Take as many threads as asked for, else as when the run began, else the fastest number."""
    if threads := int(asked) or int(run.facts.get("threads", 0)):
        torch.set_num_threads(threads)
    else:
        probe_threads()


def note(run: Run, trainable: Trainable) -> None:
    """Write down what the run learns from, for the run's readers.

    Raises ``BadInput`` when it is not what the run began with.
    """
    splits = trainable.splits
    fingerprints = {name: split.fingerprint() for name, split in splits.items()}
    before = run.facts.get("fingerprints", fingerprints)
    if before != fingerprints:
        raise BadInput(
            f"The data of the run '{run.name}' are not those it began with.",
            "Put the old data back, or train anew.",
        )
    about = {
        "fingerprints": fingerprints,
        "examples": {name: len(split) for name, split in splits.items()},
        "skipped": list(trainable.skipped)[:1000],
        "classes": list(trainable.classes),
        "threads": torch.get_num_threads(),
    }
    run.write(DATA, about)
