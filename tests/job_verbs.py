"""Toy verbs of jobs, without torch, and the worker that knows them: ``python -m job_verbs``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from engine_verbs import at_gate

from core.engine import job, job_worker
from core.errors import BadInput, StorageError
from core.progress import Meter

Parameters = Mapping[str, Any]


def double(parameters: Parameters, meter: Meter) -> dict[str, Any]:
    """Twice ``number``, and what had been imported by then."""
    meter.expect(4, "Doubling")
    for _ in range(4):
        meter.tick()
    print("doubled")
    heavy = {"torch", "captum", "sklearn", "pandas", "streamlit", "lightning_fabric"}
    return {"value": 2 * parameters["number"], "heavy": sorted(heavy & set(sys.modules))}


def stand(parameters: Parameters, meter: Meter) -> None:
    """Stand at a gate, before anything was ticked."""
    meter.expect(1)
    print("at the gate")
    with at_gate(parameters["port"]) as visitor:
        visitor.recv(1)
    meter.tick()


def march(parameters: Parameters, meter: Meter) -> NoReturn:
    """Tick, stand at a gate, and once let in tick for ever."""
    meter.expect(1000, "Marching")
    meter.tick(250)
    with at_gate(parameters["port"]) as visitor:
        visitor.recv(1)
        while True:
            meter.tick(0)


def sign(parameters: Parameters, meter: Meter) -> None:
    """Say in a file when it begins and when it ends."""
    with Path(parameters["file"]).open("a") as file:
        for word in ("begin", "end"):
            file.write(f"{word} {Path(sys.argv[1]).name}\n")
            file.flush()


def fork(parameters: Parameters, meter: Meter) -> None:
    """Fork off a process that stands at a gate for longer than this one lives."""
    if os.fork() == 0:
        with at_gate(parameters["port"]) as visitor:
            visitor.recv(1)
        os._exit(0)


def refuse(parameters: Parameters, meter: Meter) -> NoReturn:
    raise BadInput("The table has no column 'label'.", "Name it with --set label=….")


def stumble(parameters: Parameters, meter: Meter) -> NoReturn:
    raise ZeroDivisionError("by zero")


def fill_disk(parameters: Parameters, meter: Meter) -> NoReturn:
    """From now on there is no room for a second file."""

    def full(*_: object, **__: object) -> NoReturn:
        raise StorageError("The disk is full.", "Free some space.")

    job.write_atomically = full  # type: ignore[assignment] - as a full disk does
    full()


VERBS = {
    name: f"job_verbs:{name}"
    for name in ("double", "stand", "march", "sign", "fork", "refuse", "stumble", "fill_disk")
}

if __name__ == "__main__":
    sys.exit(job_worker.main(VERBS))
