"""A training run followed in the terminal: a bar, a line per epoch, and a table at the end."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.engine.job import Job, State
    from core.results import History
    from core.training.run import Run

_LOOK_SECONDS = 0.2
_SHOWN = ("loss", "accuracy")
_MOST_NOTES = 10
_LEFT_OUT = ("precision_macro", "recall_macro", "f1_macro")


def follow(run: Run, job: Job) -> State:
    """Follow a run until its job is over; how it ended."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from core.engine.job import UNFINISHED

    console = Console(stderr=True)
    epochs = EpochLines.of(run)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # A line on a terminal is drawn above the bar; into a pipe it goes as it is.
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    ) as bar:
        shown = bar.add_task(run.name, total=None)
        while True:
            state = job.state  # before the rest, so that the last epoch is not missed
            progress = job.progress
            note = progress.note if progress.note not in ("", "Training") else run.status.stage
            bar.update(
                shown,
                description=f"{run.name}  {note}".rstrip(),
                completed=progress.done,
                total=progress.total or None,
            )
            for text in epochs.further(state not in UNFINISHED):
                print(text, flush=True)
            if state not in UNFINISHED:
                return state
            time.sleep(_LOOK_SECONDS)


@dataclass
class EpochLines:
    """A line for each epoch that has been measured, each given once."""

    run: Run
    log: Any
    epoch: int

    @classmethod
    def of(cls, run: Run) -> EpochLines:
        """From the epoch on at which a run that is resumed goes on."""
        from core.training.checkpoint import checkpoints
        from core.training.events import EventLog

        kept = [each.epoch for each in checkpoints(run) if each.resumable]
        return cls(run, EventLog(run.folder), max(kept, default=0))

    def further(self, over: bool) -> Iterator[str]:
        """Lines of the epochs since the last time; looks closer when the run is ``over``."""
        if (over or self.run.status.epoch > self.epoch) and self.log.reload():
            history = self.log.history()
            if "epoch" not in history.scalars:
                return
            for step, value in zip(
                history.scalars["epoch"].steps, history.scalars["epoch"].values, strict=True
            ):
                if value > self.epoch:
                    self.epoch = int(value)
                    yield epoch_line(history, int(step), self.epoch, self.run.config.epochs)


def epoch_line(history: History, step: int, epoch: int, epochs: int) -> str:
    """``epoch  3/40  loss 0.1234  accuracy 0.9612  val_loss …  2.1 s`` of the epoch ending there.

    The seconds are those of this epoch.
    """

    def value(tag: str, at: int) -> float:
        if (series := history.scalars.get(tag)) is None:
            return math.nan
        found = series.values[series.steps == at]
        return float(found[-1]) if len(found) else math.nan

    parts = [f"epoch {epoch:>{len(str(epochs))}}/{epochs}"]
    for split, prefix in (("train", ""), ("val", "val_")):
        tags = [tag.partition("/") for tag in history.scalars]
        mine = [tag for owner, _, tag in tags if owner == split and "/" not in tag]
        further = [tag for tag in mine if tag not in _SHOWN + _LEFT_OUT]
        chosen = [tag for tag in _SHOWN if tag in mine] + further
        parts += [f"{prefix}{tag} {value(f'{split}/{tag}', step):.4f}" for tag in chosen]
    ends = history.scalars["epoch"].steps
    before = [int(each) for each in ends if each < step]
    seconds = value("seconds", step) - (value("seconds", before[-1]) if before else 0.0)
    return "  ".join([*parts, f"{seconds:.1f} s"])


def show_metrics(run: Run) -> None:
    """Print what the best weights of a run reach, and per class where there are classes."""
    metrics = card_metrics(run)
    if not metrics:
        return  # without examples held out there is nothing to say
    per_class, count = metrics.get("per_class"), metrics.get("n")
    on = f" on {count:,} examples of {metrics.get('split', '')}" if isinstance(count, int) else ""
    print(f"\nBest epoch {run.status.best_epoch}, measured{on}")
    whole = [
        (name, float(value))
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and name != "n"
    ]
    show([{"metric": name, "value": value} for name, value in whole], as_json=False)
    if isinstance(per_class, list) and all(isinstance(row, dict) for row in per_class):
        print()
        show(per_class, as_json=False)


def show_left_out(run: Run) -> None:
    """Say what was left out of the data or assumed of them, on the error stream."""
    notes = run.left_out
    for note in notes[:_MOST_NOTES]:
        print(f"data: {note}", file=sys.stderr)
    if len(notes) > _MOST_NOTES:
        more = len(notes) - _MOST_NOTES
        print(f"data: and {more:,} more, all in {run.folder / 'data.json'}", file=sys.stderr)


def show_sweep(runs: Sequence[Run]) -> None:
    """Print what the runs of a sweep reach, side by side."""
    found = {run.name: card_metrics(run) for run in runs}
    numbers = [
        name
        for name in dict.fromkeys(name for metrics in found.values() for name in metrics)
        if any(isinstance(metrics.get(name), float) for metrics in found.values())
    ]
    print()
    rows = [
        {"run": run.name, "state": run.state, "best_epoch": run.status.best_epoch}
        | {name: found[run.name].get(name) for name in numbers}
        for run in runs
    ]
    show(rows, as_json=False)


def card_metrics(run: Run) -> dict[str, Any]:
    """The metrics in a run's card; empty while there are none."""
    try:
        return dict(json.loads((run.folder / "card.json").read_bytes())["metrics"])
    except (OSError, ValueError, KeyError, TypeError):  # it may have been edited
        return {}
