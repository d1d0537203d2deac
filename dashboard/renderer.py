"""Figures as pictures: one headless browser, started when it is first needed, offline."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import plotly.graph_objects as go

from core.errors import EngineError, MissingExtra

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
_SECONDS = 60.0
# A figure carries all it needs: what asks for the network all the same finds a closed door.
_NOWHERE = "127.0.0.1:9"
_T = TypeVar("_T")


def browser() -> str | None:
    """The browser that draws, or None: ``BROWSER_PATH``, else what is installed."""
    from choreographer.browsers.chromium import Chromium

    named = os.environ.get("BROWSER_PATH")
    if named:
        return named if Path(named).is_file() else None
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    mac = next((str(path) for path in _MAC if path.is_file()), None)
    return found or mac or Chromium.find_browser(skip_local=False)  # by plotly_get_chrome


def require(format_: str) -> str:
    """The path of the browser that draws a ``format_``.

    Raises ``MissingExtra`` when there is none.
    """
    path = browser()
    if path is None:
        named = os.environ.get("BROWSER_PATH")
        where = f"there is none at BROWSER_PATH={named}" if named else "there is none here"
        raise MissingExtra(
            f"A {format_.upper()} is drawn by Chromium or Chrome, and {where}.",
            "Install it with `apt-get install chromium` or `plotly_get_chrome`; "
            "HTML, JSON and NPZ need none.",
        )
    return path


def render(figure: go.Figure, format_: str, scale: float = 1) -> bytes:
    """``figure`` as PNG, SVG or PDF; its layout says how wide and high.

    May be called from any thread; one picture is drawn at a time. A browser that died is started
    again once.

    Raises ``MissingExtra`` when there is no browser to draw with, ``EngineError`` when it fails.
    """
    from kaleido.errors import KaleidoError

    path = require(format_)
    layout = figure.layout
    options = {
        "format": format_,
        "scale": scale,
        "width": layout.width or 1000,
        "height": layout.height or 500,
    }
    spec = figure.to_dict()
    with _LOCK:
        for attempt in (1, 2):
            try:
                return _shared.drawing(path).draw(spec, options)
            except Exception as error:
                _shared.close()
                if attempt == 2 or isinstance(error, KaleidoError):
                    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
                    raise EngineError(
                        f"The {format_.upper()} could not be drawn: {reason[:200].rstrip('.')}.",
                        "Try again, or export as HTML.",
                    ) from error
    raise AssertionError("unreachable")


def stop() -> None:
    """End the browser, if it was started; the next picture starts another."""
    with _LOCK:
        _shared.close()


class _Drawing:
    """A browser, and the thread whose event loop talks to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="renderer", daemon=True)
        self._thread.start()
        self._kaleido: Any = None
        try:
            self._wait(self._open())
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        from kaleido import Kaleido

        self._kaleido = Kaleido(
            timeout=_SECONDS, mathjax=False, path=self.path, proxy_server=_NOWHERE
        )
        await self._kaleido.open()

    def draw(self, spec: dict[str, Any], options: dict[str, Any]) -> bytes:
        picture: bytes = self._wait(self._kaleido.calc_fig(spec, options))
        return picture

    def close(self) -> None:
        """End the browser, the loop and the thread, in whatever state they are."""
        try:
            self._wait(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_SECONDS)
            if not self._thread.is_alive():
                self._loop.close()

    async def _end(self) -> None:
        if self._kaleido is not None:
            with contextlib.suppress(Exception):  # already dead is what we want
                await self._kaleido.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(_SECONDS)
        except TimeoutError:
            future.cancel()
            raise TimeoutError(f"no answer from the browser in {_SECONDS:.0f} s") from None


class _Shared:
    """The one browser of this process."""

    def __init__(self) -> None:
        self._drawing: _Drawing | None = None

    def drawing(self, path: str) -> _Drawing:
        if self._drawing is not None and self._drawing.path != path:
            self.close()
        if self._drawing is None:
            self._drawing = _Drawing(path)
            atexit.register(self.close)
        return self._drawing

    def close(self) -> None:
        drawing, self._drawing = self._drawing, None
        if drawing is not None:
            atexit.unregister(self.close)
            drawing.close()


_LOCK = threading.Lock()
_shared = _Shared()
