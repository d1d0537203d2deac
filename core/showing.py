"""The dashboard on a live model, from a notebook or a script."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import core
from core.confinement.folders import temporary
from core.errors import EngineError
from core.models.reference import ModelRef
from core.workspace import workspace

if TYPE_CHECKING:
    from torch import nn

_WAIT = 60.0


class Shown:
    """A running dashboard: its ``url``; ``close()`` ends it."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._process = process

    def __repr__(self) -> str:
        return f"Fluoroscope at {self.url}"

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the dashboard; the model stays in the workspace."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def show(
    model: nn.Module | ModelRef | str,
    example_inputs: Any = None,
    *,
    port: int = 0,
    browser: bool = True,
    **about: Any,
) -> Shown:
    """Open the dashboard on a model: a live module with its ``example_inputs`` (as it is now; show
    it again after training on), a reference, or a name. ``about`` is what ``core.pack`` takes.

    The module is packed into the workspace and computed with in the dashboard's own worker, so that
    neither can disturb the other. Ends with this process, or by ``close()``.

    Raises ``BadModel`` as ``core.pack`` does, ``EngineError`` when the dashboard does not start.
    """
    if isinstance(model, (str, ModelRef)):
        name = model if isinstance(model, str) else model.name
    else:
        from core.models.exported.own import add
        from core.models.exported.packing import pack

        with temporary() as folder:
            path = folder / f"{type(model).__name__}.pt2"
            name = add(pack(model, example_inputs, path, **about)).name
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    home = str(Path(core.__file__ or "").parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-P", "-m", "dashboard.cli", "serve", "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "FLUOROSCOPE_WORKSPACE": str(workspace().root),
        },
    )
    shown = Shown(f"http://127.0.0.1:{port}/?{urlencode({'model': name})}", process)
    _wait(shown, process, port)
    import atexit

    atexit.register(shown.close)
    if browser:
        webbrowser.open(shown.url)
    return shown


def _wait(shown: Shown, process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _WAIT
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 0.2):
                return
        except OSError:
            time.sleep(0.1)
    shown.close()
    raise EngineError(
        "The dashboard did not start.", "Start it with `fluoroscope serve` to see what it says."
    )
