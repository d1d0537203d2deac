"""Figures as pictures: one headless browser, started when it is first needed, without a network."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import plotly.graph_objects as go

from core.errors import EngineError, MissingExtra

if TYPE_CHECKING:
    from kaleido import Kaleido

T = TypeVar("T")

_START_SECONDS = 30
_DRAW_SECONDS = 60
_CLOSE_SECONDS = 15
# Plotly's own size of a figure that does not say one.
_WIDTH, _HEIGHT = 700, 450
# Whatever a figure refers to, nothing leaves this machine: there is nobody at this proxy.
_NO_NETWORK = "http://127.0.0.1:9"

_LOCK = threading.Lock()
_running: _Renderer | None = None


class _Renderer:
    """A browser and the event loop that talks to it, on a thread of their own.

    Kaleido's own server thread waits for ever when its browser does not start, and may hand one
    caller the picture of another.
    """

    def __init__(self, path: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fluoroscope-renderer", daemon=True
        )
        self._thread.start()
        self._kaleido: Kaleido | None = None
        try:
            self._wait(self._open(path), _START_SECONDS)
        except BaseException:
            self.close()
            raise

    async def _open(self, path: str) -> None:
        from kaleido import Kaleido

        kaleido = Kaleido(
            n=1, mathjax=False, timeout=_DRAW_SECONDS, path=path, proxy_server=_NO_NETWORK
        )
        self._kaleido = kaleido
        await kaleido.open()

    def draw(self, figure: go.Figure, options: dict[str, Any]) -> bytes:
        if self._kaleido is None:
            raise RuntimeError("the browser is closed")
        return self._wait(self._kaleido.calc_fig(figure, options), _DRAW_SECONDS + 5)

    def _wait(self, task: Coroutine[Any, Any, T], seconds: float) -> T:
        future = asyncio.run_coroutine_threadsafe(task, self._loop)
        try:
            return future.result(seconds)
        except Late:
            future.cancel()
            raise TimeoutError(f"no answer from the browser for {seconds:g} seconds") from None

    def close(self) -> None:
        """End the browser, then the thread; never raises."""
        try:
            self._wait(self._shut(), _CLOSE_SECONDS)
        except Exception:  # noqa: BLE001, S110 - a browser that is already gone is what we want
            pass
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _shut(self) -> None:
        if self._kaleido is not None:
            await self._kaleido.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def browser() -> str | None:
    """The browser that draws, or None: ``BROWSER_PATH``, else Chromium, Chrome or one of its kin
    that is installed or was fetched by ``plotly_get_chrome``.
    """
    from choreographer.browsers import Chromium

    path = os.environ.get("BROWSER_PATH") or Chromium.find_browser(skip_local=False)
    return path if path and Path(path).is_file() and os.access(path, os.X_OK) else None


def render(figure: go.Figure, format_: str, scale: float) -> bytes:
    """``figure`` as PNG, SVG or PDF; its layout says how wide and high. One at a time.

    Raises ``MissingExtra`` when there is no browser to draw with, ``EngineError`` when it fails.
    """
    global _running
    options = {
        "format": format_,
        "scale": scale,
        "width": figure.layout.width or _WIDTH,
        "height": figure.layout.height or _HEIGHT,
    }
    with _LOCK:
        reused = _running is not None
        try:
            try:
                return _renderer(format_).draw(figure, options)
            except Exception:
                _stop()
                if not reused:
                    raise
                # It may have died since the last picture (a sleeping laptop, memory): a fresh one.
                return _renderer(format_).draw(figure, options)
        except MissingExtra:
            raise
        except Exception as error:
            _stop()
            said = str(error.args[0] if error.args else error) or type(error).__name__
            reason = said.splitlines()[0][:200]
            raise EngineError(
                f"The {format_.upper()} could not be drawn: {reason.rstrip('.')}.",
                "Try again, or export as HTML.",
            ) from error


def _renderer(format_: str) -> _Renderer:
    global _running
    if _running is None:
        path = browser()
        if path is None:
            named = os.environ.get("BROWSER_PATH")
            raise MissingExtra(
                f"A {format_.upper()} is drawn by Chromium or Chrome, and "
                + (f"BROWSER_PATH='{named}' is not a program." if named else "there is none here."),
                "Install it with `apt-get install chromium` or `plotly_get_chrome`; "
                "HTML, JSON and NPZ need none.",
            )
        _running = _Renderer(path)
        atexit.register(stop)
    return _running


def stop() -> None:
    """End the browser, if it was started; the next picture starts another."""
    with _LOCK:
        _stop()


def _stop() -> None:
    global _running
    if _running is not None:
        atexit.unregister(stop)
        _running.close()
        _running = None
