"""What a person does with the dashboard, in real Chromium against ``fluoroscope serve``.

An error on the browser's console fails any of these (see the fixture ``page``).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.browser.moving import addressed, follow, quiet
from tests.conftest import ARTIFACTS, Dashboard
from tests.images import HOSTILE, photographed

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
FIRST_SECONDS = 60.0  # for the first explanation of a fresh process on a loaded machine
SOON = 60_000  # ms, for anything that is computed on the way
# Some million forwards: nothing that ends while a test looks at it.
DEAR = "?model=digits_cnn&methods=shapley_value_sampling"
DEAR += "&set=shapley_value_sampling.n_samples%3D20000&set=shapley_value_sampling.n_segments%3D"


def answer(page: Page, label: str | None = None) -> Locator:
    """The sentence with the model's answer, awaited; with ``label``, that answer."""
    sentence = page.get_by_test_id("stMain").get_by_text(re.compile(r"^It says"))
    expect(sentence).to_contain_text(f"It says {label or ''}", timeout=SOON)
    return sentence


def maps(page: Page) -> Locator:
    return page.locator(".st-key-maps").get_by_test_id("stPlotlyChart")


def shows(page: Page, *titles: str) -> None:
    """Wait until each title stands over a map that is done, and no other run is under way."""
    for title in titles:
        expect(maps(page).get_by_text(title, exact=True).first).to_be_visible(timeout=SOON)
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=SOON)
    # While a page is drawn anew, its old table may still stand below the new one.
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=SOON)


def opened(page: Page, address: str, *titles: str) -> None:
    page.goto(address)
    answer(page)
    shows(page, *titles)


_FIGURE = """() => {
  const plot = document.querySelector('.st-key-maps .js-plotly-plot');
  return plot && plot.data ? JSON.stringify([plot.data, plot.layout]) : null;
}"""


# Neither the page nor a figure reaches beyond the right edge, and figures fill their place.
_FITS = """() => document.documentElement.scrollWidth <= innerWidth
  && [...document.querySelectorAll('.stPlotlyChart')].every((place) => {
    const drawn = place.querySelector('.main-svg');
    return drawn && Math.abs(drawn.clientWidth - place.clientWidth) <= 2;
  })"""


@contextmanager
def redrawn(page: Page) -> Iterator[None]:
    """Within it the maps must be drawn anew; waits for that."""
    before = page.evaluate(_FIGURE)
    yield
    page.wait_for_function(
        f"before => {{ const now = ({_FIGURE})(); return now && now !== before; }}",
        arg=before,
        timeout=SOON,
    )


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def upload(page: Page, name: str, data: bytes, kind: str = "image/jpeg") -> None:
    page.locator(".st-key-upload-pixels input[type=file]").set_input_files(
        {"name": name, "mimeType": kind, "buffer": data}
    )


def pick(page: Page, label: str, option: str | re.Pattern[str]) -> None:
    """Choose from a select box."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def glyph(digit: int) -> np.ndarray[Any, Any]:
    with Image.open(EXAMPLES / f"digit-{digit}.png") as image:
        return np.asarray(image.convert("L"))


def turned(data: bytes) -> bytes:
    """The same photograph as a telephone held sideways stores it: turned, with an EXIF tag."""
    stored, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    with Image.open(BytesIO(data)) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(stored, "JPEG", quality=90, exif=exif)
    return stored.getvalue()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_first_screen_explains_without_a_click(page: Page, served: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal of two
    page.set_default_timeout(FIRST_SECONDS * 1000)
    page.goto(served)
    answer(page)
    shows(page, "Input", "DeepLIFT", "Occlusion")
    expect(page.locator(".st-key-probabilities").get_by_text("100.0%")).to_be_visible()
    cells = page.get_by_test_id("stDataFrame").locator("td")  # beneath the canvas
    expect(cells.get_by_text("Occlusion", exact=True)).to_have_count(1)
    ARTIFACTS.mkdir(exist_ok=True)
    for width in (1440, 900):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(_FITS, timeout=SOON)
        page.screenshot(path=ARTIFACTS / f"attribution-{width}-{scheme}.png")


def test_own_photographs_are_answered(page: Page, served: str) -> None:
    opened(page, served, "DeepLIFT")
    answer(page, "3")
    upload(page, "mine.jpg", photographed(glyph(8), seed=1))
    answer(page, "8")
    shows(page, "DeepLIFT")
    assert query(page)["example"][0].startswith("upload:")
    upload(page, "sideways.jpg", turned(photographed(glyph(4), seed=2)))
    answer(page, "4")
    shows(page, "DeepLIFT")


def test_method_target_and_view_redraw_the_maps(page: Page, served: str) -> None:
    opened(page, served, "DeepLIFT")
    with redrawn(page):
        pick(page, "Methods", "Saliency")
    page.keyboard.press("Escape")
    shows(page, "Saliency", "DeepLIFT")
    addressed(page, methods="integrated_gradients,deeplift,occlusion,saliency")
    target = page.get_by_role("combobox", name="Explain")
    for typed, titled in (("8", "target 8"), ("3 vs 8", "3 − 8")):
        with redrawn(page):
            target.click()
            target.press("ControlOrMeta+a")
            target.press_sequentially(typed)
            target.press("Enter")
        addressed(page, target=typed)
        expect(maps(page).get_by_text(titled, exact=True).first).to_be_visible(timeout=SOON)
        shows(page, "Saliency")
    with redrawn(page):
        page.get_by_role("radio", name="Own").click()
    addressed(page, scale="own")
    page.get_by_role("button", name=re.compile("^View")).click()
    with redrawn(page):
        page.get_by_role("radio", name="For only").click()
    addressed(page, sign="positive")
    with redrawn(page):
        page.get_by_role("slider").press("ArrowLeft")
    addressed(page, opacity="65")
    with redrawn(page):
        page.get_by_role("radio", name="Map alone").click()
    addressed(page, view="map")


def test_every_export_opens_elsewhere(page: Page, served: str, tmp_path: Path) -> None:
    opened(page, f"{served}/?methods=saliency,grad_cam", "Grad-CAM")
    page.get_by_role("button", name=re.compile("Export")).last.click()
    files = {}
    for title, ending in {
        "PNG": "png",
        "SVG": "svg",
        "PDF": "pdf",
        "HTML": "html",
        "JSON": "json",
        "Plotly JSON": "plotly.json",
        "NPZ": "npz",
    }.items():
        pick(page, "Format", re.compile(f"^{title} "))
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Download {ending.upper()}", exact=True).click()
        assert waiting.value.suggested_filename == f"digit-3.saliency-grad_cam.{ending}"
        files[ending] = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(files[ending])

    with Image.open(files["png"]) as image:
        image.load()
        assert image.width >= 1000
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    drawing = ElementTree.fromstring(files["svg"].read_bytes())  # noqa: S314  (our own file)
    assert drawing.tag.endswith("svg")
    assert "Grad-CAM" in "".join(drawing.itertext())
    from pypdf import PdfReader

    (sheet,) = PdfReader(files["pdf"]).pages
    assert "Grad-CAM" in sheet.extract_text()
    told = json.loads(files["json"].read_text(encoding="utf-8"))
    assert "digits_cnn" in json.dumps(told)
    figure = json.loads(files["plotly.json"].read_text(encoding="utf-8"))
    assert figure["data"]
    with np.load(files["npz"], allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
    assert (1, 28, 28) in shapes.values() or (28, 28) in shapes.values(), shapes
    _draws_alone(page, files["html"])


def _draws_alone(page: Page, file: Path) -> None:
    """The page draws with the network blocked, and complains of nothing."""
    alone = page.context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("console", lambda line: complaints.append(line.text))
    alone.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.set_offline(True)
    try:
        alone.goto(file.as_uri())
        expect(alone.locator(".js-plotly-plot").get_by_text("Grad-CAM").first).to_be_visible()
    finally:
        alone.close()
        page.context.set_offline(False)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []


def test_an_address_is_a_view(page: Page, served: str) -> None:
    opened(page, f"{served}/?example=digit-7.png&methods=saliency,grad_cam&target=1", "Grad-CAM")
    answer(page, "7")
    shared = page.url
    browser = page.context.browser
    assert browser is not None
    other = browser.new_context()
    try:
        fresh = other.new_page()
        opened(fresh, shared, "Saliency", "Grad-CAM")
        answer(fresh, "7")
        assert query(fresh) == query(page)
        expect(maps(fresh).get_by_text("Occlusion")).to_have_count(0)
        fresh.reload()
        answer(fresh, "7")
        shows(fresh, "Saliency", "Grad-CAM")
        assert query(fresh) == query(page)
    finally:
        other.close()
    page.get_by_role("button", name="Handwritten 2").click()
    answer(page, "2")
    addressed(page, example="digit-2.png")
    page.go_back()
    answer(page, "7")
    addressed(page, example="digit-7.png", methods="saliency,grad_cam", target="1")


def test_another_model_and_page_keep_the_selection(page: Page, served: str) -> None:
    opened(page, served, "DeepLIFT")
    pick(page, "Model", "Clothing (CNN)")
    addressed(page, model="fashion_cnn", example="fashion-ankle-boot.png")
    page.get_by_role("button", name="Bag").click()
    answer(page, "Bag")
    shows(page, "DeepLIFT")
    follow(page, "Overview")
    chart = page.locator(".st-key-architecture").get_by_test_id("stPlotlyChart")
    expect(chart).to_be_visible(timeout=SOON)
    follow(page, "Attribution")
    answer(page, "Bag")
    shows(page, "DeepLIFT")
    addressed(page, model="fashion_cnn", example="fashion-bag.png")


STEPS = """
    window.steps = [];
    const push = history.pushState.bind(history);
    history.pushState = (...given) => { steps.push(String(given[2])); push(...given); };
"""


def test_each_change_is_one_step_back(page: Page, served: str) -> None:
    """Also from a text to a picture, where nothing that stood on the page stays; and a page that is
    opened by its address leaves nothing on the console.
    """
    page.add_init_script(STEPS)
    page.goto(f"{served}/overview?model=text_rnn")
    addressed(page, model="text_rnn", example="software-game.txt")
    quiet(page)
    before = len(page.evaluate("steps"))
    pick(page, "Model", re.compile(r"^Handwritten digits .CNN.$"))
    addressed(page, model="digits_cnn", example="digit-3.png")
    quiet(page)
    told = page.evaluate("steps")[before:]
    assert len(told) == 1, told
    follow(page, "Attribution")
    quiet(page)
    told = page.evaluate("steps")[before + 1 :]
    # A busy server tells its page first and the address later: then these are two steps.
    assert len(told) in (1, 2), told
    assert [each.partition("?")[0].rpartition("/")[2] for each in told] == [""] * len(told), told
    for _ in told:
        page.go_back()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=SOON)
    addressed(page, model="digits_cnn", example="digit-3.png")
    page.go_back()
    addressed(page, model="text_rnn", example="software-game.txt")
    quiet(page)


SCRIPT_NAME = "<img src=x onerror=alert(1)>.png"


def test_hostile_uploads_get_a_sentence(page: Page, served: str) -> None:
    boxes: list[str] = []
    page.on("dialog", lambda box: (boxes.append(box.message), box.dismiss()))
    opened(page, f"{served}/?methods=grad_cam", "Grad-CAM")
    for name, data, word, digit in (
        ("truncated.png", HOSTILE["truncated.png"][0](), "cut off", "2"),
        ("empty.png", b"", "is empty", "5"),
        ("bomb.png", HOSTILE["huge-header.png"][0](), "megapixels", "8"),
        (SCRIPT_NAME, HOSTILE["text.png"][0](), "not a picture", "4"),
    ):
        upload(page, name, data, "image/png")
        refusal = page.get_by_test_id("stAlert").filter(has_text=word).first
        expect(refusal).to_be_visible(timeout=SOON)
        expect(refusal).to_contain_text(name)
        page.get_by_role("button", name=f"Handwritten {digit}").click()
        answer(page, digit)
        shows(page, "Grad-CAM")
    assert boxes == []
    assert page.locator("img[src='x']").count() == 0


def _computing(page: Page, address: str) -> None:
    """Open a dear explanation and start it."""
    page.goto(address)
    answer(page)
    page.get_by_role("button", name="Compute").click()
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    expect(page.get_by_text(re.compile(r"\d+ (s|min).* left"))).to_be_visible(timeout=SOON)


def test_a_dear_method_is_computed_cancelled_and_computed_again(page: Page, served: str) -> None:
    _computing(page, f"{served}/{DEAR}40")
    page.get_by_role("button", name="Cancel").click()
    cancelled = page.get_by_text("Shapley value sampling: cancelled.")
    expect(cancelled).to_be_visible(timeout=3_000)
    page.get_by_role("button", name="Compute").click()
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    expect(cancelled).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    expect(cancelled).to_be_visible(timeout=3_000)


def _worker(server: int) -> int:
    """The process number of the worker among all that ``server`` started."""
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,command="], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    family = {server}
    for _ in rows:
        more = {int(pid) for pid, parent, _ in rows if int(parent) in family} - family
        if not more:
            break
        family |= more
    (worker,) = [int(r[0]) for r in rows if int(r[0]) in family and "core.engine.worker" in r[2]]
    return worker


def test_a_reload_keeps_computing_and_a_killed_worker_is_replaced(
    page: Page, served: str, dashboard_process: Dashboard
) -> None:
    _computing(page, f"{served}/{DEAR}45")
    page.reload()
    answer(page)
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    expect(page.get_by_role("button", name="Compute")).to_have_count(0)
    os.kill(_worker(dashboard_process.process.pid), signal.SIGKILL)
    told = page.get_by_test_id("stAlert").filter(has_text="The worker process ended")
    expect(told).to_be_visible(timeout=SOON)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("progressbar")).to_be_visible(timeout=SOON)
    expect(told).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled.")).to_be_visible(timeout=3_000)
