"""Toy verbs and a toy loader, without torch: what the engine's tests compute."""

from __future__ import annotations

import os
import random
import select
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.engine.verbs import Verbs
from core.errors import BadInput, BadModel
from core.models.reference import ModelRef
from core.progress import Meter
from core.provenance import Provenance
from core.results import Attribution, Fit
from core.tasks import Example, PixelGrid, Target

Inputs = Sequence[Example]
Parameters = Mapping[str, Any]


class Gate:
    """Where a test waits for a verb to arrive, and lets it go on; no clocks."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self.port: int = self._listener.getsockname()[1]
        self._visitor: socket.socket | None = None

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._visitor is not None:
            self._visitor.close()

    def arrived(self) -> int:
        """Wait until a verb stands at the gate; the number of its process."""
        if self._visitor is not None:
            self._visitor.close()
        self._visitor, _ = self._listener.accept()
        self._visitor.settimeout(30)
        return int.from_bytes(self._visitor.recv(8), "little")

    def open(self) -> None:
        """Let the verb go on."""
        assert self._visitor is not None
        self._visitor.sendall(b"!")

    def gone(self) -> bool:
        """Wait until whoever stands at the gate has left without being let in."""
        assert self._visitor is not None
        try:
            return self._visitor.recv(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def at_gate(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as visitor:
        visitor.sendall(os.getpid().to_bytes(8, "little"))
        yield visitor


@dataclass
class ToyModel:
    """Multiplies by a factor that an outer call may have changed, unless it enters a twin."""

    ref: ModelRef
    device: str
    factor: int = 3
    lock: Any = field(default_factory=threading.RLock)
    depth: int = 0

    @contextmanager
    def exclusive(self, seed: int) -> Iterator[ToyModel]:
        with self.lock:
            before = random.getstate()
            toy = self if self.depth == 0 else ToyModel(self.ref, self.device)
            self.depth += 1
            random.seed(seed)
            try:
                yield toy
            finally:
                self.depth -= 1
                random.setstate(before)


def load(ref: ModelRef, device: str) -> ToyModel:
    if ref.name == "broken":
        raise BadModel("Its weights are cut off.", "Fetch it again.")
    if ref.name == "crashes":
        os._exit(7)
    return ToyModel(ref, device)


def double(
    model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter
) -> tuple[Any, ...]:
    """Everything that came in, times two where it is a number."""
    meter.expect(1)
    meter.tick()
    array = np.arange(6, dtype=np.float32).reshape(2, 3) * float(parameters["by"])
    return (model.ref.name, model.device, seed, inputs, 2 * parameters["by"], array)


def numbers(
    model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter
) -> tuple[tuple[float, ...], float]:
    """Random numbers in ``passes`` passes, with the model's factor changed meanwhile.

    With ``gate``, it stops half-way and ticks until the gate is opened.
    """
    drawn: list[float] = []
    with model.exclusive(seed) as toy:
        usual, toy.factor = toy.factor, toy.factor + parameters["passes"]
        try:
            meter.expect(parameters["passes"])
            for index in range(parameters["passes"]):
                meter.tick()
                drawn.append(toy.factor * random.random())
                if "gate" in parameters and index == parameters["passes"] // 2:
                    with at_gate(parameters["gate"]) as visitor:
                        while not select.select([visitor], [], [], 0.002)[0]:
                            meter.tick(0)
        finally:
            toy.factor = usual
    with model.exclusive(seed) as toy:
        return tuple(drawn), float(toy.factor)


def explain(
    model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter
) -> tuple[Attribution, ...]:
    """A map of 224 × 224 pixels, as large as most results are."""
    meter.tick()
    grid = PixelGrid(3, 224, 224)
    attribution = Attribution(
        method="toy",
        example="toy.png",
        target=Target(0, "cat"),
        axis=grid,
        values=np.full(grid.shape, parameters["by"], np.float32),
        score=1.0,
        fit=Fit("exact"),
        settings={},
        picture=np.zeros((224, 224, 3), np.uint8),
        provenance=Provenance("toy", model.ref.fingerprint, (), "explain", {}, seed, "cpu", 0.0),
    )
    return (attribution,)


def count(model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter) -> int:
    """Leaves a mark in a file each time it is computed, and says which process it is in."""
    with Path(parameters["file"]).open("a") as file:
        file.write(parameters.get("mark", "x"))
    return os.getpid()


def hang(model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter) -> bool:
    """Stands at the gate and never ticks."""
    with at_gate(parameters["gate"]) as visitor:
        return visitor.recv(1) == b"!"


def die(model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter) -> None:
    """Ends the process without a word."""
    os.kill(os.getpid(), parameters["signal"])


def fail(model: ToyModel, inputs: Inputs, parameters: Parameters, seed: int, meter: Meter) -> Any:
    """Goes wrong in the way asked for."""
    match parameters["how"]:
        case "user":
            raise BadInput("It is not a picture.", "Choose another.")
        case "bug":
            raise ZeroDivisionError("secret of line 12\nsecond line")
        case "memory":
            raise MemoryError
        case "exit":
            sys.exit(3)
        case "print":
            print("a library talks on standard output")
            os.write(1, b"and so does C code\n")
            return "fine"
        case _:
            return object()


NAMES = ("double", "numbers", "explain", "count", "hang", "die", "fail")
VERBS = Verbs(
    {name: f"engine_verbs:{name}" for name in NAMES} | {"moment": "engine_verbs:count"},
    "engine_verbs:load",
    fleeting=("moment",),
)
