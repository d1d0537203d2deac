"""Calls made by commands, with a progress bar while a person is watching."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.engine.call import Call
    from core.engine.split import SplitExecutor
    from core.models.reference import ModelRef

_LOOK_SECONDS = 0.2


def engine(device: str, folder: str | None) -> SplitExecutor:
    """An executor that keeps its results in the workspace.

    Raises ``StorageError`` when that cannot be used.
    """
    from core.engine.split import SplitExecutor
    from core.workspace import workspace

    place = workspace(folder)
    _ = place.logs  # says so when it cannot be used
    return SplitExecutor(device=device, workspace=place)


def with_bar(engine: SplitExecutor, call: Call, title: str) -> Any:
    """The result of a call, with a progress bar on standard error while a person is watching."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        line = bar.add_task(title, total=None)
        handle = engine.submit(
            call, notify=lambda p: bar.update(line, completed=p.done, total=p.total)
        )
        while True:
            with suppress(TimeoutError):  # where another process computes it
                return handle.result(_LOOK_SECONDS)
            bar.update(line, completed=handle.progress.done, total=handle.progress.total)


def captured(
    engine: SplitExecutor,
    model: ModelRef,
    data: Dataset,
    folder: str | None,
    seed: int = 0,
    device: str = "auto",
) -> str:
    """The folder of a capture of every layer over the data, made unless it is there."""
    from core.activations.shelf import request, shelved, tidy
    from core.engine.call import Call
    from core.workspace import workspace

    place = workspace(folder)
    parameters = request(place, model, data, seed=seed)
    found = shelved(parameters)
    if found is not None:
        return str(found.folder)
    with_bar(engine, Call("capture", model, (), parameters, seed, device), data.name)
    tidy(place)
    return str(parameters["out"])  # whatever was answered
