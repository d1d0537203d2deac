"""Figures as pictures: one headless browser, started when it is first needed, without a network."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import plotly.graph_objects as go

from core.errors import EngineError, MissingExtra

if TYPE_CHECKING:
    from kaleido import Kaleido

T = TypeVar("T")

FORMATS = ("png", "svg", "pdf")

_START_SECONDS = 30
_DRAW_SECONDS = 60
_CLOSE_SECONDS = 5
# Plotly's own size of a figure that does not say one.
_WIDTH, _HEIGHT = 700, 450
# A farewell that the browser's pipe gives itself may be read in one piece with a last message; it
# is no JSON, is passed over, and need not be told.
_FAREWELL = "JSONError decoding message. Ignoring"
# Whatever a figure refers to, nothing leaves this machine: there is nobody at this proxy.
_NO_NETWORK = "http://127.0.0.1:9"

_LOCK = threading.Lock()
_running: _Renderer | None = None


class _Renderer:
    """A browser and the event loop that talks to it, on a thread of their own.

    Kaleido's own server thread waits for ever for a browser that does not answer, and keeps the
    answers to callers at the same time in one queue, in which they are not told apart.
    """

    def __init__(self, path: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fluoroscope-renderer", daemon=True
        )
        self._thread.start()
        self._kaleido: Kaleido | None = None
        try:
            self._run(self._open(path)).result()
        except BaseException:
            self.close()
            raise

    async def _open(self, path: str) -> None:
        from kaleido import Kaleido, PageGenerator

        logging.getLogger("choreographer.channels.pipe").addFilter(_no_farewell)
        page = PageGenerator(mathjax=False)
        page.header = page.header.replace("Kaleido-fier", "Fluoroscope")  # the title of a PDF
        kaleido = Kaleido(
            n=1, page_generator=page, timeout=_DRAW_SECONDS, path=path, proxy_server=_NO_NETWORK
        )
        self._kaleido = kaleido
        try:
            await asyncio.wait_for(kaleido.open(), _START_SECONDS)
        except Exception as error:
            raise RuntimeError(f"the browser '{path}' does not start") from error

    def draw(self, figure: go.Figure, options: dict[str, Any]) -> bytes:
        """The picture; raises whatever goes wrong, ``TimeoutError`` when it takes too long."""
        return self._run(self._draw(figure, options)).result()

    async def _draw(self, figure: go.Figure, options: dict[str, Any]) -> bytes:
        if self._kaleido is None:
            raise RuntimeError("the browser is closed")
        # A moment more than Kaleido's own limit, which does not cover what it does afterwards.
        return await asyncio.wait_for(self._kaleido.calc_fig(figure, options), _DRAW_SECONDS + 5)

    def _run(self, task: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(task, self._loop)

    def close(self) -> None:
        """End the browser, then the thread; never raises."""
        with suppress(Exception):  # a browser that is already gone is what we want
            self._run(self._shut()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut(self) -> None:
        try:
            if self._kaleido is not None:
                # Cancelled, Kaleido goes on without asking the browser, and kills it.
                await asyncio.wait_for(self._kaleido.close(), _CLOSE_SECONDS)
        finally:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)


def _no_farewell(record: logging.LogRecord) -> bool:
    return record.msg != _FAREWELL


def browser() -> str | None:
    """The browser that draws, or None: ``BROWSER_PATH``, else Chromium, Chrome or one of its kin
    that is installed or was fetched by ``plotly_get_chrome``.
    """
    from choreographer.browsers import Chromium

    path = os.environ.get("BROWSER_PATH") or Chromium.find_browser(skip_local=False)
    return path if path and Path(path).is_file() and os.access(path, os.X_OK) else None


def no_browser(format_: str) -> MissingExtra:
    """What to say when a picture is wanted and there is nothing to draw it with."""
    named = os.environ.get("BROWSER_PATH")
    return MissingExtra(
        f"A {format_.upper()} is drawn by Chromium or Chrome, and "
        + (f"BROWSER_PATH='{named}' is not a program." if named else "there is none here."),
        "Install it with `apt-get install chromium` or `plotly_get_chrome`; "
        "HTML, JSON and NPZ need none.",
    )


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
            late = isinstance(error, TimeoutError)
            reason = "the browser takes too long" if late else str(error).partition("\n")[0][:200]
            raise EngineError(
                f"The {format_.upper()} could not be drawn: {reason.rstrip('.')}.",
                "Try again, or export as HTML.",
            ) from error


def _renderer(format_: str) -> _Renderer:
    global _running
    if _running is None:
        path = browser()
        if path is None:
            raise no_browser(format_)
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
