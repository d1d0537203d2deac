"""What every test stands on: a workspace of its own, one thread, and a browser where there is one.

A browser test asks for ``page`` (a new page of a new context, its console watched) and ``served``
(the address of a running dashboard); what it leaves on the console fails it, and when it fails for
any reason a screenshot stays in ``artifacts/``.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when numpy and torch are first imported

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROMES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
CHROME_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 90.0
JOURNEYS = "tests/browser/"
LONG = ("test_training_command.py", "test_training_kills.py", "test_ways_in.py")
FAILED = pytest.StashKey[bool]()


class ByFile(LoadScopeScheduling):
    """A file of tests stays in one process, and all journeys do: they share one dashboard and one
    browser, and two browsers at once would have each other wait.
    """

    def _split_scope(self, nodeid: str) -> str:
        return JOURNEYS if nodeid.startswith(JOURNEYS) else nodeid.partition("::")[0]


@pytest.fixture(scope="session", autouse=True)
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this session's results go; never the person's own data folder."""
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUOROSCOPE_WORKSPACE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _own_workspace(workspace: Path) -> Iterator[None]:
    """A command makes the folder that it is given the workspace of its process, which is ours."""
    before = os.environ.get("FLUOROSCOPE_WORKSPACE", str(workspace))
    yield
    os.environ["FLUOROSCOPE_WORKSPACE"] = before


@pytest.fixture(autouse=True)
def _own_main_module() -> Iterator[None]:
    """Streamlit's test runner leaves its script as ``__main__``, which spawned processes would run
    again.
    """
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys come first, then pages, then files that take a minute: what is long and begins last
    leaves other processes idle.
    """
    folders = ("browser", "pages")

    def turn(item: pytest.Item) -> tuple[int, bool]:
        folder = item.path.parent.name
        return (*folders, folder).index(folder), item.path.name not in LONG

    items.sort(key=turn)
    needy = [item for item in items if item.get_closest_marker("gpu")]
    if needy:
        import torch

        if not torch.cuda.is_available():
            for item in needy:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


def chrome() -> str | None:
    """The path of an installed Chromium or Chrome."""
    found = (shutil.which(name) for name in CHROMES)
    mac = (path for path in MAC_CHROMES if Path(path).exists())
    return next((path for path in (*found, *mac) if path), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the session; skips when none is installed, unless one is required."""
    from playwright.sync_api import sync_playwright

    executable = chrome()
    if executable is None:
        reason = "Chromium is not installed: make chromium"
        if os.environ.get("CI") == "true" or os.environ.get("FLUOROSCOPE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROME_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page 1440 × 900; what it writes on the console as an error fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(60_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda line: (
            complaints.append(f"{line.text} {line.location['url']}")
            if line.type == "error"
            else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        # A picture that was replaced before the browser had fetched it is shown nowhere.
        replaced = [
            name
            for line in complaints
            for name in re.findall(r"/media/[0-9a-f]+\.\w+", line)
            if not page.locator(f"img[src$='{name}']").count()
        ]
        complaints[:] = [line for line in complaints if not any(name in line for name in replaced)]
        if request.node.stash.get(FAILED, False) or complaints:
            ARTIFACTS.mkdir(exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", request.node.name)
            page.screenshot(path=ARTIFACTS / f"failed-{name}.png")
    finally:
        context.close()
    assert not complaints, f"errors on the browser's console: {complaints}"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Dashboard:
    """``fluoroscope serve`` as a process of its own, in a workspace of its own."""

    def __init__(self, workspace: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workspace = workspace
        self.log = workspace / "serve.log"
        command = [sys.executable, "-m", "dashboard.cli", "serve", "--port", str(self.port)]
        command += ["--workspace", str(workspace), *options]
        environment = {key: value for key, value in os.environ.items() if key not in ("HOST",)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=environment
            )

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Until it answers; fails with its log when it ends or takes too long."""
        opener = build_opener(ProxyHandler({}))
        deadline = time.monotonic() + seconds
        ticks = selectors.DefaultSelector()
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with opener.open(f"{self.url}/_stcore/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (URLError, OSError):
                ticks.select(0.05)  # not listening yet
        pytest.fail(f"The dashboard did not start:\n{self.log.read_text(errors='replace')}")

    def close(self) -> None:
        """End it as Ctrl+C does, and everything it started with it."""
        for farewell in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, farewell)
                self.process.wait(timeout=15)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait(timeout=15)


@pytest.fixture(scope="session")
def dashboard_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The running dashboard, with its process, log and workspace."""
    dashboard = Dashboard(tmp_path_factory.mktemp("served"))
    try:
        dashboard.wait()
        yield dashboard
    finally:
        dashboard.close()


@pytest.fixture(scope="session")
def served(dashboard_process: Dashboard) -> str:
    """The address of the running dashboard, without a slash at the end."""
    return dashboard_process.url
