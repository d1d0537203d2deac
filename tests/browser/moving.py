"""From page to page as a person goes: a click in the menu once the page is drawn.

Streamlit folds requests that wait for the same moment into one, with the page of the last of them:
a redraw that the old page asks for while a click in the menu still waits takes the click back.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOON = 60_000


def quiet(page: Page) -> None:
    """Wait until nothing is computing and nothing is being drawn."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=SOON)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SOON)


def follow(page: Page, link: str | re.Pattern[str], heading: str = "") -> None:
    """Click a link to another page and wait for its heading, by default of the same name. A click
    that was taken back is made once more, as a person does.
    """
    expect = pytest.importorskip("playwright.sync_api").expect
    title = page.get_by_role("heading", name=heading or str(link))
    quiet(page)
    page.get_by_role("link", name=link).click()
    with suppress(AssertionError):
        expect(title).to_be_visible(timeout=SOON / 3)
        return
    quiet(page)
    page.get_by_role("link", name=link).click()
    expect(title).to_be_visible(timeout=SOON)


def addressed(page: Page, **wanted: str | None) -> None:
    """Wait until the address, which may follow the page, says all of this; None for not at all."""
    page.wait_for_function(
        "wanted => { const now = new URLSearchParams(location.search);"
        " return Object.entries(wanted).every(([name, value]) => now.get(name) === value); }",
        arg=wanted,
        timeout=SOON,
    )
