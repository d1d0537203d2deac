"""Runs as models: what was trained is at once a model for every verb and page.

``run:<name>`` is the best epoch of a run in the workspace, or of a sample run; ``run:<name>@<n>``
the weights kept of its n-th epoch; in place of the name, the path of any run's folder will do. The
architecture is the announced recipe's; nothing that a folder names is imported.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path, PurePath

from core.errors import BadModel, StorageError, UnknownName
from core.models.card import ModelCard
from core.models.huggingface import is_folder
from core.provenance import sha256_of_file
from core.training.checkpoint import checkpoints
from core.training.outcome import CARD, WEIGHTS
from core.training.recipe import recipe
from core.training.run import Run, runs
from core.workspace import workspace

PREFIX = "run:"


def knows(name: str) -> bool:
    """Whether a name means a run."""
    if name.startswith(PREFIX):
        return True
    path = Path(name)
    return path.is_absolute() and (path / "config.json").is_file() and not is_folder(path)


def card(name: str) -> ModelCard:
    """The card of a run's model.

    Raises ``UnknownName`` when there is no such run or epoch, ``BadModel`` when it has no model
    yet or its card is damaged, ``BadInput`` when it is no usable run.
    """
    run, epoch = _found(name)
    if not (run.folder / CARD).is_file():
        raise BadModel(
            f"The run '{run.name}' has no model yet.",
            "Wait for its first epoch to end, or look at it on the Training page.",
        )
    read = ModelCard.read(run.folder / CARD)
    declared = recipe(run.config.recipe)
    about = read.raw.get("arguments", {})
    weights = _weights(run, epoch)
    return replace(
        read,
        name=name,
        title=f"{declared.title} · {run.name}" + (f", epoch {epoch}" if epoch else ""),
        factory=declared.factory,
        arguments=dict(about),
        tokenizer=declared.tokenizer,
        own_weights=False,
        folder=weights.parent,
        weights=weights.name,
        weights_factory=None,
    )


def _weights(run: Run, epoch: int) -> Path:
    """The file of weights, compared with its digest."""
    if not epoch:
        path = run.folder / WEIGHTS
        about = json.loads((run.folder / CARD).read_bytes())
        if not path.is_file() or sha256_of_file(path) != about.get("weights_sha256"):
            raise BadModel(
                f"The weights of the run '{run.name}' do not match its card.",
                "They are damaged, or being written at this moment: try again, or train anew.",
            )
        return path
    kept = {each.epoch: each for each in checkpoints(run) if each.whole_epoch}
    if epoch not in kept:
        known = ", ".join(map(str, sorted(kept))) or "none"
        raise UnknownName(
            f"The run '{run.name}' has not kept epoch {epoch}.", f"Epochs that it kept: {known}."
        )
    try:
        kept[epoch].check()
    except StorageError as error:
        raise BadModel(error.message, "Choose another epoch.") from None
    return kept[epoch].weights


def _found(name: str) -> tuple[Run, int]:
    text = name.removeprefix(PREFIX)
    bare, at, epoch = text.rpartition("@")
    if not at or not epoch.isdecimal():
        bare, epoch = text, "0"
    if (Path(bare) / "config.json").is_file() and PurePath(bare).is_absolute():
        return Run.open(Path(bare)), int(epoch)
    if ".." not in PurePath(bare).parts:
        for root in places():
            if (root / bare / "config.json").is_file():
                return Run.open(root / bare), int(epoch)
    known = [run.folder.relative_to(root).as_posix() for root in places() for run in runs(root)]
    raise UnknownName.of("run", bare, known, "See `fluoroscope runs`.")


def places() -> tuple[Path, ...]:
    """Where runs lie: the workspace's, then sample runs that packages announce."""
    return (workspace().root / "runs", *sample_folders())


@cache
def sample_folders() -> tuple[Path, ...]:
    """Folders of sample runs, announced through the entry-point group ``fluoroscope.runs``."""
    entries = metadata.entry_points(group="fluoroscope.runs")
    return tuple(Path(entry.load()()) for entry in entries)
