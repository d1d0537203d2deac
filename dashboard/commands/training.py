"""``fluoroscope train`` and ``fluoroscope runs``: training from the command line."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import BadParameter, Cancelled, EngineError, UnknownName, UserError
from core.paths import located
from dashboard.commands import options
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.engine.job import Job
    from core.training.run import Run
    from core.workspace import Workspace


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Name of a recipe, see `fluoroscope list recipes`.")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Settings, as after --set."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Your own data: a folder, a file or a zip; else the recipe's own."),
    ] = None,
    settings: options.Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training examples.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of everything random.", min=0, max=2**63 - 1)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run: its name or its folder.")
    ] = None,
    detach: Annotated[bool, typer.Option(help="Do not wait: print the number of the job.")] = False,
    workspace: options.Workspace = None,
) -> None:
    """Train a recipe, or go on with a run. Ctrl+C stops it so that it can be resumed."""
    from core.workspace import workspace as place_at

    place = place_at(workspace)
    fixed = {
        "--data": data, "--set": settings or more, "--epochs": epochs, "--device": device,
        "--seed": seed, "--out": out,
    }  # fmt: skip
    if resume is not None:
        found = _to_resume(place, resume, recipe, fixed)
    elif recipe is None:
        raise BadParameter("No recipe is named.", "See `fluoroscope list recipes`.")
    else:
        from core.training import sweep

        given = dict(options.setting(text) for text in (*(settings or ()), *(more or ())))
        if epochs is not None and given.setdefault("epochs", str(epochs)) != str(epochs):
            raise BadParameter(
                f"--epochs {epochs} is given together with --set epochs={given['epochs']}.",
                "Leave one of the two out.",
            )
        where = options.known_device(device or "auto")
        wanted = sweep.configs(recipe, given, data=data, seed=seed or 0, device=where)
        found = sweep.create(place.runs, wanted, out)
    unfinished = [run for run in found if run.status.state != "done"]
    for run in unfinished:
        _check_free(place, run)
    started = [(run, _submitted(place, run)) for run in unfinished]
    if detach:
        for run, job in started:
            print(job.id)
            print(f"Job {job.id} trains {_name(place, run.folder)}.", file=sys.stderr)
        return
    if not started:
        print(f"'{found[0].folder}' is done already.")
    several = len(found) > 1
    _follow(started, _name(place, found[0].folder.parent if several else found[0].folder))
    _show_end(place, found)


def list_runs(as_json: options.Json = False, workspace: options.Workspace = None) -> None:
    """Training runs of the workspace, the newest first."""
    from core.training.run import runs
    from core.workspace import workspace as place_at
    from dashboard.commands.watching import card_metrics

    root = place_at(workspace).root / "runs"
    rows = []
    for run in runs(root):
        status, state = run.status, run.state
        rows.append(
            {
                "name": run.folder.relative_to(root).as_posix(),
                "recipe": run.config.recipe,
                "state": state,
                "epoch": status.epoch,
                "epochs": status.epochs,
                "best_epoch": status.best_epoch,
                "best_loss": status.best,
                "accuracy": card_metrics(run).get("accuracy"),
                "seconds": round(status.seconds, 1),
                "message": status.message,
                "created": run.about.get("created"),
                "path": str(run.folder),
            }
        )
    if not rows and not as_json:
        print("There are no runs yet. `fluoroscope train digits_cnn` makes one.")
        return
    show(rows, as_json, hidden=("seconds", "message", "created", "path"))


def _to_resume(
    place: Workspace, text: str, recipe: str | None, fixed: Mapping[str, object]
) -> list[Run]:
    """The run that a person names, or all runs of a sweep."""
    for option, value in fixed.items():
        if value not in (None, []):
            raise BadParameter(
                f"{option} is given together with --resume.",
                "A run keeps its settings, so that it continues as it began: leave it out.",
            )
    found = find_runs(place, text)
    for run in found:
        if recipe not in (None, run.config.recipe):
            raise BadParameter(
                f"'{run.name}' is a run of {run.config.recipe}, not of {recipe}.",
                "Leave the recipe out.",
            )
    return found


def find_runs(place: Workspace, text: str) -> list[Run]:
    """The run that ``text`` names, by ``run:<name>``, name or path; or those of a sweep.

    Raises ``BadInput`` or ``UnknownName``.
    """
    from core.training.run import Run, runs

    root = place.root / "runs"
    name = text.removeprefix("run:")
    for folder in (located(root / name), located(name)) if name else ():
        if not folder.exists():
            continue
        if (folder / "config.json").is_file() or folder == root:
            return [Run.open(folder)]
        return list(reversed(runs(folder))) or [Run.open(folder)]
    known = [run.folder.relative_to(root).as_posix() for run in runs(root)]
    if not known:
        raise UnknownName(f"There is no run '{name}'.", "There are no runs yet in this workspace.")
    raise UnknownName.of("run", name, known, "See `fluoroscope runs`.")


def _check_free(place: Workspace, run: Run) -> None:
    """Raise ``Busy`` when somebody trains this run or is about to."""
    from core.engine.job import UNFINISHED, jobs
    from core.training.run import Busy

    if run.alive:
        with run.exclusively():  # says who has it
            return
    for job in jobs(place):
        mine = job.verb == "train" and job.parameters.get("run") == str(run.folder)
        if mine and job.state in UNFINISHED:
            raise Busy(
                f"Job {job.id} trains the run '{run.name}' already.",
                f"Wait for it, or end it with `fluoroscope jobs cancel {job.id}`.",
            )


def _submitted(place: Workspace, run: Run) -> Job:
    from core.engine.job import submit

    return submit(place, "train", {"run": str(run.folder)}, run.config.device)


def _name(place: Workspace, folder: Path) -> str:
    """What names a run, or all runs of a sweep, in another command: short where that is enough."""
    from core.workspace import workspace

    root = place.root / "runs"
    if place.root != workspace().root or root not in folder.parents:
        return str(folder)
    return f"run:{folder.relative_to(root).as_posix()}"


def _follow(started: Sequence[tuple[Run, Job]], name: str) -> None:
    """Follow runs one after the other; Ctrl+C stops them all, a second one stops looking.

    ``name`` is what resumes them. Raises ``Cancelled``, ``UserError`` or ``EngineError`` as they
    end.
    """
    from dashboard.commands.watching import follow

    failures: list[Exception] = []
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for run, job in started:
            if len(started) > 1:
                print(f"{run.name} (job {job.id})", flush=True)
            try:
                state = follow(run, job)
            except KeyboardInterrupt:
                _cancel(started)
                print("Stopping at the next step …", file=sys.stderr, flush=True)
                state = follow(run, job)
            if state == "cancelled":
                raise Cancelled(*_stopped(run, name))
            if state in ("failed", "died"):
                failures.append(_failure(job, name))
                if len(started) > 1:
                    print(f"fluoroscope: {failures[-1]}", file=sys.stderr)
    except KeyboardInterrupt:
        _cancel(started)
        raise Cancelled("It is stopping.", f"Go on with: {_resume(name)}") from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise UserError(f"{len(failures)} of {len(started)} runs failed.", "The reasons are above.")


def _cancel(started: Sequence[tuple[Run, Job]]) -> None:
    """Stop all, the last one first, so that none begins because the one before it ended."""
    for _, job in reversed(started):
        job.cancel()


def _resume(name: str) -> str:
    return f"fluoroscope train --resume {shlex.quote(name)}"


def _stopped(run: Run, name: str) -> tuple[str, str]:
    status = run.status
    if not status.step:
        return "Stopped before the first step.", f"Begin with: {_resume(name)}"
    epoch = min(status.epoch + 1, status.epochs)
    where = f"Stopped in epoch {epoch} of {status.epochs}, after step {status.step}."
    return where, f"Go on with: {_resume(name)}"


def _failure(job: Job, name: str) -> Exception:
    if job.state == "died":
        return EngineError(job.message, f"Go on with: {_resume(name)}")
    status = job.status
    return UserError(status.message, status.next_step)


def _show_end(place: Workspace, found: Sequence[Run]) -> None:
    from core.tasks import Task
    from core.training.recipe import recipe
    from dashboard.commands.watching import show_left_out, show_metrics, show_sweep

    show_left_out(found[0])
    for run in found:
        if message := run.status.message:
            print(f"{run.name}: {message}", file=sys.stderr)
    if len(found) > 1:
        show_sweep(found)
        return
    show_metrics(found[0])
    name, task = _name(place, found[0].folder), recipe(found[0].config.recipe).task
    print(f"\n{name}")
    if task is Task.IMAGE_CLASSIFICATION:
        print(f"Explain it with: fluoroscope attribute {name} IMAGE --method saliency --out FOLDER")
