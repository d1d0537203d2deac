"""A person follows mistakes to their examples, then compares the model with an early checkpoint and
sees why the two answer differently, in real Chromium.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.moving import addressed, quiet

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
pytestmark = pytest.mark.browser

SOON = 60_000


def judged(page: Page, address: str) -> Locator:
    """Open a page by its address; its main part."""
    page.goto(address)
    return page.get_by_test_id("stMain")


def test_from_a_mistake_to_what_is_near_it(page: Page, served: str) -> None:
    main = judged(page, f"{served}/evaluation?model=digits_cnn&methods=saliency")
    mistake = main.get_by_role("button", name=re.compile("taken for")).first
    expect(mistake).to_be_visible(timeout=SOON)
    quiet(page)
    mistake.click()
    page.wait_for_url(re.compile("subset="), timeout=SOON)
    expect(main.get_by_text("The right ones nearest to them")).to_be_visible(timeout=SOON)
    quiet(page)
    main.get_by_role("button", name="Let go").click()
    addressed(page, subset=None)
    quiet(page)
    main.get_by_role("radio", name="For whom").click()
    expect(main.get_by_text("Largest and smallest differ")).to_be_visible(timeout=SOON)


def test_where_two_models_disagree_and_why(page: Page, served: str) -> None:
    main = judged(page, f"{served}/compare?model=digits_cnn&methods=saliency")
    expect(main.get_by_text("The example in hand")).to_be_visible(timeout=SOON)
    quiet(page)
    cell = main.locator(".st-key-answers .scatterlayer .point").nth(1)
    cell.click(force=True)
    page.wait_for_url(re.compile("subset="), timeout=SOON)
    expect(main.get_by_text("most apart first")).to_be_visible(timeout=SOON)
    quiet(page)
    box = main.get_by_test_id("stDataFrame").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 52)  # the first row
    page.wait_for_url(re.compile("example=row"), timeout=SOON)
    quiet(page)
    main.get_by_role("radio", name="Reasons").click()
    expect(main.get_by_text("Rank correlation")).to_be_visible(timeout=SOON)
    expect(main.locator(".st-key-reason-maps").get_by_text("First − second")).to_be_visible(
        timeout=SOON
    )
    quiet(page)
    main.get_by_role("radio", name="Layers").click()
    expect(main.get_by_text("Linear CKA over")).to_be_visible(timeout=SOON)
    addressed(page, compared="layers")
