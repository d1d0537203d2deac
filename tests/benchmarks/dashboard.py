"""How soon the dashboard is there: ``python tests/benchmarks/dashboard.py``.

From the start of the process to the first page, beside an app of one title on bare Streamlit (the
floor, 1.00), interleaved with ours; and from the first page to the first explanation on it. Each
time in a fresh process, a fresh browser context and an empty workspace.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import Browser, sync_playwright

from tests.conftest import CHROME_FLAGS, Dashboard, chrome, free_port

REPEATS = 5
BARE = "import streamlit as st\n\nst.title('Attribution')\n"


class Bare(Dashboard):
    """Streamlit with an app that only writes the same title."""

    def __init__(self, workspace: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workspace = workspace
        self.log = workspace / "serve.log"
        script = workspace / "bare.py"
        script.write_text(BARE, encoding="utf-8")
        command = [sys.executable, "-m", "streamlit", "run", str(script)]
        command += ["--server.address", "127.0.0.1", "--server.port", str(self.port)]
        command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, cwd=workspace
            )


def waits(kind: type[Dashboard], browser: Browser) -> tuple[float, float]:
    """Seconds from the start to the first page, and on to its first explanation (0 if bare)."""
    with TemporaryDirectory() as folder:
        begun = time.perf_counter()
        server = kind(Path(folder))
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        try:
            server.wait()
            page = context.new_page()
            page.goto(server.url)
            page.get_by_role("heading", name="Attribution").wait_for()
            there = time.perf_counter()
            if kind is Dashboard:
                page.get_by_test_id("stDataFrame").wait_for(timeout=120_000)
            return there - begun, time.perf_counter() - there
        finally:
            context.close()
            server.close()


def main() -> None:
    """Print both waits, their spread and the ratio to bare Streamlit."""
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chrome(), args=list(CHROME_FLAGS))
        for _ in range(REPEATS):
            bare.append(waits(Bare, browser))
            ours.append(waits(Dashboard, browser))
        browser.close()
    pages, floor = [page for page, _ in ours], [page for page, _ in bare]
    maps = [first for _, first in ours]
    ratios = [page / least for page, least in zip(pages, floor, strict=True)]
    for title, times, unit in (
        ("bare Streamlit, start to first page", floor, "s"),
        ("dashboard, start to first page", pages, "s"),
        ("dashboard ÷ bare Streamlit", ratios, "×"),
        ("first page to first explanation", maps, "s"),
    ):
        print(f"{title:<38} {median(times):6.2f} {unit}  ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
