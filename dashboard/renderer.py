"""Figures as pictures: one headless browser, started when it is first needed, offline."""

from __future__ import annotations

import atexit
import os
import shutil
import threading
from pathlib import Path

import plotly.graph_objects as go

from core.errors import EngineError, MissingExtra

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_SECONDS = 60
_LOCK = threading.Lock()
_started = False


def browser() -> str | None:
    """The browser that draws, or None: ``BROWSER_PATH``, else what is installed."""
    named = os.environ.get("BROWSER_PATH")
    if named:
        return named if Path(named).is_file() else None
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or (str(_MAC) if _MAC.is_file() else None)


def render(figure: go.Figure, format_: str, scale: float) -> bytes:
    """``figure`` as PNG, SVG or PDF; its layout says how wide and high.

    Raises ``MissingExtra`` when there is no browser to draw with, ``EngineError`` when it fails.
    """
    import kaleido

    path = browser()
    if path is None:
        raise MissingExtra(
            f"A {format_.upper()} is drawn by Chromium or Chrome, and there is none here.",
            "Install it with `apt-get install chromium` or `plotly_get_chrome`; "
            "HTML, JSON and NPZ need none.",
        )
    _start(path)
    layout = figure.layout
    options = {
        "format": format_,
        "scale": scale,
        "width": layout.width or 1000,
        "height": layout.height or 500,
    }
    try:
        picture: bytes = kaleido.calc_fig_sync(figure, opts=options)
    except Exception as error:
        stop()
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise EngineError(
            f"The {format_.upper()} could not be drawn: {reason.rstrip('.')}.",
            "Try again, or export as HTML.",
        ) from error
    return picture


def _start(path: str) -> None:
    global _started
    import kaleido

    with _LOCK:
        if not _started:
            kaleido.start_sync_server(
                n=1, mathjax=False, timeout=_SECONDS, path=path, silence_warnings=True
            )
            atexit.register(stop)
            _started = True


def stop() -> None:
    """End the browser, if it was started; the next picture starts another."""
    global _started
    import kaleido

    with _LOCK:
        if _started:
            atexit.unregister(stop)
            kaleido.stop_sync_server(silence_warnings=True)
            _started = False
