"""How fluent a large map is in a browser: ``python -m tests.benchmarks.scatter``.

100,000 generated points of ten classes in real Chromium without a graphics card. Printed are the
bytes per point that are sent, the time of one drawing, the time from the end of a lasso to the
picked points in colour (aim 300 ms), and until the page's own answer is there; beside it what
Plotly's scattergl needs in the same browser, from the page's start to its first drawing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import Locator, Page, sync_playwright

from tests.benchmarks.dashboard import Bare
from tests.conftest import CHROME_FLAGS, chrome, free_port

COUNT, REPEATS = 100_000, 7
_POINTS = f"""
import numpy as np, streamlit as st
made = np.random.default_rng(0)
labels = made.integers(0, 10, {COUNT})
centres = made.normal(0, 6, (10, 2))
points = (centres[labels] + made.normal(0, 1, ({COUNT}, 2))).astype(np.float32)
st.set_page_config(layout="wide")
"""
_OURS = (
    _POINTS
    + """
from dashboard.projecting.tints import Tint
from dashboard import scatter
mask = st.session_state.get("mask")
def pick(rows):
    mask = np.zeros(len(points), bool)
    mask[rows] = True
    st.session_state["mask"] = mask
scatter.draw(
    scatter.Points(points, "m", "d", "t", Tint("l", "Class", labels, tuple("0123456789")),
                   picked=mask),
    dark=False, key="plane", high=560, on_pick=pick, on_click=lambda row: None)
"""
)
_MILLION = _OURS.replace(f"{COUNT}", "1_000_000")
_PLOTLY = (
    _POINTS
    + """
import plotly.graph_objects as go
st.plotly_chart(go.Figure(go.Scattergl(x=points[:, 0], y=points[:, 1], mode="markers",
                                       marker={"color": labels, "size": 3})))
"""
)


class App(Bare):
    """A page of our own on bare Streamlit."""

    def __init__(self, workspace: Path, script: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workspace = workspace
        self.log = workspace / "serve.log"
        path = workspace / "app.py"
        root = str(Path(__file__).parents[2])
        path.write_text(f"import sys\nsys.path.insert(0, {root!r})\n{script}", encoding="utf-8")
        command = [sys.executable, "-m", "streamlit", "run", str(path)]
        command += ["--server.address", "127.0.0.1", "--server.port", str(self.port)]
        command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, cwd=workspace
            )


def lasso(page: Page, plane: Locator, share: float) -> tuple[float, float]:
    """Milliseconds from letting go to the coloured points, and to the page's answer."""
    box = plane.locator("canvas").bounding_box()
    assert box is not None
    x, y, wide, high = box["x"], box["y"], box["width"], box["height"]
    plane.evaluate(
        """(node) => {
          node.times = {};
          node.scene.canvas.addEventListener(
            'pointerup', () => { node.times.up = performance.now(); },
            { capture: true, once: true });
          const tell = node.scene.tell;
          node.scene.tell = (...said) => {
            node.times.seen = performance.now(); tell(...said); };
          const take = node.scene.take;
          node.scene.take = function (bytes) {
            take.call(node.scene, bytes); node.times.answer = performance.now(); };
        }"""
    )
    page.mouse.move(x + wide * 0.1, y + high * 0.1)
    page.mouse.down()
    for place in ((share, 0.1), (share, 0.9), (0.1, 0.9), (0.1, 0.1)):
        page.mouse.move(x + wide * place[0], y + high * place[1], steps=6)
    page.mouse.up()
    times = plane.evaluate(
        """(node) => new Promise((done) => {
          const look = () => node.times.answer ? done(node.times) : setTimeout(look, 5);
          look(); })"""
    )
    return times["seen"] - times["up"], times["answer"] - times["up"]


def main() -> None:
    """Print the table."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chrome(), args=list(CHROME_FLAGS))
        for name, script in (("ours", _OURS), ("million", _MILLION), ("plotly", _PLOTLY)):
            with TemporaryDirectory() as folder:
                server = App(Path(folder), script)
                try:
                    server.wait()
                    page = browser.new_page(viewport={"width": 1440, "height": 900})
                    received: list[int] = []
                    page.on(
                        "websocket",
                        lambda socket, received=received: socket.on(
                            "framereceived", lambda data: received.append(len(data))
                        ),
                    )
                    begun = time.perf_counter()
                    page.goto(server.url)
                    where = ".gl-canvas-focus" if name == "plotly" else "div.scatter[data-map]"
                    page.locator(where).wait_for(state="attached", timeout=120_000)
                    first = time.perf_counter() - begun
                    largest = max(received)
                    print(f"{name:7} first picture {first:5.2f} s, ", end="")
                    if name == "million":
                        mib = largest / 2**20
                        print(
                            f"{mib:.2f} MiB for 1,000,000 points, ratio to the aim {mib / 0.2:.2f}"
                        )
                        closer(page)
                        continue
                    print(f"{largest / COUNT:.2f} bytes per point, ratio {largest / COUNT / 9:.2f}")
                    if name == "ours":
                        measure(page)
                finally:
                    server.close()
        browser.close()


def closer(page: Page) -> None:
    """Zoom in until single points are drawn, then pick some."""
    plane = page.locator("div.scatter")
    box = plane.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(5):
        page.mouse.wheel(0, -600)
    begun = time.perf_counter()
    plane.evaluate(
        """(node) => new Promise((done) => {
          const look = () => node.scene.head.count ? done() : setTimeout(look, 20); look(); })"""
    )
    shown = plane.evaluate("node => node.scene.head.count")
    print(f"        single points after zooming in: {shown:,}, {time.perf_counter() - begun:.2f} s")
    _, answered = lasso(page, plane, 0.6)
    print(f"        lasso to the page's answer {answered:.0f} ms")


def measure(page: Page) -> None:
    """The times of drawing and of picking."""
    plane = page.locator("div.scatter")
    drawing = plane.evaluate(
        """(node) => { const times = [];
          for (let i = 0; i < 15; i++) {
            const start = performance.now(); node.scene.draw();
            times.push(performance.now() - start); }
          return times; }"""
    )
    picks = [lasso(page, plane, 0.4 + 0.05 * turn) for turn in range(REPEATS)]
    seen, answered = (median(each) for each in zip(*picks, strict=True))
    print(f"        one drawing {median(drawing):.0f} ms")
    print(f"        lasso to colour {seen:.0f} ms, ratio to the aim of 300: {seen / 300:.2f}")
    print(f"        lasso to the page's answer {answered:.0f} ms")


if __name__ == "__main__":
    main()
