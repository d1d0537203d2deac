"""The runs that pages show: those of the workspace, and the sample runs that packages announce."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.gallery import GalleryItem, examples_for
from core.engine.job import UNFINISHED, Job, jobs
from core.training.checkpoint import Checkpoint, checkpoints
from core.training.model import sample_folders
from core.training.recipe import Recipe, recipes
from core.training.run import Run, runs
from core.workspace import Workspace


@dataclass(frozen=True)
class ShownRun:
    """A run as a page knows it: ``name`` is unique among all that are shown, and in addresses."""

    name: str
    run: Run
    sample: bool

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"{self.name} (sample)" if self.sample else self.name

    @property
    def recipe(self) -> Recipe:
        """What it trains."""
        return recipes()[self.run.config.recipe]

    @property
    def examples_per_step(self) -> int:
        """Examples that make an update."""
        settings = self.run.config.settings
        return int(settings["batch_size"]) * int(settings["accumulate"])

    @property
    def steps_per_epoch(self) -> float:
        """Updates that make an epoch; 0 until the run has looked at its data."""
        return float(self.run.facts.get("examples", {}).get("train", 0)) / self.examples_per_step

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Those at the end of an epoch, whose weights are kept."""
        return tuple(each for each in checkpoints(self.run) if each.whole_epoch)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in which it differs from its recipe's defaults."""
        usual = {parameter.name: parameter.default for parameter in self.recipe.declared}
        return {k: v for k, v in self.run.config.settings.items() if usual.get(k) != v}


def shown_runs(place: Workspace) -> dict[str, ShownRun]:
    """All runs by name: those of the workspace, the newest first, then the samples."""
    found: dict[str, ShownRun] = {}
    places = [(place.root / "runs", False), *((folder, True) for folder in sample_folders())]
    for root, sample in places:
        for run in runs(root):
            name = run.folder.relative_to(root).as_posix()
            if run.config.recipe in recipes() and name not in found:
                found[name] = ShownRun(name, run, sample)
    return found


def training_jobs(place: Workspace) -> Iterator[Job]:
    """Jobs that train and are not over."""
    for job in jobs(place):
        if job.verb == "train" and job.state in UNFINISHED:
            yield job


def last_words(place: Workspace, run: Run) -> str:
    """The last lines of the job whose process ended while it trained a run; empty if none did."""
    for job in jobs(place):
        mine = job.verb == "train" and Path(job.parameters["run"]) == run.folder
        if mine and job.state in ("died", "failed"):
            return job.log_tail()
    return ""


def job_of(place: Workspace, run: Run) -> Job | None:
    """The job that trains a run at this moment or is going to."""
    mine = (job for job in training_jobs(place) if Path(job.parameters["run"]) == run.folder)
    return next(mine, None)


def items_of_recipe(recipe: str) -> tuple[GalleryItem, ...]:
    """The bundled examples that suit what a recipe trains."""
    kinds = {"digits": "digits_cnn", "fashion": "fashion_cnn", "hierarchical": "fashion_cnn"}
    model = next((model for start, model in kinds.items() if recipe.startswith(start)), recipe)
    return examples_for(model)
