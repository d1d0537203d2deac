"""A person looks at attention in real Chromium: all heads, one head, one patch, a head switched
off; then the alignment of a translation.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.moving import addressed, follow
from tests.conftest import ARTIFACTS

if TYPE_CHECKING:
    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000
# Where a point of the figure ``key`` is on the screen: its trace, and where in it.
_POINT = """([key, trace, point]) => {
  const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  const { xaxis, yaxis } = plot._fullLayout, box = plot.getBoundingClientRect();
  const data = plot._fullData[trace];
  return [box.left + xaxis._offset + xaxis.d2p(data.x[point]),
          box.top + yaxis._offset + yaxis.d2p(data.y[point])];
}"""


def attention(page: Page, address: str) -> None:
    """Open the dashboard and go to the Attention page as a person does."""
    page.goto(address)
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible(timeout=SOON)
    follow(page, "Attention")
    drawn(page)


def drawn(page: Page) -> None:
    for key in ("overview", "head"):
        expect(page.locator(f".st-key-{key} .main-svg").first).to_be_visible(timeout=SOON)


def still(page: Page) -> None:
    """Wait until the page is not being drawn."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SOON)


def click(page: Page, key: str, trace: int, point: int) -> None:
    still(page)
    page.locator(f".st-key-{key} .js-plotly-plot").scroll_into_view_if_needed()
    x, y = page.evaluate(_POINT, [key, trace, point])
    page.mouse.move(x - 2, y - 2)
    page.mouse.click(x, y)


def says(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_test_id("stMain").get_by_text(text).first).to_be_visible(timeout=SOON)


def test_from_all_heads_to_one_patch_and_back_with_a_head_switched_off(
    page: Page, served: str, tmp_path: Path
) -> None:
    attention(page, f"{served}/?model=fashion_vit&methods=saliency")
    says(page, "Attention shows where the model looked, not why it answered.")
    says(page, "Layer 0 · head 0")
    click(page, "overview", 1, 4 * 2 + 3)
    says(page, "Layer 2 · head 3")
    page.wait_for_url(re.compile("layer=2.*head=3"), timeout=SOON)
    drawn(page)
    click(page, "head", 2, 24)
    page.wait_for_url(re.compile("place=25"), timeout=SOON)
    expect(page.get_by_role("combobox", name="Looking from")).to_have_value(re.compile("^25 · "))

    page.get_by_role("radio", name="Rollout").click()
    page.wait_for_url(re.compile("show=rollout"), timeout=SOON)
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=SOON)
    drawn(page)

    page.get_by_role("button", name="Switch this head off").click()
    says(page, re.compile("^With all heads"))
    before = page.get_by_text(re.compile("^With all heads")).inner_text()
    assert len(re.findall(r"[\d.]+%", before)) >= 2
    page.wait_for_url(re.compile("off=2%3A3"), timeout=SOON)
    attention(page, f"{served}/?{urlsplit(page.url).query}")  # the same link shows the same
    says(page, re.compile("^With all heads"))
    assert page.get_by_text(re.compile("^With all heads")).inner_text() == before
    page.get_by_role("button", name="Undo all").click()
    expect(page.get_by_text(re.compile("^With all heads"))).to_have_count(0, timeout=SOON)

    still(page)
    page.get_by_role("button", name=re.compile("Export")).last.click()
    page.get_by_role("combobox", name="Format").click()
    page.get_by_role("option", name=re.compile("^JSON")).first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    path = tmp_path / "flow.json"
    download.value.save_as(path)
    (result,) = json.loads(path.read_text())["results"]
    assert result["kind"] == "rollout" and len(result["values"][0]) == 50

    page.keyboard.press("Escape")
    follow(page, "Attributions of this example", "Attribution")
    says(page, re.compile("^It says"))
    addressed(page, model="fashion_vit")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (900, "dark")])
def test_a_translation_is_read_as_an_alignment(
    page: Page, served: str, width: int, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal of two
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{served}/?model=translator&example=verse-king.txt&methods=saliency")
    says(page, re.compile("rey"))
    follow(page, "Attention")
    drawn(page)
    labels = page.locator(".st-key-head .ytick, .st-key-head .xtick")
    expect(labels.get_by_text("rey", exact=True)).to_be_visible(timeout=SOON)
    expect(labels.get_by_text("king", exact=True)).to_be_visible()
    page.get_by_role("radio", name="Lines").click()
    page.wait_for_url(re.compile("show=lines"), timeout=SOON)
    words = page.locator(".st-key-head .textpoint")
    expect(words.get_by_text("rey", exact=True)).to_be_visible(timeout=SOON)
    traces = page.evaluate("document.querySelector('.st-key-head .js-plotly-plot').data.length")
    click(page, "head", traces - 2, 3)
    page.wait_for_url(re.compile("place=3"), timeout=SOON)
    expect(page.get_by_role("combobox", name="Looking from")).to_have_value(re.compile("rey"))
    still(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"attention-{width}-{scheme}.png")
