"""Pages of HTML as PDF, or as what a script in them makes of them: Chromium, called once each.

Nothing on such a page comes from the network, and no word of a person is in it but escaped.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from core.errors import EngineError
from dashboard.renderer import browser, no_browser

_SECONDS = 60
_NO_NETWORK = "http://127.0.0.1:9"  # nobody is there


def pdf(page: str) -> bytes:
    """The page as a PDF; its own ``@page`` rule says how large.

    Raises ``MissingExtra`` without a browser, ``EngineError`` when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "page.pdf"
        _called(page, Path(folder), f"--print-to-pdf={target}", "--no-pdf-header-footer")
        if not target.is_file():
            raise _failed("the browser wrote nothing")
        return target.read_bytes()


def dom(page: str) -> str:
    """The page's document after its scripts have run. Raises as ``pdf`` does."""
    with tempfile.TemporaryDirectory() as folder:
        return _called(page, Path(folder), "--dump-dom").decode()


def _called(page: str, folder: Path, *wanted: str) -> bytes:
    path = browser()
    if path is None:
        raise no_browser("svg" if "--dump-dom" in wanted else "pdf")
    source = folder / "page.html"
    source.write_text(page, encoding="utf-8")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [
        path,
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--hide-scrollbars",
        f"--proxy-server={_NO_NETWORK}",
        f"--user-data-dir={folder / 'profile'}",
        *root,
        *wanted,
        source.as_uri(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)  # noqa: S603 - our own arguments
    except subprocess.TimeoutExpired:
        raise _failed("the browser takes too long") from None
    except (subprocess.CalledProcessError, OSError) as error:
        raise _failed(f"the browser does not start ({type(error).__name__})") from error
    return done.stdout


def _failed(reason: str) -> EngineError:
    return EngineError(f"The text could not be drawn: {reason}.", "Try again, or export as HTML.")
