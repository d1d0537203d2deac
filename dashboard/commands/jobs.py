"""``fluoroscope jobs``: long work that goes on by itself, and how to end it."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import BadParameter
from dashboard.commands import options
from dashboard.commands.table import show

if TYPE_CHECKING:
    from core.engine.job import Job

jobs = typer.Typer(help="Training and other long work: what there is, how far it is, its log.")
Number = Annotated[str, typer.Argument(help="Number of a job, see `fluoroscope jobs`.")]


@jobs.callback(invoke_without_command=True)
def jobs_or_one(
    context: typer.Context, as_json: options.Json = False, workspace: options.Workspace = None
) -> None:
    """Training and other long work: what there is, how far it is, its log."""
    if context.invoked_subcommand is None:
        list_jobs(as_json, workspace)


@jobs.command("list")
def list_jobs(as_json: options.Json = False, workspace: options.Workspace = None) -> None:
    """Jobs of the workspace, the newest first."""
    from core.engine.job import jobs as all_jobs
    from core.workspace import workspace as place_at

    found = all_jobs(place_at(workspace))
    if not found and not as_json:
        print("There are no jobs yet. `fluoroscope train digits_cnn --detach` makes one.")
        return
    show([_facts(job) if as_json else _row(job) for job in found], as_json)


@jobs.command("cancel")
def cancel(number: Number, workspace: options.Workspace = None) -> None:
    """End a job within a second or one step; training can be resumed."""
    from core.engine.job import UNFINISHED

    job = _job(number, workspace)
    if (state := job.state) not in UNFINISHED:
        raise BadParameter(f"Job {job.id} is over: it is {state}.", "There is nothing to cancel.")
    job.cancel()
    print(f"Job {job.id} is told to stop.")


@jobs.command("logs")
def logs(number: Number, workspace: options.Workspace = None) -> None:
    """What a job's process printed."""
    job = _job(number, workspace)
    print(job.log(), end="")
    if message := job.message:
        print(f"fluoroscope: Job {job.id} {job.state}: {message}", file=sys.stderr)


def _job(number: str, folder: str | None) -> Job:
    from core.engine.job import job
    from core.workspace import workspace as place_at

    return job(place_at(folder), number)


def _facts(job: Job) -> dict[str, Any]:
    status = job.status
    return {
        "id": job.id,
        "verb": job.verb,
        "parameters": job.parameters,
        "device": job.device,
        "state": job.state,
        "done": status.progress.done,
        "total": status.progress.total,
        "fraction": status.progress.fraction,
        "remaining": status.progress.remaining,
        "note": status.progress.note,
        "message": job.message,
        "created": job.about["created"],
        "path": str(job.folder),
    }


def _row(job: Job) -> dict[str, Any]:
    state, progress = job.state, job.progress
    left = progress.remaining if state == "running" else None
    return {
        "id": job.id,
        "verb": job.verb,
        "state": state,
        "device": job.device,
        "progress": f"{progress.fraction:.0%}",
        "left": None if left is None else str(timedelta(seconds=round(left))),
        "of": Path(str(job.parameters.get("run", ""))).name,
    }
