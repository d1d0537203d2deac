"""A person picks confused points on the map in real Chromium, sees what they are and why, and comes
back with the selection kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.moving import addressed, follow

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000


def projection(page: Page, address: str) -> Locator:
    """Open the Projection page by its address; the map."""
    page.goto(address)
    plane = page.locator("div.scatter")
    expect(plane).to_have_attribute("data-map", re.compile("."), timeout=SOON)
    return plane


def settled(page: Page) -> None:
    """Wait for the dear map, which replaces the first one."""
    expect(page.get_by_text("Stable")).to_be_visible(timeout=SOON)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SOON)


def lasso(page: Page, plane: Locator, corners: list[tuple[float, float]]) -> None:
    """Draw around points: corners in shares of the canvas."""
    canvas = plane.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def asked(page: Page, name: str) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get(name, [])


def test_lasso_examples_attribution_and_back(page: Page, served: str) -> None:
    plane = projection(page, f"{served}/projection?model=digits_cnn&methods=saliency")
    settled(page)
    lasso(page, plane, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.6), (0.02, 0.6)])
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text(re.compile("Right on"))).to_be_visible(timeout=SOON)
    page.wait_for_url(re.compile("subset="), timeout=SOON)
    (key,) = asked(page, "subset")
    count = int(plane.get_attribute("data-picked") or 0)
    assert 100 < count < 1000
    expect(main.get_by_text(f"{count} examples", exact=True)).to_be_visible(timeout=SOON)

    table = main.get_by_test_id("stDataFrame")
    expect(table).to_be_visible(timeout=SOON)
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 20, box["y"] + 55)  # the mark of the first row, the worst mistake
    page.wait_for_url(re.compile("example=row%3Adigits_cnn"), timeout=SOON)
    (example,) = asked(page, "example")
    expect(plane.locator(".pin text")).to_have_text("in hand", timeout=SOON)

    follow(page, re.compile("^Why"), "Attribution")
    expect(page.locator(".st-key-maps .main-svg").first).to_be_visible(timeout=SOON)
    addressed(page, example=example)
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text(f"{count} examples").first).to_be_visible(timeout=SOON)

    follow(page, "Projection")
    expect(plane).to_have_attribute("data-picked", str(count), timeout=SOON)
    addressed(page, subset=key)
    plane.locator("canvas").press("Escape")
    expect(plane).to_have_attribute("data-picked", "0", timeout=SOON)
    addressed(page, subset=None)


def test_a_point_shows_its_text_and_a_click_takes_it_in_hand(page: Page, served: str) -> None:
    plane = projection(page, f"{served}/projection?model=text_rnn&methods=saliency")
    settled(page)
    at = plane.evaluate(
        """(node) => {
          const scene = node.scene;
          const sharp = scene.canvas.width / scene.canvas.clientWidth;
          const box = scene.canvas.getBoundingClientRect();
          return [box.left + scene.at[0] / sharp, box.top + scene.at[1] / sharp];
        }"""
    )
    page.mouse.move(at[0] - 3, at[1])
    page.mouse.move(*at)
    card = plane.locator(".card")
    expect(card.locator("q")).to_have_text(re.compile(r"\w+ \w+"), timeout=SOON)
    page.mouse.click(*at)
    page.wait_for_url(re.compile("example=row%3Atext_rnn"), timeout=SOON)
    expect(plane.locator(".pin text")).to_have_text("in hand", timeout=SOON)
    page.get_by_text("3-D", exact=True).click()
    page.wait_for_url(re.compile("dims=3"), timeout=SOON)
    settled(page)
    canvas = plane.locator("canvas")
    before = canvas.evaluate("node => node.toDataURL()")
    canvas.press("ArrowLeft")
    turned = plane.evaluate(
        """(node) => new Promise((done) => requestAnimationFrame(
             () => requestAnimationFrame(() => done(node.scene.canvas.toDataURL()))))"""
    )
    assert turned != before
