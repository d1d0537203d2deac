"""A person trains a network in real Chromium: starts, leaves, comes back, stops and goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlparse

import pytest

from tests.browser.moving import follow

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SOON = 60_000


def training(page: Page, address: str) -> None:
    """Open the dashboard and go to the Training page as a person does."""
    from playwright.sync_api import expect

    page.goto(address)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=SOON)
    follow(page, "Training")


def part(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()


def test_start_leave_come_back_cancel_resume_compare(page: Page, served: str) -> None:
    from playwright.sync_api import expect

    training(page, served)
    expect(page.get_by_text("Gradient norm of each layer").first).to_be_visible(timeout=SOON)
    part(page, "Start a run")
    page.get_by_role("combobox", name="Recipe").click()
    page.get_by_role("option", name=re.compile("^Two features")).click()
    epochs = page.get_by_role("spinbutton", name="Epochs")
    expect(epochs).to_have_value("100", timeout=SOON)
    epochs.fill("90000")
    epochs.press("Enter")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text(re.compile(r"learning · epoch [1-9]"))).to_be_visible(timeout=SOON)
    page.wait_for_url(re.compile("runs="), timeout=SOON)
    (name,) = parse_qs(urlparse(page.url).query)["runs"]

    again = page.context.new_page()
    complaints: list[str] = []
    again.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.close()
    again.goto(f"{served}/training?runs={name}")
    standing = again.get_by_text(re.compile(r"learning · epoch \d+"))
    expect(standing).to_be_visible(timeout=SOON)
    chart = again.locator(".live-chart .main-svg").first
    expect(chart).to_be_visible(timeout=SOON)
    chart.evaluate("node => { node.marked = true }")
    before = standing.inner_text()
    expect(standing).not_to_have_text(before, timeout=SOON)  # it moves while it is watched
    assert chart.evaluate("node => node.marked"), "the chart was built anew: it flickers"
    again.get_by_role("button", name="Cancel").click()
    expect(again.get_by_text(re.compile("^stopped · epoch"))).to_be_visible(timeout=SOON)
    again.get_by_role("button", name="Resume").click()
    expect(again.get_by_text(re.compile(r"learning · epoch \d+"))).to_be_visible(timeout=SOON)
    again.get_by_role("button", name="Cancel").click()
    expect(again.get_by_text(re.compile("^stopped · epoch"))).to_be_visible(timeout=SOON)
    part(again, "Compare")
    expect(again.get_by_test_id("stDataFrame")).to_be_visible(timeout=SOON)
    part(again, "Time machine")
    expect(again.get_by_text("Decision boundary").first).to_be_visible(timeout=SOON)
    assert not complaints


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("light", 1440),
        ("dark", 900),
        pytest.param("light", 900, marks=pytest.mark.slow),
        pytest.param("dark", 1440, marks=pytest.mark.slow),
    ],
)
def test_the_page_is_full_in_every_appearance(
    page: Page, served: str, width: int, scheme: str
) -> None:
    from playwright.sync_api import expect

    from tests.conftest import ARTIFACTS

    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{served}/training")
    expect(page.get_by_text("Gradient norm of each layer").first).to_be_visible(timeout=SOON)
    charts = page.get_by_test_id("stPlotlyChart")
    expect(charts.nth(5)).to_be_visible(timeout=SOON)
    for chart in charts.all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] >= 150
        assert box["x"] + box["width"] <= width + 1
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"training-{width}-{scheme}.png")
