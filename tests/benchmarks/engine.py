"""What the engine costs, as ratios within one run: ``python tests/benchmarks/engine.py``.

Lower is better everywhere; 1.00 is the floor beside which each number stands.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from core.codec import decode, encode
from core.engine.call import Call
from core.engine.inline import InlineExecutor
from core.engine.process import ProcessExecutor
from core.models.catalogue import reference
from core.models.reference import ModelRef
from core.store import Store
from core.tasks import Example
from core.workspace import Workspace

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))
os.environ["PYTHONPATH"] = str(TESTS)  # for the workers

import engine_verbs  # noqa: E402 - found by the lines above

TOY = ModelRef("toy", "f" * 64)
REPEATS = 60


def seconds(run: Callable[[int], Any], repeats: int = REPEATS) -> float:
    """Median time of one run; ``run`` gets a number that it has never seen."""
    times = []
    for _ in range(repeats):
        number = next(_NUMBERS)
        started = time.perf_counter()
        run(number)
        times.append(time.perf_counter() - started)
    return median(times)


_NUMBERS = iter(range(1, 10**9))


def line(what: str, took: float, floor: float, against: str) -> None:
    print(f"{what:<44} {1e3 * took:9.2f} ms  = {took / floor:7.2f} × {against}")


def calls() -> None:
    """A call through the process against the same call in this thread."""
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(Path(folder))
        inline = InlineExecutor(verbs=engine_verbs.VERBS)
        with (
            ProcessExecutor(verbs=engine_verbs.VERBS) as bare,
            ProcessExecutor(workspace=place, verbs=engine_verbs.VERBS) as storing,
        ):
            for title, verb in (("a few numbers", "double"), ("224 × 224 × 3", "explain")):

                def run(executor: Any, number: int, verb: str = verb) -> Any:
                    return executor.submit(Call(verb, TOY, (), {"by": number})).result(60)

                floor = seconds(lambda number: run(inline, number))
                for name, executor in (("process", bare), ("process, stored", storing)):
                    run(executor, 0)
                    took = seconds(lambda number, e=executor: run(e, number))
                    line(f"call, {title}, {name}", took, floor, "inline")
            known = seconds(lambda _: run(storing, 0))
            line("the same call again", known, floor, "inline")
        with ProcessExecutor(workspace=place, verbs=engine_verbs.VERBS) as fresh:
            disk = seconds(lambda _: (fresh._recent.clear(), run(fresh, 0)))
            line("the same call again, from the disk", disk, floor, "inline")


def codec() -> None:
    """Encoding and storing an attribution against numpy's own archive of the same arrays."""
    call = Call("explain", TOY, (), {"by": 1})
    (attribution,) = InlineExecutor(verbs=engine_verbs.VERBS).submit(call).result()

    def savez(_: int = 0) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, values=attribution.values, picture=attribution.picture)
        return buffer.getvalue()

    raw, data = savez(), encode(attribution)

    def load(_: int) -> None:
        with np.load(io.BytesIO(raw)) as archive:
            _values, _picture = archive["values"], archive["picture"]

    line("encode", seconds(lambda _: encode(attribution)), seconds(savez), "np.savez")
    line("decode", seconds(lambda _: decode(data)), seconds(load), "np.load")
    with tempfile.TemporaryDirectory() as folder:
        store, path = Store(Path(folder)), Path(folder) / "raw"

        def write(_: int) -> None:
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        floor = seconds(write)
        put = seconds(lambda number: store.put(f"{number:064x}", attribution))
        line("put", put, floor, "write and fsync")
        store.put("0" * 64, attribution)
        line("get", seconds(lambda _: store.get("0" * 64)), seconds(load), "np.load")


def start() -> None:
    """From nothing to the first answer."""

    def python(code: str) -> float:
        command = [sys.executable, "-c", code]
        return seconds(lambda _: subprocess.run(command, check=True), 3)

    def toy(number: int) -> None:
        with ProcessExecutor(verbs=engine_verbs.VERBS) as executor:
            executor.submit(Call("double", TOY, (), {"by": number})).result(60)

    line("worker start to first answer, toy", seconds(toy, 5), python("import numpy"), "numpy")
    model = reference("digits_cnn")
    picture = TESTS.parent / "assets" / "examples" / "digit-3.png"
    example = Example(picture.name, picture.read_bytes())

    def real(number: int) -> None:
        with ProcessExecutor() as executor:
            executor.warm(model)
            executor.submit(Call("predict", model, (example,), seed=number)).result(60)

    line(
        "worker start to first answer, digits_cnn",
        seconds(real, 3),
        python("import torch"),
        "torch",
    )


if __name__ == "__main__":
    calls()
    codec()
    start()
